"""What to ask next, of whom, and when to stop: the whole state of steering, a fold over decisions and finished calls."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from services.orchestrator.steering.allocation import Allocation, Objective, Offer
from services.orchestrator.steering.avoid import AvoidLists
from services.orchestrator.steering.coverage import Coverage
from services.orchestrator.steering.facets import WHOLE, Facets
from services.orchestrator.steering.saturation import Brought, Saturation
from services.orchestrator.steering.yields import Yields

PROBES = 0.05
"""Share of the calls that are probes."""

TAIL_BELOW = 0.5
"""New attributes for each one asked for, below which a prompt asks for what is seldom named: the head is found by then."""

DOUBTFUL = 5
"""Calls in a row without anything new, after which all routes are asked in turn: before a run ends, each has had its say."""

FEWEST_CALLS = 3
"""Calls of a route before its share of new attributes can end a run."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants of steering; `parts` as in `RunSpec.parts`."""

    size: int
    objective: Objective = "balanced"
    facets: tuple[str, ...] = ()
    asks_for_facets: bool = False
    stop_below: float = 0.0
    parts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ask:
    """How the next call is to be made."""

    facet: str = WHOLE
    probe: bool = False
    tail: bool = False
    avoid: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Called:
    """A finished call that asked for attributes."""

    task: str
    route: str
    facet: str
    probe: bool
    asked: int
    usd: float | None
    """None when its model has no price."""
    seconds: float


@dataclass(frozen=True, slots=True)
class _Held:
    route: str
    facet: str
    probe: bool


class Steering:
    """Steers one run."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.avoid = AvoidLists()
        self.coverage = Coverage()
        self.saturation = Saturation()
        self.yields = Yields(wish.size)
        self.allocation = Allocation(wish.objective)
        uses_facets = "facets" in wish.parts
        self.facets = Facets(asks=uses_facets and wish.asks_for_facets)
        self.facets.give(wish.facets if uses_facets else ())
        self._held: dict[str, _Held] = {}
        self._open: dict[str, tuple[int, int]] = {}
        """New and known attributes of calls that are not reported yet, by task."""
        self._calls: Counter[str] = Counter()
        self._probes: Counter[str] = Counter()

    # ---- the fold --------------------------------------------------------------------------------------------------

    def accepted(self, text: str, task: str, facet: str, *, probe: bool) -> None:
        """Take in a new attribute."""
        self.coverage.accepted(len(self.avoid), task, probe=probe)
        self.avoid.accepted(text, facet)
        new, old = self._open.get(task, (0, 0))
        self._open[task] = (new + 1, old)

    def repeated(self, index: int, task: str, facet: str, *, probe: bool) -> None:
        """Take in that an attribute was produced again; they are numbered from 0."""
        self.coverage.repeated(index, task, probe=probe)
        self.avoid.repeated(index, facet)
        new, old = self._open.get(task, (0, 0))
        self._open[task] = (new, old + 1)

    def handed_out(self, task: str, route: str, facet: str, *, probe: bool) -> None:
        """Take in a call that is under way."""
        self._held[task] = _Held(route, facet, probe)

    def called_back(self, task: str) -> None:
        """Take in that a call is under way no more: it was not made, or failed."""
        self._held.pop(task, None)
        self._open.pop(task, None)

    def called(self, call: Called) -> None:
        """Take in a finished call, after the decisions about what it brought."""
        self._held.pop(call.task, None)
        new, old = self._open.pop(call.task, (0, 0))
        self._calls[call.route] += 1
        self.allocation.called(call.route, call.usd, call.seconds)
        self.saturation.called(Brought(call.route, call.asked, new, call.usd, call.seconds))
        if call.probe:
            self._probes[call.route] += 1
            self.coverage.called(call.task)
        else:  # a probe is meant to repeat what is known
            self.yields.called(call.route, call.facet, call.asked, new)
            self.facets.called(call.facet, new, old)

    # ---- what to ask -----------------------------------------------------------------------------------------------

    def choose(self, offers: Sequence[Offer]) -> Offer | None:
        """The route of the next call; None when no route is free, or none that is worth it."""
        held = [h.route for h in self._held.values()]
        if "allocation" not in self.wish.parts:
            had = Counter(held)
            free = [o for o in offers if o.free]
            return min(free, key=lambda o: (had[o.route], had[o.route] + self._calls[o.route]), default=None)
        if self.saturation.barren.total() >= DOUBTFUL:
            had = Counter(held) + self.saturation.barren
            return min((o for o in offers if o.free), key=lambda o: had[o.route], default=None)
        worth = [o for o in offers if not self._dry(o.route)]
        return self.allocation.choose(worth or offers, self.yields, held)

    def ask(self, route: str) -> Ask:
        """How to ask this route."""
        if self._probe_is_due(route):
            return Ask(probe=True)
        facet = self._facet(route)
        tail = "tail" in self.wish.parts and self.yields.of_pair(route, facet) < TAIL_BELOW
        return Ask(facet=facet, tail=tail, avoid=self.names(facet))

    def names(self, facet: str) -> list[str]:
        """What a call in a facet is told to avoid."""
        return self.avoid.names(facet, without=self.coverage.alone) if "avoid" in self.wish.parts else []

    def _facet(self, route: str) -> str:
        held = Counter(h.facet for h in self._held.values())
        return max(self.facets.open(), key=lambda name: self.yields.of_pair(route, name) * 0.7 ** held[name])

    def _probe_is_due(self, route: str) -> bool:
        """Whether the next call to a route is to be a probe.

        Routes have probes as they have calls, so that the coverage is that of the models that are really asked.
        """
        if "probes" not in self.wish.parts:
            return False
        held = list(self._held.values())
        calls, probes = self._calls + Counter(h.route for h in held), self._probes + Counter(h.route for h in held if h.probe)
        if probes.total() >= 1 + PROBES * calls.total():
            return False
        return probes[route] <= PROBES * calls[route]

    # ---- when to stop ----------------------------------------------------------------------------------------------

    def stop(self, routes: Collection[str]) -> str:
        """Why the run should end, in words, when it can ask these routes; empty while it should go on."""
        if "stop" not in self.wish.parts:
            return ""
        least = self.wish.stop_below
        if least and all(self._dry(route) for route in routes) and (words := self.saturation.below(least)):
            return f"{words} (stop_below {least:.0%})"
        return self.saturation.exhausted(routes)

    def _dry(self, route: str) -> bool:
        """Whether too little of what a route brings is new for the user's taste."""
        return self._calls[route] >= FEWEST_CALLS and self.yields.of_route(route) < self.wish.stop_below
