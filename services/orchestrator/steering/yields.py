"""How much that is new a call brings, by route and facet, as far as the calls made lately tell.

What a call brings only falls, so older calls count for less, as in discounted bandits (Garivier and Moulines,
https://arxiv.org/abs/0805.3415). Where there are few calls, those of others fill in, the more so the fewer there are (empirical
Bayes: Casella, https://doi.org/10.1080/00031305.1985.10479400).
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import product

OF_ROUTE = 0.7
"""Weight that a route's earlier calls keep with each further one: a model runs dry within a few calls."""

OF_FACET = 0.6
"""The same for a facet, which holds fewer attributes; and for a route in a facet with each call there, whoever makes it: it may
take what was left to others."""

FADING = 0.95
"""Weight that what is known of a route keeps with each call of the run: after some dozens of calls it is tried again."""

TRUST = 0.05
"""Calls that the hope before any call counts for: enough to have everything tried, too little to outweigh what was found."""

OF_FIRST = 0.8
"""The same for the first calls of routes in facets where others had been, with each further such call."""

NOVELTY = 0.2
"""Of what was found in a facet, how much more a route is hoped to bring that was not asked for it yet: models say much the same
of a topic, and never quite. The first calls of this run tell how far that is so."""

NOVELTY_TRUST = 1
"""Calls that this hope counts for beside them."""

PAIR_TRUST = 0.25
"""Calls that those of other routes count for beside a route's own."""

CREDIT = 3
"""Calls that kept what they promised, which every run is credited with before promises are marked down."""

SHARED = 0.7
"""What a call in a facet still promises beside another one in it that is not finished: both may bring the same."""


@dataclass(slots=True)
class Record:
    """Sums over calls, later ones weighing more."""

    asked: float = 0.0
    new: float = 0.0

    def add(self, keep: float, asked: float, new: int) -> None:
        self.fade(keep)
        self.asked += asked
        self.new += new

    def fade(self, keep: float) -> None:
        self.asked *= keep
        self.new *= keep

    def blend(self, hoped: float, weight: float) -> float:
        """The share that is new: as it was found, and as it is hoped for, which counts as so many asked for."""
        return (weight * hoped + self.new) / (weight + self.asked)


@dataclass(slots=True)
class Yields:
    """New attributes for each one asked for, 0 to 1. What was never tried is hoped to bring nothing but new ones."""

    size: int
    """Attributes that a call asks for."""
    found: Counter[str] = field(default_factory=Counter)
    """New attributes of all calls, by facet."""
    _routes: dict[str, Record] = field(default_factory=dict)
    _facets: dict[str, Record] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], Record] = field(default_factory=dict)
    _first: Record = field(default_factory=Record)
    """Of routes in facets where others had been."""
    _promised: Record = field(default_factory=Record)
    """What calls promised before they were made, and what they brought."""

    def called(self, route: str, facet: str, asked: int, new: int) -> None:
        """Take in a finished call: what it was asked for, and what it brought for the first time."""
        self._promised.add(FADING, asked * self.of_pair(route, facet), new)
        if self.found[facet] and (route, facet) not in self._pairs:
            self._first.add(OF_FIRST, asked, new)
        self.found[facet] += new
        for record in self._routes.values():
            record.fade(FADING)
        for (other, where), record in self._pairs.items():
            if where == facet and other != route:
                record.fade(OF_FACET)
        self._routes.setdefault(route, Record()).add(OF_ROUTE, asked, new)
        self._facets.setdefault(facet, Record()).add(OF_FACET, asked, new)
        self._pairs.setdefault((route, facet), Record()).add(OF_FACET, asked, new)

    def of_route(self, route: str) -> float:
        """Of a call to this route, in such facets as it was asked in lately."""
        return self._routes.get(route, Record()).blend(1.0, TRUST * self.size)

    def of_facet(self, facet: str) -> float:
        """Of a call in this facet, to such routes as were asked in it lately."""
        return self._facets.get(facet, Record()).blend(1.0, TRUST * self.size)

    def of_pair(self, route: str, facet: str) -> float:
        """Of a call to this route in this facet: what its own calls tell, and before them what those of other routes do."""
        record = self._pairs.get((route, facet))
        if record is None:
            hoped = min(1.0, NOVELTY * self.found[facet] / self.size)
            return max(self.of_facet(facet), self._first.blend(hoped, NOVELTY_TRUST * self.size))
        return record.blend(self.of_facet(facet), PAIR_TRUST * self.size)

    def of_next(self, calls: int, routes: Collection[str], facets: Collection[str]) -> float:
        """Of so many calls, made where they promise most; each further one to the same route and facet promises less.

        What promises most of many tends to promise too much (the optimizer's curse: Smith and Winkler,
        https://doi.org/10.1287/mnsc.1050.0451). So the sum is marked down as far as promises were not kept lately.
        """
        pairs = [self.of_pair(route, facet) for route, facet in product(routes, facets)]
        best = nlargest(calls, (pair * SHARED**turn for pair in pairs for turn in range(calls)))
        return sum(best) / calls * min(1.0, self._promised.blend(1.0, CREDIT * self.size))
