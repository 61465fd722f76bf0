"""One run: everything known of it, as a fold over the log. No bus, no clock but the one it is handed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.orchestrator import decisions
from services.orchestrator.budget import Budget, Cost, Limits
from services.orchestrator.decisions import Arrival
from services.orchestrator.dedupe import Deduper, Verdict
from services.orchestrator.dedupe.deduper import DEFAULT_CAPACITY
from services.orchestrator.figures import figures
from services.orchestrator.grey_zone import GreyZone
from services.orchestrator.prices import Prices, dollars, pico
from services.orchestrator.steering import Called, Made, Steering, Wish
from services.orchestrator.tally import Tally
from shared import subjects
from shared.bus import Entry
from shared.messages import (
    ENDED,
    Accepted,
    Duplicate,
    Finished,
    Issued,
    Judgement,
    ProviderCounts,
    RunSpec,
    RunState,
    Settled,
    Spent,
    Status,
    Task,
    now,
)

ADJUDICATE = "a"
"""Stands before the number of a task that settles pairs: such tasks are counted apart from those that ask for attributes."""

QUESTION = "q"
"""Stands before the number of a task that asks for facets, or has a sample judged."""


Decision = Accepted | Duplicate | Settled | Issued | Spent
"""What the log holds of a run between its first entry and its last."""


@dataclass(slots=True)
class Outstanding:
    """A task that is issued and not yet done with."""

    task: Task
    since: float = 0.0
    """Seconds of the loop's clock."""
    sequence: int = 0
    """Where it stands in TASKS; 0 when it is not known to be there."""
    candidates: int = 0
    """Taken of this call."""
    begun: bool = False
    """Whether a producer was seen to claim its call: it is, or was, being made."""
    being_withdrawn: bool = False
    """Whether the orchestrator is claiming its call: a producer that comes second then says that it is lost, and it is not."""


@dataclass(slots=True)
class Aside:
    """Calls made to ask for facets or have a sample judged."""

    number: int = 0
    """Of the next such task; it only grows, since the queue drops an id it has seen."""
    calls: int = 0
    spent: Cost = field(default_factory=Cost)


