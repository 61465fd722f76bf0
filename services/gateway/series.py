"""How a run's figures grew: a bounded number of points, however long it runs."""

import math
from array import array

import msgspec

from shared.messages import RunState

MOST_POINTS = 200
"""About 8 KB a run, and no fewer than a curve on the page can show."""

FIRST_STEP = 0.5
"""Seconds between two points at first, as often as snapshots come; it doubles each time there are too many."""


class Point(msgspec.Struct):
    """A run's figures after it ran for so many seconds."""

    seconds: float
    accepted: int
    candidates: int
    usd: float | None
    """Null when a part of it is unknown."""
    coverage: float | None


WIDTH = len(Point.__struct_fields__)


class Series:
    """The points of one run, in order of time, from when this gateway first heard of it: the bus keeps no earlier ones."""

    def __init__(self) -> None:
        self._step = FIRST_STEP
        self._numbers = array("d")
        """`WIDTH` for each point; NaN stands for null. Points as objects would be ten times as large."""

    def __len__(self) -> int:
        return len(self._numbers) // WIDTH

    def add(self, state: RunState) -> None:
        """Take a newer state. The last point is always the newest, however near it is to the one before."""
        since = state.seconds - self._seconds(-1) if len(self) else math.inf
        if since < 0:
            return  # overtaken, or of an orchestrator that took over and counts from the run's last state
        if since == 0 or (len(self) > 1 and state.seconds - self._seconds(-2) < self._step):
            del self._numbers[-WIDTH:]
        candidates = sum(counts.candidates for counts in state.providers.values())
        nullable = (math.nan if value is None else value for value in (state.usd, state.coverage))
        self._numbers.extend((state.seconds, state.accepted, max(candidates, state.accepted), *nullable))
        if len(self) > MOST_POINTS:
            self._thin()

    def points(self) -> list[Point]:
        """All of them."""
        return [self._point(first) for first in range(0, len(self._numbers), WIDTH)]

    def _seconds(self, place: int) -> float:
        return self._numbers[place * WIDTH]

    def _point(self, first: int) -> Point:
        seconds, accepted, candidates, usd, coverage = self._numbers[first : first + WIDTH]
        return Point(seconds, int(accepted), int(candidates), _known(usd), _known(coverage))

    def _thin(self) -> None:
        """Leave out every second point, but neither the first nor the last."""
        self._step *= 2
        kept = array("d")
        for place in range(0, len(self) - 1, 2):
            kept += self._numbers[place * WIDTH : (place + 1) * WIDTH]
        self._numbers = kept + self._numbers[-WIDTH:]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
