"""Steering without a world: calls that bring what the test says."""

from collections.abc import Sequence

from services.orchestrator.steering import Called, Made, Offer, Steering, Wish
from shared.messages import PARTS

SIZE = 20

ALL = frozenset(PARTS)


def steering(parts: frozenset[str] = ALL, **wishes: object) -> Steering:
    return Steering(Wish(size=SIZE, parts=parts, **wishes))  # type: ignore[arg-type]  # the test names fields of Wish


class Play:
    """Hands out one call after the other and reports it at once."""

    def __init__(self, under_test: Steering, usd: dict[str, float], seconds: float = 1.0) -> None:
        self.steering = under_test
        self.usd = usd
        self.seconds = seconds
        self.number = 0
        self.made: list[Made] = []

    @property
    def routes(self) -> list[str]:
        return [made.route for made in self.made]

    def call(self, new: dict[str, int]) -> Made:
        """One call to the route that steering chooses; it brings so many new attributes, and else known ones."""
        offer = self.steering.choose([Offer(route, usd) for route, usd in self.usd.items()])
        assert offer is not None
        return self.to(offer.route, new[offer.route])

    def to(self, route: str, new: int) -> Made:
        """One call to this route."""
        ask = self.steering.ask(route)
        made = Made(f"t{self.number}", route, ask.facet, ask.probe)
        self.number += 1
        self.steering.handed_out(made)
        bring(self.steering, made, new, SIZE - new)
        self.steering.called(Called(made, SIZE, self.usd[route], self.seconds))
        self.made.append(made)
        return made


def bring(under_test: Steering, made: Made, new: int, known: int) -> None:
    for n in range(new):
        under_test.accepted(f"{made.task} {n}", made)
    for n in range(min(known, len(under_test.avoid))):
        under_test.repeated(n, made)


def shares(routes: Sequence[str], route: str) -> float:
    return routes.count(route) / len(routes)