@dataclass(slots=True)
class Run:
    """The state of one run. Every decision in it came out of the log or goes into it before anybody sees it."""

    id: str
    spec: RunSpec
    created: str
    places: dict[str, int] = field(default_factory=dict)
    """By provider, the sequence in its stream of reports up to which the log has what concerns this run."""
    status: Status = "running"
    ends_as: Status | None = None
    """While it is being ended: how."""
    reason: str = ""
    seconds: float = 0.0
    waited: float = 0.0
    """Seconds without anybody who could be asked, since there last was somebody."""
    ended: str = ""
    digest: str = ""
    duplicates: int = 0
    late: int = 0
    undecidable: int = 0
    """Candidates on which deduplication failed."""
    unsteered: int = 0
    """Finished calls that steering could not take in."""
    issued: int = 0
    """Tasks for attributes issued so far; also the next one's ordinal."""
    returned: int = 0
    """Those of them that were not made."""
    calls: int = 0
    """Finished or lost."""
    prices: Prices = field(default_factory=Prices.load)
    budget: Budget = field(init=False)
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By provider."""
    models: dict[str, Tally] = field(default_factory=dict)
    """By `<provider>/<model>`."""
    outstanding: dict[str, Outstanding] = field(default_factory=dict)
    trace: str = ""
    """Traceparent of the run's span."""
    reports_after: dict[str, int] = field(init=False)
    """As `places` was when the run began."""
    _deduper: Deduper | None = None
    steering: Steering = field(init=False)
    grey: GreyZone = field(default_factory=GreyZone)
    aside: Aside = field(default_factory=Aside)

    def __post_init__(self) -> None:
        spec = self.spec
        self.reports_after = dict(self.places)
        usd = None if spec.max_usd is None else pico(spec.max_usd)
        self.budget = Budget(Limits(usd=usd, tokens=spec.max_tokens, calls=spec.max_calls))
        self.steering = Steering(
            Wish(
                size=spec.request_size,
                objective=spec.objective,
                facets=spec.given_facets,
                asks_for_facets=spec.facets.strip() == "auto",
                stop_below=spec.stop_below,
                parts=spec.parts,
            )
        )
        for provider in spec.providers:
            self.tallies[provider] = Tally()

    @property
    def deduper(self) -> Deduper:
        """The list itself; made when first needed, since models and dictionary take a while to load."""
        if self._deduper is None:
            self._deduper = Deduper(tiers=self.spec.dedupe)
        return self._deduper

    @property
    def accepted(self) -> int:
        return len(self.steering.avoid)

    @property
    def active(self) -> bool:
        return self.status not in ENDED

    @property
    def full(self) -> bool:
        """Whether the list has as many attributes as were asked for, or as it may have at all."""
        return self.accepted >= self.limit

    @property
    def limit(self) -> int:
        """Attributes at which the run is full."""
        return min(self.spec.max_items or DEFAULT_CAPACITY, DEFAULT_CAPACITY)

    @property
    def calls_allowed(self) -> int | None:
        """Model calls the whole run may make; None is no limit."""
        return None if self.spec.iterations is None else self.spec.iterations * self.spec.producers

    @property
    def made(self) -> int:
        """Calls for attributes that were made or may yet be."""
        return self.issued - self.returned

    def tally(self, provider: str, model: str | None = None) -> Tally:
        """The counts of a provider, or of one of its models."""
        if model is None:
            return self.tallies.setdefault(provider, Tally())
        return self.models.setdefault(f"{provider}/{model}", Tally())

    # ---- deciding -------------------------------------------------------------------------------------------------

    def decide(self, arrivals: Sequence[Arrival]) -> list[Entry]:
        """Decide candidates of one provider in order of arrival; returns the decisions for the log.

        Those that come when the list is full are counted as late.
        """
        entries: list[Entry] = []
        for group in self._groups(arrivals):
            if self.full:
                self.late += len(group)
                continue
            entries += [self._decision(a, v) for a, v in self._verdicts(group)]
        return entries

    def _verdicts(self, group: Sequence[Arrival]) -> list[tuple[Arrival, Verdict]]:
        """What deduplication says of each; one on which it fails is left out, or it would end all runs, again at each start."""
        try:
            return list(zip(group, self.deduper.offer([a.candidate.text for a in group]), strict=True))
        except Exception:  # whatever it is: the text came from outside
            self._index_anew()
        if len(group) == 1:
            self.undecidable += 1
            return []
        return [pair for arrival in group for pair in self._verdicts([arrival])]

    def _groups(self, arrivals: Sequence[Arrival]) -> Sequence[Sequence[Arrival]]:
        """All at once, or one by one when the whole could carry the list past its limit."""
        if self.accepted + len(arrivals) <= self.limit:
            return [arrivals]
        return [[a] for a in arrivals]

    def _decision(self, arrival: Arrival, verdict: Verdict) -> Entry:
        if verdict.of is not None:
            duplicate = decisions.duplicate(arrival, verdict, verdict.of + 1, self.deduper.text(verdict.of))
            self._count_duplicate(duplicate)
            return Entry(subjects.duplicate(self.id, duplicate.candidate), duplicate, arrival.trace)
        near_text = "" if verdict.near is None else self.deduper.text(verdict.near)
        accepted = decisions.accepted(arrival, verdict, self.accepted + 1, near_text, self.digest)
        self._count_accepted(accepted)
        return Entry(subjects.accepted(self.id, verdict.key), accepted, arrival.trace)

    # ---- the fold -------------------------------------------------------------------------------------------------

    def settle(self, spent: Spent, judgements: Iterable[Judgement]) -> list[Entry]:
        """The decisions that follow from a model's judgements, for the log, but for pairs that wait no more."""
        entries: list[Entry] = []
        for judgement in judgements:
            pair = self.grey.pair(judgement.ordinal)
            if pair is None:
                continue
            settled = decisions.settled(pair, judgement, spent)
            self.grey.settled(settled)
            entries.append(Entry(subjects.settled(self.id, pair.ordinal), settled, self.trace))
        return entries

    def replay(self, decisions: Sequence[Decision], moment: float = 0.0) -> None:
        """Take in decisions read back from the log, in their order. `moment` is the present on the loop's clock."""
        self.deduper.restore(d.text for d in decisions if isinstance(d, Accepted))
        for decision in decisions:
            match decision:
                case Settled():
                    self.grey.settled(decision)
                case Accepted():
                    self._count_accepted(decision)
                    self._reached(decision.provider, decision.candidate_sequence)
                case Duplicate():
                    self._count_duplicate(decision)
                    self._reached(decision.provider, decision.candidate_sequence)
                case Issued(task=task):
                    self.issue(task, moment)
                case Spent():
                    self.spend(decision)
                    self._reached(decision.provider, decision.report)

    def _reached(self, provider: str, sequence: int) -> None:
        self.places[provider] = max(self.places.get(provider, 0), sequence)

    def _index_anew(self) -> None:
        """Make the index of the list from the list again: a text that it could not take may have left it in disorder."""
        self._deduper = Deduper(tiers=self.spec.dedupe)
        self._deduper.restore(self.steering.avoid.text(index) for index in range(self.accepted))

    def _count_accepted(self, accepted: Accepted) -> None:
        made_by = Made(accepted.task, f"{accepted.provider}/{accepted.model}", accepted.facet, accepted.probe)
        self.steering.accepted(accepted.text, made_by)
        self.grey.accepted(accepted)
        self.digest = accepted.digest
        self.tally(accepted.provider).accepted += 1
        self.tally(accepted.provider, accepted.model).accepted += 1

    def _count_duplicate(self, duplicate: Duplicate) -> None:
        made_by = Made(duplicate.task, f"{duplicate.provider}/{duplicate.model}", duplicate.facet, duplicate.probe)
        self.steering.repeated(duplicate.of - 1, made_by)
        self.duplicates += 1
        self.tally(duplicate.provider).duplicates += 1
        self.tally(duplicate.provider, duplicate.model).duplicates += 1

    def issue(self, task: Task, moment: float) -> Outstanding:
        """Take in a call that may be made from now on, and hold what it may cost.

        The next one has a higher number, also where the log lacks some before it: a number is used once.
        """
        after = task.ordinal + 1
        held = self.outstanding[task.id] = Outstanding(task, moment)
        if task.kind == "adjudicate":
            self.grey.ask(task.id, (pair.ordinal for pair in task.pairs))
            self.grey.number = max(self.grey.number, after)
        elif task.kind == "list":
            self.issued = max(self.issued, after)
            self.steering.handed_out(Made(task.id, f"{task.provider}/{task.model}", task.facet, task.probe))
        else:
            self.aside.number = max(self.aside.number, after)
            self.aside.calls += 1
            if task.kind == "facets":
                self.steering.facets.asked(task.facet)
            else:
                self.steering.on_topic.asked()
        self.budget.hold(task.id, Cost(pico(task.reserved_usd), task.reserved_tokens))
        return held

    def spend(self, spent: Spent) -> Outstanding | None:
        """Take in that an issued task is done with; returns how it was held, None if it is not outstanding."""
        held = self.outstanding.pop(spent.task, None)
        if held is None:
            return None
        cost = Cost(spent.cost or 0, spent.tokens)
        if spent.outcome == "returned":
            self._return(spent)
            return held
        self.calls += 1
        self.budget.commit(spent.task, cost)
        try:
            self._steer(spent, cost)
        except Exception:  # what an answer says may spoil a look ahead, never the account, nor each start from now on
            self.unsteered += 1
            self.steering.called_back(spent.task)
        if spent.kind == "adjudicate":
            self.grey.answered(spent.task, cost)
        self.tally(spent.provider).used(spent)
        self.tally(spent.provider, spent.model).used(spent)
        return held

    def _return(self, spent: Spent) -> None:
        """Take in that a task was not made: it is as if it had not been issued, but for its number."""
        if spent.kind == "list":
            self.returned += 1
        self.budget.release(spent.task)
        self.grey.called_back(spent.task)
        self.steering.called_back(spent.task)

    def _steer(self, spent: Spent, cost: Cost) -> None:
        """Have steering take in what a finished call tells. One that failed tells nothing of what its model knows."""
        route = f"{spent.provider}/{spent.model}"
        if spent.kind in ("facets", "judge"):
            self.aside.spent += cost
        if spent.kind == "facets":
            self.steering.facets.answered(spent.facet, spent.facets, route)
        elif spent.kind == "judge":
            self.steering.on_topic.judged([n - 1 for n in spent.on_topic], [n - 1 for n in spent.off_topic])
        elif spent.kind == "list" and spent.outcome == "ok":
            usd = None if spent.cost is None else dollars(spent.cost)
            made = Made(spent.task, route, spent.facet, spent.probe)
            self.steering.called(Called(made, spent.asked, usd, spent.seconds))
        else:
            self.steering.called_back(spent.task)

    # ---- what others see ------------------------------------------------------------------------------------------

    @property
    def usd(self) -> float | None:
        """Dollars spent; None when a part of it is unknown."""
        if any(tally.usd is None for tally in self.tallies.values()):
            return None
        return dollars(self.budget.spent.usd)

    def state(self) -> RunState:
        return RunState(
            spec=self.spec,
            created=self.created,
            ended=self.ended,
            ends_as=self.ends_as or "",
            waited=round(self.waited, 3),
            reserved_usd=dollars(self.budget.reserved.usd),
            **self._standing(),
        )

    def finished(self) -> Finished:
        return Finished(late=self.late, digest=self.digest, at=now(), **self._standing())

    def _standing(self) -> dict[str, Any]:
        """What a run's state and its last entry in the log both tell."""
        return {
            "run": self.id,
            "status": self.status,
            "reason": self.reason,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "seconds": round(self.seconds, 3),
            "providers": _counts(self.tallies),
            "models": _counts(self.models),
            "calls": self.calls,
            "tokens": self.budget.spent.tokens,
            "usd": self.usd,
            **figures(self.steering),
        }


MOST_MODELS = 16
"""Models of a run that its state tells of, those with the most calls first: the state must fit a message."""


def _counts(tallies: dict[str, Tally]) -> dict[str, ProviderCounts]:
    busiest = sorted(tallies, key=lambda name: -tallies[name].calls)[:MOST_MODELS]
    return {name: tally.counts() for name, tally in tallies.items() if name in busiest}
