"""Which route the next call goes to: in proportion to a power of what it brings for what it costs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Objective = Literal["dollars", "seconds", "balanced"]

DOLLARS: dict[Objective, float] = {"dollars": 0.95, "balanced": 0.5, "seconds": 0.05}
"""Weight of a call's price against its time. Neither is ever nothing: of two free models the faster one is better."""

SHARPNESS: dict[Objective, int] = {"dollars": 6, "balanced": 2, "seconds": 2}
"""Power of a route's value in its share: equal routes take turns, and one worth half as much gets a quarter of the calls of a
better one. When dollars alone count it gets a sixty-fourth: nobody who says so wants to pay for variety."""

MEMORY = 0.9
"""Weight that the calls of a route keep with each further call of the run, when shares are kept."""

LEAST = 1e-4
"""Of the best route's weight: what a route has at least, so that all take turns when nobody brings anything."""

PATIENCE = 0.5
"""For the objective dollars: rather than go to a route worth less than this part of a busy one, a call waits for that one."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A route that a call may go to."""

    route: str
    """`<provider>/<model>`."""
    usd: float | None
    """Dollars that a call is expected to cost before any was made; None when its model has no price."""
    free: bool = True
    """Whether it can begin at once."""


@dataclass(slots=True)
class _Spent:
    calls: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    priced: bool = True
    turns: float = 0.0
    """Calls, later ones weighing more."""


@dataclass(slots=True)
class Allocation:
    """What the routes of one run cost, and the turns they had."""

    objective: Objective
    _spent: dict[str, _Spent] = field(default_factory=dict)

    def called(self, route: str, usd: float | None, seconds: float) -> None:
        """Take in a finished call."""
        for other in self._spent.values():
            other.turns *= MEMORY
        spent = self._spent.setdefault(route, _Spent())
        spent.calls += 1
        spent.turns += 1
        spent.usd += usd or 0.0
        spent.priced = spent.priced and usd is not None
        spent.seconds += seconds

    def choose(self, offers: Sequence[Offer], brings: Mapping[str, float], held: Collection[str]) -> Offer | None:
        """The route of the next call, by what a call to each brings and the routes of the calls under way.

        None when no route is free, or to wait for a better one.
        """
        values = self.values(offers, brings)
        best = max(values.values(), default=0.0)
        free = [offer for offer in offers if offer.free]
        if self.objective == "dollars":
            waited_for = max((values[o.route] for o in offers if o.route in held), default=0.0)
            free = [offer for offer in free if values[offer.route] >= PATIENCE * waited_for]
        under_way = Counter(held)
        return min(free, key=lambda o: self._turn(o.route, values[o.route] / best if best else 1.0, under_way), default=None)

    def _turn(self, route: str, value: float, under_way: Counter[str]) -> float:
        """When it is a route's turn, the least first: the calls it had lately for its share."""
        had = self._spent[route].turns if route in self._spent else 0.0
        return (had + under_way[route] + 0.5) / max(LEAST, value ** SHARPNESS[self.objective])

    def values(self, offers: Sequence[Offer], brings: Mapping[str, float]) -> dict[str, float]:
        """What a call to each route brings, for what it costs beside the others."""
        usd = _relative({o.route: self._usd(o) for o in offers})
        seconds = _relative({o.route: self._seconds(o.route) for o in offers})
        weight = DOLLARS[self.objective]
        cost = {o.route: weight * usd[o.route] + (1 - weight) * seconds[o.route] for o in offers}
        return {route: brings[route] / cost[route] for route in cost}

    def usd_of(self, route: str) -> float | None:
        """Mean dollars of a call to a route; None when unknown."""
        spent = self._spent.get(route)
        return spent.usd / spent.calls if spent and spent.priced else None

    def _usd(self, offer: Offer) -> float | None:
        return self.usd_of(offer.route) if offer.route in self._spent else offer.usd

    def _seconds(self, route: str) -> float | None:
        spent = self._spent.get(route)
        return spent.seconds / spent.calls if spent else None


def _relative(amounts: dict[str, float | None]) -> dict[str, float]:
    """Each amount beside the mean of all, which stands for an unknown one. A hundredth at least: nothing is quite free."""
    known = [amount for amount in amounts.values() if amount is not None]
    mean = sum(known) / len(known) if known else 0.0
    return {name: max(0.01, amount / mean) if amount is not None and mean else 1.0 for name, amount in amounts.items()}
