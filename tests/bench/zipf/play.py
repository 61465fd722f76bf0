"""Plays a run at function level: the classes that the orchestrator steers with, the world's models, and no bus between them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from services.orchestrator.steering import Ask, Called, Made, Offer, Steering, Wish
from services.orchestrator.steering.avoid import tokens_of
from tests.bench.zipf.world import World

SIZE = 20
"""Attributes asked for per call."""

AT_ONCE = 3
"""Calls under way at once: each is asked with what the earlier ones had found."""

AFTERWARDS = 10
"""Calls that are played on after a stop, to see what it gave up."""


@dataclass(slots=True)
class Played:
    """What a run found, after each call."""

    unique: list[int] = field(default_factory=list)
    usd: list[float] = field(default_factory=list)
    true_coverage: list[float] = field(default_factory=list)
    told_coverage: list[float | None] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    models: list[int] = field(default_factory=list)
    facets: list[str] = field(default_factory=list)
    avoid_tokens: int = 0
    """Of the longest avoid list."""
    stopped: str = ""
    available: float = 0.0
    """Share of new attributes in the calls that would have come next, had the run not stopped."""
    left: float = 0.0
    """The same, had each of them been made where the world knows that it brings most."""

    def at(self, calls: int) -> int:
        """The attributes found in so many calls, or in all if there were fewer."""
        return self.unique[min(calls, len(self.unique)) - 1] if self.unique else 0

    def at_usd(self, usd: float) -> int:
        """The attributes found for so many dollars."""
        return max((u for u, spent in zip(self.unique, self.usd, strict=True) if spent <= usd), default=0)

    def usd_while(self, share: float) -> float:
        """The dollars spent when the last ten calls brought no smaller share of new attributes than this for the last time."""
        unique = [0] * AFTERWARDS + self.unique
        least = share * SIZE * AFTERWARDS
        return max((usd for n, usd in enumerate(self.usd) if unique[n + AFTERWARDS] - unique[n] >= least), default=0.0)


@dataclass(slots=True)
class Limits:
    """When to end a run at the latest."""

    calls: int = 10_000
    usd: float = float("inf")


def play(
    world: World,
    wish: Wish,
    limits: Limits,
    seed: int,
    steering: Callable[[Wish], Steering] = Steering,
    at_once: int = AT_ONCE,
    *,
    knowing: bool = False,
) -> Played:
    """Play one run. `knowing` has each call go where the world knows that it brings most per dollar, as no strategy can."""
    rng = np.random.default_rng([seed, 2])
    game = _Game(world, steering(wish), Played())
    under_way: deque[tuple[Made, int, int, list[str]]] = deque()
    issued, committed = 0, 0.0
    routes = {f"model-{m}/zipf": m for m in world.models}
    while True:
        if not game.stopped_at and (reason := game.steering.stop(list(routes))):
            game.played.stopped, game.stopped_at = reason, len(game.played.unique)
            game.played.left = game.left(rng)
        if game.stopped_at and len(game.played.unique) >= game.stopped_at + AFTERWARDS:
            return game.cut()
        while len(under_way) < at_once and issued < limits.calls:
            while question := game.steering.facets.question(game.steering.yields, list(routes)):
                game.steering.facets.asked(question.of)
                game.steering.facets.answered(question.of, world.parts(question.of), question.route)
            offers = [Offer(r, world.law.prices[m]) for r, m in routes.items() if committed + world.law.prices[m] <= limits.usd]
            offer = game.best(offers, routes) if knowing else game.steering.choose(offers)
            if offer is None:
                break
            model, task = routes[offer.route], f"t{issued}"
            ask = game.steering.ask(offer.route)
            made = Made(task, offer.route, ask.facet, ask.probe)
            game.steering.handed_out(made)
            texts = world.answer(model, SIZE, ask.facet, ask.avoid, rng, tail=ask.tail)
            under_way.append((made, model, sum(map(tokens_of, ask.avoid)), texts))
            committed += world.law.prices[model]
            issued += 1
        if not under_way:
            return game.cut() if game.stopped_at else game.played
        game.finish(*under_way.popleft())


@dataclass(slots=True)
class _Game:
    world: World
    steering: Steering
    played: Played
    stopped_at: int = 0
    """Calls finished when steering said to stop."""
    _index: dict[int, int] = field(default_factory=dict)
    """By concept, its place on the list."""
    _usd: float = 0.0

    def best(self, offers: list[Offer], models: dict[str, int]) -> Offer | None:
        """The call that brings most per dollar, as the world knows it."""
        found = set(self._index)

        def value(offer: Offer) -> float:
            model = models[offer.route]
            return self._new(model, self.steering.ask(offer.route), found) / self.world.law.prices[model]

        return max(offers, key=value, default=None)

    def left(self, rng: np.random.Generator) -> float:
        """The share of new attributes in the next calls, if each was made where the world knows that it brings most."""
        found = set(self._index)
        asks = [Ask(facet, avoid=self.steering.names(facet)) for facet in self.steering.facets.open()]
        for _ in range(AFTERWARDS):
            model, ask = max(product(self.world.models, asks), key=lambda call: self._new(call[0], call[1], found))
            found.update(map(self.world.concept, self.world.answer(model, SIZE, ask.facet, ask.avoid, rng)))
        return (len(found) - len(self._index)) / (SIZE * AFTERWARDS)

    def _new(self, model: int, ask: Ask, found: set[int]) -> float:
        return self.world.expected_new(model, SIZE, ask.facet, ask.avoid, found)

    def finish(self, made: Made, model: int, avoided: int, texts: list[str]) -> None:
        """Take in an answer, as the orchestrator takes in candidates and then the usage."""
        steering, played = self.steering, self.played
        for text in texts:
            concept = self.world.concept(text)
            if concept in self._index:
                steering.repeated(self._index[concept], made)
            else:
                self._index[concept] = len(self._index)
                steering.accepted(text, made)
        price = self.world.law.prices[model]
        seconds = self.world.law.seconds
        steering.called(Called(made, SIZE, price, seconds))
        self._usd += price
        estimate = steering.coverage.estimate()
        played.unique.append(len(self._index))
        played.usd.append(self._usd)
        played.true_coverage.append(self.world.coverage(set(self._index)))
        played.told_coverage.append(estimate.share if estimate else None)
        played.low.append(estimate.low if estimate else 0.0)
        played.high.append(estimate.high if estimate else 1.0)
        played.models.append(model)
        played.facets.append(made.facet)
        played.avoid_tokens = max(played.avoid_tokens, avoided)

    def cut(self) -> Played:
        """What was played until the stop; what came afterwards tells what share of new attributes was still to be had."""
        played, at = self.played, self.stopped_at
        more = len(played.unique) - at
        played.available = (played.unique[-1] - played.unique[at - 1]) / (SIZE * more) if more else 0.0
        for values in (played.unique, played.usd, played.true_coverage, played.told_coverage, played.low, played.high):
            del values[at:]
        del played.models[at:], played.facets[at:]
        return played
