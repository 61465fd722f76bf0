"""How fast a list grows, over the last minute."""

from collections import deque

WINDOW_SECONDS = 60.0


class Rate:
    """Attributes a minute over a true window of 60 seconds, or over the age if that is shorter."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, moment: float, total: int) -> float:
        """Note how many there are at `moment` (seconds); returns how many a minute were added in the window."""
        self._samples.append((moment, total))
        while len(self._samples) > 1 and self._samples[1][0] <= moment - WINDOW_SECONDS:
            self._samples.popleft()
        first_moment, first_total = self._samples[0]
        elapsed = max(moment - first_moment, 1.0)  # the first second would otherwise show absurd rates
        return (total - first_total) * 60.0 / elapsed
