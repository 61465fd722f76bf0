"""The ways of steering that are set side by side: everything, nothing, and what lies between."""

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

from services.orchestrator.steering import Steering, Wish
from services.orchestrator.steering.avoid import MAX_TOKENS, AvoidLists, tokens_of
from shared.messages import PARTS
from tests.bench.zipf.play import SIZE

ALL = frozenset(PARTS)


class Recent(AvoidLists):
    """The list that one would write without thought: what came last, as much as the prompt may hold."""

    def names(self, facet: str = "", without: Container[int] = ()) -> list[str]:
        """See AvoidLists."""
        chosen: list[str] = []
        space = MAX_TOKENS
        for index in range(len(self) - 1, -1, -1):
            space -= tokens_of(self.text(index))
            if space < 0:
                break
            chosen.append(self.text(index))
        return chosen


def by_recency(wish: Wish) -> Steering:
    """Steering that names the most recent attributes."""
    steering = Steering(wish)
    steering.avoid = Recent()
    return steering


@dataclass(frozen=True, slots=True)
class Strategy:
    """A wish, and what it is made into."""

    wish: Wish
    make: Callable[[Wish], Steering] = Steering
    knowing: bool = False
    """Whether the world tells where each call brings most per dollar."""

    def but(self, *without: str, **changes: Any) -> "Strategy":
        """The same without these parts, or with other wishes."""
        return replace(self, wish=replace(self.wish, **{"parts": self.wish.parts - set(without), **changes}))


def _with(*parts: str, make: Callable[[Wish], Steering] = Steering) -> Strategy:
    return Strategy(Wish(SIZE, asks_for_facets=True, parts=frozenset(parts)), make)


EVERYTHING = _with(*(ALL - {"stop"}))
"""The stop is left out where strategies are compared at the same number of calls."""

TAIL_ALONE = _with("tail")

STRATEGIES = {
    "no feedback": _with(),
    "avoid the most recent": _with("avoid", make=by_recency),
    "avoid the most often proposed": _with("avoid"),
    "facets, no feedback": _with("facets"),
    "all, the models in turn": EVERYTHING.but("allocation"),
    "all": EVERYTHING,
}
