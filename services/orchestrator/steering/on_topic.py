"""How much of the list belongs to the topic, as a capable model judges a sample of it."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from services.orchestrator.steering.coverage import Estimate, interval

SAMPLE = 20
"""Attributes judged in one call."""

FIRST = 60
"""Attributes on the list before the first sample is taken; every next one takes twice as many."""

BENEFIT = 5
"""Attributes judged to belong that every route is credited with: one odd attribute is no drift."""


@dataclass(slots=True)
class OnTopic:
    """What samples told, in all and by the route that an attribute came from."""

    on: Counter[str] = field(default_factory=Counter)
    off: Counter[str] = field(default_factory=Counter)
    _routes: list[str] = field(default_factory=list)
    """Of each attribute."""
    _judged: set[int] = field(default_factory=set)
    _from: int = 0
    _due: int = FIRST
    """The next sample is of the attributes from here up to there, whenever the last one was judged: a restart forgets that."""

    def accepted(self, route: str) -> None:
        """Take in a new attribute."""
        self._routes.append(route)

    def sample(self) -> list[int]:
        """The attributes to judge now, spread over what was accepted since the last sample; none while it is too early."""
        if len(self._routes) < self._due:
            return []
        return [self._from + (i * (self._due - self._from)) // SAMPLE for i in range(SAMPLE)]

    def asked(self) -> None:
        """Note that a sample is being judged."""
        self._from, self._due = self._due, 2 * self._due

    def judged(self, on: Collection[int], off: Collection[int]) -> None:
        """Take in verdicts; attributes are numbered from 0."""
        for verdicts, counts in ((on, self.on), (off, self.off)):
            for index in verdicts:
                if 0 <= index < len(self._routes) and index not in self._judged:
                    self._judged.add(index)
                    counts[self._routes[index]] += 1

    def share_of(self, route: str) -> float:
        """The share of a route's attributes that belong to the topic, in its favour while little is known."""
        on = self.on[route] + BENEFIT
        return on / (on + self.off[route])

    @property
    def trials(self) -> int:
        """Attributes judged."""
        return self.on.total() + self.off.total()

    def estimate(self) -> Estimate | None:
        """The share that belongs to the topic; None before any was judged."""
        if not self.trials:
            return None
        low, high = interval(self.on.total(), self.trials)
        return Estimate(self.on.total() / self.trials, low, high)
