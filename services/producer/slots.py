"""How many calls a producer makes at once: one more as long as all goes well, half as many when the vendor is overloaded."""

import statistics
import time
from collections import deque
from collections.abc import Callable

SLOWER = 2.0
"""Times the usual: then calls queue at the vendor, and more of them at once only wait longer."""

NEGLIGIBLE_SECONDS = 0.25
"""Nobody minds a slower answer that is still this quick; on a fast server it is noise."""

REMEMBERED = 100
"""Calls that tell what is usual: so many that a busy hour does not become the usual."""

LATELY = 5
"""Calls that tell how it is now, by their median: one slow answer is none of the vendor's load."""

AT_LEAST = 8
"""Calls before anything counts as usual."""

SMALLEST_ANSWER = 20
"""Tokens from which the time for each of them says something."""


class Slots:
    """The number of calls at once, between 1 and `most`, and what it is learnt from."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.now = most
        self._clock = clock
        self._successes = 0
        self._shrunk_at = float("-inf")
        self._first = _Pace(NEGLIGIBLE_SECONDS)
        self._token = _Pace(NEGLIGIBLE_SECONDS / SMALLEST_ANSWER)

    def succeeded(self, began: float, first_seconds: float, seconds: float, output_tokens: int) -> None:
        """Take in a good answer to a request that began at this moment: one slot more after each full round of them."""
        slower = self._first.is_slower(first_seconds)
        if output_tokens >= SMALLEST_ANSWER:
            slower = self._token.is_slower((seconds - first_seconds) / output_tokens) or slower
        if slower:
            self._shrink(began)
            return
        self._successes += 1
        if self._successes >= self.now and self.now < self.most:
            self.now += 1
            self._successes = 0

    def overloaded(self, began: float) -> None:
        """Take in a refusal for overload (429, 503, 529) of a request that began at this moment."""
        self._shrink(began)

    def _shrink(self, began: float) -> None:
        if began < self._shrunk_at:
            return  # it was under way when the number was halved, and says nothing of the new one
        self.now = max(1, self.now // 2)
        self._successes = 0
        self._shrunk_at = self._clock()
        self._first.anew()
        self._token.anew()


class _Pace:
    """One kind of latency: what is usual, and how it is lately."""

    def __init__(self, negligible: float) -> None:
        self._negligible = negligible
        self._all: deque[float] = deque(maxlen=REMEMBERED)
        self._last: deque[float] = deque(maxlen=LATELY)

    def is_slower(self, seconds: float) -> bool:
        """Take in a call; whether the last ones are much slower than the fast ones were. The very fastest may be a fluke."""
        self._all.append(seconds)
        self._last.append(seconds)
        if len(self._all) < AT_LEAST or len(self._last) < LATELY:
            return False
        usual = sorted(self._all)[len(self._all) // 10]
        now = statistics.median(self._last)
        return now > SLOWER * usual and now > self._negligible

    def anew(self) -> None:
        """Judge the next calls by themselves."""
        self._last.clear()
