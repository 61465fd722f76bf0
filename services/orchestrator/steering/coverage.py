"""How complete the list is, told by probes: calls that name nothing to avoid and keep to no facet.

What the models repeat elsewhere is censored by the avoid list, so that estimators over all calls (Good and Turing, Chao) see
far too many attributes named once. A probe is not censored, and its items are drawn as the models draw them: the share of them
that other calls produced as well estimates how much of what these models would say the list has, weighted by how often they
would say it. A model does not repeat itself within an answer, so an answer's later items are rarer than that: the error is on
the safe side.
"""

from dataclasses import dataclass, field
from math import sqrt

CONFIDENT = 1.96
"""Standard errors of 95 % confidence."""

SAFE = 1.0
"""Standard errors by which the share that is told lies below the one measured: it should not promise what is not there."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its interval of 95 % confidence."""

    share: float
    low: float
    high: float


def interval(hits: int, trials: int, z: float = CONFIDENT) -> tuple[float, float]:
    """Wilson's score interval of a share (https://doi.org/10.1080/01621459.1927.10502953)."""
    if trials <= 0:
        return 0.0, 1.0
    share = hits / trials
    centre = share + z * z / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def careful(hits: int, trials: int) -> Estimate | None:
    """A share on the safe side, with its interval; None without trials."""
    if not trials:
        return None
    low, high = interval(hits, trials)
    return Estimate(interval(hits, trials, SAFE)[0], low, high)


@dataclass(slots=True)
class Coverage:
    """Follows what probes brought, and which of it other calls brought too."""

    drawn: int = 0
    """Items of probes."""
    found: int = 0
    """Those that other calls produced too."""
    alone: dict[int, str] = field(default_factory=dict)
    """Attributes that one probe alone produced, each with its task. They are kept out of the avoid lists: named there, no other
    call could produce them."""
    _brought: dict[str, set[int]] = field(default_factory=dict)
    """What each probe under way produced: an attribute that it wrote in two ways counts once."""

    def accepted(self, index: int, task: str, *, probe: bool) -> None:
        """Take in a new attribute."""
        if probe:
            self.drawn += 1
            self.alone[index] = task
            self._brought.setdefault(task, set()).add(index)

    def repeated(self, index: int, task: str, *, probe: bool) -> None:
        """Take in an attribute that was produced again."""
        if index in self.alone and self.alone[index] != task:
            del self.alone[index]
            self.found += 1
        if probe and index not in (brought := self._brought.setdefault(task, set())):
            brought.add(index)
            self.drawn += 1
            self.found += 1

    def called(self, task: str) -> None:
        """Take in that a probe is over."""
        self._brought.pop(task, None)

    def estimate(self) -> Estimate | None:
        """The coverage; None while no probe has brought anything."""
        return careful(self.found, self.drawn)
