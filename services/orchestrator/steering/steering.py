"""What to ask next, of whom, and when to stop: the whole state of steering, a fold over decisions and finished calls."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from services.orchestrator.steering.allocation import Allocation, Objective, Offer
from services.orchestrator.steering.avoid import AvoidLists
from services.orchestrator.steering.coverage import Coverage
from services.orchestrator.steering.facets import FOLLOWED, WHOLE, Facets
from services.orchestrator.steering.on_topic import OnTopic
from services.orchestrator.steering.saturation import BARREN_AT_MOST, WINDOW, Brought, Saturation
from services.orchestrator.steering.yields import SHARED, Yields

PROBES = 0.05
"""Share of the calls that are probes; the first comes after ten calls, when there is something to tell."""

TAIL_BELOW = 0.75
"""New attributes for each one asked for, below which a prompt asks for what is seldom named: the head is repeated by then."""

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
class Made:
    """A call that asks for attributes, and how."""

    task: str
    route: str
    """`<provider>/<model>`."""
    facet: str = WHOLE
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """A finished call that asked for attributes."""

    made: Made
    asked: int
    usd: float | None
    """None when its model has no price."""
    seconds: float


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
        self.on_topic = OnTopic()
        self._held: dict[str, Made] = {}
        self._open: dict[str, list[int]] = {}
        """New and known attributes of calls that are not reported yet, by task."""
        self._calls: Counter[str] = Counter()
        self._probes: Counter[str] = Counter()
        self._within: Counter[tuple[str, str]] = Counter()
        """Calls that were no probes, by route and facet."""

    # ---- the fold --------------------------------------------------------------------------------------------------

    def accepted(self, text: str, made: Made) -> None:
        """Take in a new attribute, and the call that brought it."""
        self.coverage.accepted(len(self.avoid), made.task, probe=made.probe)
        self.avoid.accepted(text, made.facet)
        self.on_topic.accepted(made.route)
        self._open.setdefault(made.task, [0, 0])[0] += 1

    def repeated(self, index: int, made: Made) -> None:
        """Take in that an attribute was produced again; they are numbered from 0."""
        self.coverage.repeated(index, made.task, probe=made.probe)
        self.avoid.repeated(index, made.facet)
        self._open.setdefault(made.task, [0, 0])[1] += 1

    def handed_out(self, made: Made) -> None:
        """Take in a call that is under way."""
        self._held[made.task] = made

    def called_back(self, task: str) -> None:
        """Take in that a call is under way no more: it was not made, or failed."""
        self._held.pop(task, None)
        self._open.pop(task, None)

    def called(self, call: Called) -> None:
        """Take in a finished call, after the decisions about what it brought."""
        made = call.made
        self._held.pop(made.task, None)
        new, old = self._open.pop(made.task, (0, 0))
        self._calls[made.route] += 1
        self.allocation.called(made.route, call.usd, call.seconds)
        self.saturation.called(Brought(made.route, call.asked, new, call.usd, call.seconds))
        if made.probe:
            self._probes[made.route] += 1
            self.coverage.called(made.task)
        else:  # a probe is meant to repeat what is known
            facet = made.facet if made.facet in self.facets.of else WHOLE
            self._within[made.route, facet] += 1
            self.yields.called(made.route, facet, call.asked, new)
            self.facets.called(facet, new, old)

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
        worth = worth or list(offers)
        brings = {o.route: self.yields.of_route(o.route) * self.on_topic.share_of(o.route) for o in worth}
        return self.allocation.choose(worth, brings, held)

    def waits(self) -> bool:
        """Whether the calls under way may be the last: enough of them without anything new would end the run."""
        barren = self.saturation.barren.total()
        return "stop" in self.wish.parts and barren >= DOUBTFUL and barren + len(self._held) >= BARREN_AT_MOST

    def ask(self, route: str) -> Ask:
        """How to ask this route."""
        if self._probe_is_due(route):
            return Ask(probe=True)
        facet = self._facet(route)
        tail = "tail" in self.wish.parts and self.yields.of_pair(route, facet) < TAIL_BELOW
        return Ask(facet=facet, tail=tail, avoid=self.names(facet))

    def sample(self) -> list[int]:
        """The attributes that a model should judge now, numbered from 0."""
        return self.on_topic.sample() if "judge" in self.wish.parts else []

    def names(self, facet: str) -> list[str]:
        """What a call in a facet is told to avoid."""
        return self.avoid.names(facet, without=self.coverage.alone) if "avoid" in self.wish.parts else []

    def _facet(self, route: str) -> str:
        """The most promising facet, and of several the one with the fewest calls; each call under way promises a bit less."""
        held = Counter(h.facet for h in self._held.values())

        def promise(name: str) -> tuple[float, int]:
            return self.yields.of_pair(route, name) * SHARED ** held[name], -held[name] - self.facets.of[name].calls

        names, strange = self.facets.open_to(route), self.facets.strange_to(route)
        if self._may_follow(route, strange):
            names += strange
        return max(names, key=promise)

    def _may_follow(self, route: str, strange: Sequence[str]) -> bool:
        """Whether the next call to a route may keep to a facet that one other route alone has named."""
        within = self._within + Counter((h.route, h.facet) for h in self._held.values() if not h.probe)
        calls = sum(number for (whom, _), number in within.items() if whom == route)
        return sum(within[route, name] for name in strange) + 1 <= FOLLOWED * (calls + 1)

    def _probe_is_due(self, route: str) -> bool:
        """Whether the next call to a route is to be a probe.

        Routes have probes as they have calls, so that the coverage is that of the models that are really asked.
        """
        if "probes" not in self.wish.parts:
            return False
        held = list(self._held.values())
        calls, probes = self._calls + Counter(h.route for h in held), self._probes + Counter(h.route for h in held if h.probe)
        return probes.total() + 0.5 <= PROBES * calls.total() and probes[route] <= PROBES * calls[route]

    # ---- when to stop ----------------------------------------------------------------------------------------------

    def stop(self, routes: Collection[str]) -> str:
        """Why the run should end, in words, when it can ask these routes; empty while it should go on.

        As many calls are looked ahead as back: the last ones may have been made in the wrong places. It ends when not even the
        most promising ones are worth it (Pandora's rule: Weitzman, https://doi.org/10.2307/1910412).
        """
        if "stop" not in self.wish.parts:
            return ""
        least = self.wish.stop_below
        if least and (words := self.saturation.below(least)) and self._promised(routes) < least:
            return f"{words} (stop_below {least:.0%})"
        return self.saturation.exhausted(routes)

    def _promised(self, routes: Collection[str]) -> float:
        """New attributes for each one asked for that the next calls to these routes promise; 1 while one is hardly tried."""
        if any(self._calls[route] < FEWEST_CALLS for route in routes):
            return 1.0
        return self.yields.of_next(WINDOW, routes, {name: None for route in routes for name in self.facets.open_to(route)})

    def _dry(self, route: str) -> bool:
        """Whether too little of what a route promises is new for the user's taste."""
        return bool(self.wish.stop_below) and self._calls[route] >= FEWEST_CALLS and self._best(route) < self.wish.stop_below

    def _best(self, route: str) -> float:
        return max(self.yields.of_pair(route, name) for name in self.facets.open_to(route))
