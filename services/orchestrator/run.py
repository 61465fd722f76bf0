"""One run: everything known of it, as a fold over the log. No bus, no clock but the one it is handed."""

from collections.abc import Sequence
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
from services.orchestrator.tally import Tally, tokens_of
from shared import subjects
from shared.bus import Entry
from shared.messages import (
    ENDED,
    Accepted,
    Duplicate,
    Finished,
    Kind,
    ProviderCounts,
    RunSpec,
    RunState,
    Settled,
    Status,
    Task,
    Usage,
    now,
)

ADJUDICATE = "a"
"""Stands before the number of a task that settles pairs: such tasks are counted apart from those that ask for attributes."""

QUESTION = "q"
"""Stands before the number of a task that asks for facets, or has a sample judged."""


@dataclass(slots=True)
class Outstanding:
    """A task handed out and not yet reported: where it stands in TASKS, and since when (seconds of the loop's clock)."""

    task: Task
    sequence: int
    since: float


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
    candidates_after: int
    """Sequence in CANDIDATES up to which this run's candidates are decided."""
    created: str
    status: Status = "running"
    reason: str = ""
    seconds: float = 0.0
    ended: str = ""
    digest: str = ""
    duplicates: int = 0
    late: int = 0
    issued: int = 0
    """Tasks published so far; also the next task's ordinal."""
    prices: Prices = field(default_factory=Prices.load)
    budget: Budget = field(init=False)
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By provider."""
    models: dict[str, Tally] = field(default_factory=dict)
    """By `<provider>/<model>`."""
    outstanding: dict[str, Outstanding] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)
    """Ids of the tasks whose usage is counted: a usage read twice counts once."""
    trace: str = ""
    """Traceparent of the run's span."""
    _deduper: Deduper | None = None
    steering: Steering = field(init=False)
    grey: GreyZone = field(default_factory=GreyZone)
    aside: Aside = field(default_factory=Aside)

    def __post_init__(self) -> None:
        spec = self.spec
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

    def tally(self, provider: str, model: str | None = None) -> Tally:
        """The counts of a provider, or of one of its models."""
        if model is None:
            return self.tallies.setdefault(provider, Tally())
        return self.models.setdefault(f"{provider}/{model}", Tally())

    # ---- deciding -------------------------------------------------------------------------------------------------

    def decide(self, arrivals: Sequence[Arrival]) -> list[Entry]:
        """Decide candidates in order of arrival; returns the decisions for the log.

        Candidates at or below the run's place were decided before and are left out; those that come when the list is full
        are counted as late.
        """
        fresh = [a for a in arrivals if a.sequence > self.candidates_after]
        if not fresh:
            return []
        self.candidates_after = fresh[-1].sequence
        entries: list[Entry] = []
        for group in self._groups(fresh):
            if self.full:
                self.late += len(group)
                continue
            verdicts = self.deduper.offer([a.candidate.text for a in group])
            entries += [self._decision(a, v) for a, v in zip(group, verdicts, strict=True)]
        return entries

    def _groups(self, arrivals: list[Arrival]) -> list[list[Arrival]]:
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

    def settle(self, usage: Usage) -> list[Entry]:
        """The decisions that follow from a model's judgements, for the log. Those about pairs nobody asked of are left out."""
        entries: list[Entry] = []
        for judgement in usage.judgements:
            pair = self.grey.pair(judgement.ordinal)
            if pair is None:
                continue
            settled = decisions.settled(pair, judgement, usage)
            self.grey.settled(settled)
            entries.append(Entry(subjects.settled(self.id, pair.ordinal), settled, self.trace))
        return entries

    def replay(self, decisions: Sequence[Accepted | Duplicate | Settled]) -> None:
        """Take in decisions read back from the log, in their order."""
        self.deduper.restore(d.text for d in decisions if isinstance(d, Accepted))
        for decision in decisions:
            if isinstance(decision, Settled):
                self.grey.settled(decision)
                continue
            if isinstance(decision, Accepted):
                self._count_accepted(decision)
            else:
                self._count_duplicate(decision)
            self.candidates_after = max(self.candidates_after, decision.candidate_sequence)

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

    def handed_out(self, task: Task, sequence: int, since: float) -> None:
        """Take in a task that is in the queue, and hold what it may cost."""
        self.outstanding[task.id] = Outstanding(task, sequence, since)
        if task.kind == "adjudicate":
            self.grey.ask(task.id, (pair.ordinal for pair in task.pairs))
        elif task.kind == "list":
            self.steering.handed_out(Made(task.id, f"{task.provider}/{task.model}", task.facet, task.probe))
        else:
            self.aside.number += 1
            self._asked(task.kind, task.facet)
        self.budget.hold(task.id, Cost(pico(task.reserved_usd), task.reserved_tokens))

    def called_back(self, task: str) -> None:
        """Take in that a task will not be done: it is as if it had not been handed out, but for its number."""
        del self.outstanding[task]
        self.budget.release(task)
        self.grey.called_back(task)
        self.steering.called_back(task)

    def _asked(self, kind: Kind, facet: str) -> None:
        """Count a question, when it is handed out or, after a restart, when its answer is read again."""
        self.aside.calls += 1
        if kind == "facets":
            self.steering.facets.asked(facet)
        else:
            self.steering.on_topic.asked()

    def used(self, usage: Usage) -> bool:
        """Take in a finished model call; returns False if it was counted before."""
        if usage.task in self.reported:
            return False
        self.reported.add(usage.task)
        tokens = tokens_of(usage)
        price = self.prices.of(usage.provider, usage.model)
        usd = None if price is None else price.cost(tokens)
        cost = Cost(usd or 0, tokens.input + tokens.output)
        if self.outstanding.pop(usage.task, None):
            self.budget.commit(usage.task, cost)
        else:
            self.budget.count(cost)
            if usage.kind in ("facets", "judge"):
                self._asked(usage.kind, usage.facet)
        self._steer(usage, None if usd is None else dollars(usd), cost)
        if usage.task.startswith(f"{self.id}-{ADJUDICATE}"):
            self.grey.answered(usage.task, cost)
        self.tally(usage.provider).used(usage, usd)
        self.tally(usage.provider, usage.model).used(usage, usd)
        return True

    def _steer(self, usage: Usage, usd: float | None, cost: Cost) -> None:
        """Have steering take in what a finished call tells. One that failed tells nothing of what its model knows."""
        if usage.kind in ("facets", "judge"):
            self.aside.spent += cost
        if usage.kind == "facets":
            self.steering.facets.answered(usage.facet, usage.facets)
        elif usage.kind == "judge":
            self.steering.on_topic.judged([n - 1 for n in usage.on_topic], [n - 1 for n in usage.off_topic])
        elif usage.kind == "list" and usage.outcome == "ok":
            made = Made(usage.task, f"{usage.provider}/{usage.model}", usage.facet, usage.probe)
            self.steering.called(Called(made, usage.asked or self.spec.request_size, usd, usage.seconds))
        else:
            self.steering.called_back(usage.task)

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
            "calls": len(self.reported),
            "tokens": self.budget.spent.tokens,
            "usd": self.usd,
            **figures(self.steering),
        }


MOST_MODELS = 16
"""Models of a run that its state tells of, those with the most calls first: the state must fit a message."""


def _counts(tallies: dict[str, Tally]) -> dict[str, ProviderCounts]:
    busiest = sorted(tallies, key=lambda name: -tallies[name].calls)[:MOST_MODELS]
    return {name: tally.counts() for name, tally in tallies.items() if name in busiest}
