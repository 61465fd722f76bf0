"""Which provider and model the next task goes to, when the user wants to say so.

`backoff` uses one route and waits for it, `roundrobin` takes turns, `priority` uses the first route that works and returns to
an earlier one when it recovers, `weighted` keeps shares.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from shared.providers import PROVIDERS

Strategy = Literal["backoff", "roundrobin", "priority", "weighted"]

WEIGHT_TOLERANCE = 0.01
"""How far from 1 the weights may add up to: people write .33, .33, .33."""

MODEL = re.compile(r"[\w.\-/@]+(?::[\w.\-/@]+)*")
"""What a model name may look like; a colon is part of some (`llama3:8b`)."""


class RoutingError(ValueError):
    """Raised when a routing strategy or its configuration is wrong; the text says what to write."""


@dataclass(frozen=True, slots=True)
class Route:
    """A provider and one of its models; no model means the provider's own choice."""

    provider: str
    model: str = ""
    weight: float = 0.0

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


def parse(strategy: str, config: str) -> tuple[Strategy, tuple[Route, ...]]:
    """Read `--routing-strategy` and `--routing-config`.

    The configuration is a comma-separated list of `provider[:model]`, for `weighted` of `provider[:model]:weight`.
    Raises RoutingError.
    """
    if strategy not in get_args(Strategy):
        raise RoutingError(f"unknown routing strategy {strategy!r}; choose {', '.join(get_args(Strategy))}")
    parts = [part.strip() for part in config.split(",") if part.strip()]
    if not parts:
        raise RoutingError(f"{strategy} needs a routing configuration such as {_example(strategy)!r}")
    routes = tuple(_route(part, weighted=strategy == "weighted") for part in parts)
    _check(strategy, routes)
    return strategy, routes  # type: ignore[return-value]  # one of the four, checked above


def _example(strategy: str) -> str:
    if strategy == "backoff":
        return "openai:gpt-4o-mini"
    return "openai:0.7,anthropic:0.3" if strategy == "weighted" else "openai:gpt-4o-mini,anthropic"


def _route(part: str, *, weighted: bool) -> Route:
    name, _, rest = part.partition(":")
    weight = 0.0
    if weighted:
        rest, _, number = rest.rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            raise RoutingError(f"{part!r} has no weight; write provider:weight or provider:model:weight") from None
        if not 0 < weight <= 1:
            raise RoutingError(f"the weight in {part!r} is not above 0 and at most 1")
    if name not in PROVIDERS:
        raise RoutingError(f"unknown provider {name!r} in {part!r}; known are {', '.join(PROVIDERS)}")
    if rest and not MODEL.fullmatch(rest):
        raise RoutingError(f"{rest!r} in {part!r} is no model name")
    return Route(name, rest, weight)


def _check(strategy: str, routes: tuple[Route, ...]) -> None:
    if len({(r.provider, r.model) for r in routes}) != len(routes):
        raise RoutingError("a route is named twice")
    if strategy == "backoff" and len(routes) != 1:
        raise RoutingError("backoff uses one route; name one, or choose priority to fall back on others")
    total = sum(r.weight for r in routes)
    if strategy == "weighted" and abs(total - 1) > WEIGHT_TOLERANCE:
        raise RoutingError(f"the weights add up to {total:g}; they must add up to 1")


class Router:
    """Chooses the route of each task. Deterministic: the same history gives the same choice."""

    def __init__(self, strategy: Strategy, routes: tuple[Route, ...]) -> None:
        self._strategy = strategy
        self.routes = routes
        self._credit = dict.fromkeys(routes, 0.0)
        self._last = -1

    def choose(self, working: Collection[Route]) -> Route | None:
        """The route the next task belongs to, among those that work at present; None if none does.

        The one chosen may be busy: then the task waits for it, or the order and the shares would not hold.
        """
        up = self._up(working)
        if not up:
            return None
        if self._strategy == "roundrobin":
            return next(r for r in self._in_turn() if r in up)
        if self._strategy == "weighted":
            return max(up, key=lambda route: self._credit[route] + route.weight)
        return up[0]

    def given(self, route: Route, working: Collection[Route]) -> None:
        """Note that a task went to `route` while these routes worked.

        Shares follow smooth weighted round-robin: each working route earns its weight with every task, and the one that
        takes it pays for all. A route that was away earned nothing meanwhile, so its return brings no burst.
        """
        up = self._up(working)
        for other in up:
            self._credit[other] += other.weight
        self._credit[route] -= sum(other.weight for other in up)
        self._last = self.routes.index(route)

    def _up(self, working: Collection[Route]) -> list[Route]:
        return [r for r in self.routes if r in working]

    def _in_turn(self) -> list[Route]:
        start = (self._last + 1) % len(self.routes)
        return [*self.routes[start:], *self.routes[:start]]
