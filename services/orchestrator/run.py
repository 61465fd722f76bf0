"""One run: everything known of it, as a fold over the log. No bus, no clock but the one it is handed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.orchestrator.dedupe import Deduper, Verdict
from services.orchestrator.steering.avoid import AvoidList
from shared import subjects
from shared.bus import Entry
from shared.messages import (
    ENDED,
    Accepted,
    Candidate,
    Duplicate,
    Finished,
    ProviderCounts,
    RunSpec,
    RunState,
    Status,
    Task,
    Usage,
    next_digest,
    now,
)


@dataclass(slots=True)
class Arrival:
    """A candidate with its place in CANDIDATES and its trace."""

    sequence: int
    candidate: Candidate
    trace: str


@dataclass(slots=True)
class Tally:
    """What one provider did in a run; see `ProviderCounts` for the meaning of each number."""

    calls: int = 0
    failed: int = 0
    candidates: int = 0
    accepted: int = 0
    duplicates: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    last_error: str = ""
    failures_in_row: int = 0

    def counts(self) -> ProviderCounts:
        return ProviderCounts(
            calls=self.calls,
            failed=self.failed,
            candidates=self.candidates,
            accepted=self.accepted,
            duplicates=self.duplicates,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            last_error=self.last_error,
        )


@dataclass(slots=True)
class Outstanding:
    """A task handed out and not yet reported: where it stands in TASKS, and since when (seconds of the loop's clock)."""

    task: Task
    sequence: int
    since: float


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
    tallies: dict[str, Tally] = field(default_factory=dict)
    outstanding: dict[str, Outstanding] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)
    """Ids of the tasks whose usage is counted: a usage read twice counts once."""
    deduper: Deduper = field(default_factory=lambda: Deduper(tiers="exact"))
    avoid: AvoidList = field(default_factory=AvoidList)

    def __post_init__(self) -> None:
        for provider in self.spec.providers:
            self.tallies[provider] = Tally()

    @property
    def accepted(self) -> int:
        return len(self.avoid)

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
        return min(self.spec.max_items or self.deduper.capacity, self.deduper.capacity)

    @property
    def calls_allowed(self) -> int | None:
        """Model calls the whole run may make; None is no limit."""
        return None if self.spec.iterations is None else self.spec.iterations * self.spec.producers

    def tally(self, provider: str) -> Tally:
        return self.tallies.setdefault(provider, Tally())

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
        candidate = arrival.candidate
        if verdict.of is not None:
            duplicate = Duplicate(
                run=self.id,
                candidate=candidate.id,
                candidate_sequence=arrival.sequence,
                text=candidate.text,
                of=verdict.of + 1,
                of_text=self.deduper.text(verdict.of),
                tier=verdict.tier,
                score=verdict.score,
                task=candidate.task,
                provider=candidate.provider,
                model=candidate.model,
                producer=candidate.producer,
                at=now(),
            )
            self._count_duplicate(duplicate)
            return Entry(subjects.duplicate(self.id, candidate.id), duplicate, arrival.trace)
        accepted = Accepted(
            run=self.id,
            ordinal=self.accepted + 1,
            text=candidate.text,
            key=verdict.key,
            candidate=candidate.id,
            candidate_sequence=arrival.sequence,
            task=candidate.task,
            provider=candidate.provider,
            model=candidate.model,
            producer=candidate.producer,
            facet=candidate.facet,
            at=now(),
            digest=next_digest(self.digest, candidate.text),
        )
        self._count_accepted(accepted)
        return Entry(subjects.accepted(self.id, verdict.key), accepted, arrival.trace)

    # ---- the fold -------------------------------------------------------------------------------------------------

    def replay(self, decision: Accepted | Duplicate) -> None:
        """Take in a decision read back from the log."""
        if isinstance(decision, Accepted):
            self.deduper.add(decision.text)
            self._count_accepted(decision)
        else:
            self._count_duplicate(decision)
        self.candidates_after = max(self.candidates_after, decision.candidate_sequence)

    def _count_accepted(self, accepted: Accepted) -> None:
        self.avoid.accepted(accepted.text)
        self.digest = accepted.digest
        tally = self.tally(accepted.provider)
        tally.candidates += 1
        tally.accepted += 1

    def _count_duplicate(self, duplicate: Duplicate) -> None:
        self.avoid.repeated(duplicate.of - 1)
        self.duplicates += 1
        tally = self.tally(duplicate.provider)
        tally.candidates += 1
        tally.duplicates += 1

    def used(self, usage: Usage) -> bool:
        """Take in a finished model call; returns False if it was counted before."""
        if usage.task in self.reported:
            return False
        self.reported.add(usage.task)
        self.outstanding.pop(usage.task, None)
        tally = self.tally(usage.provider)
        tally.calls += 1
        tally.input_tokens += usage.input_tokens
        tally.output_tokens += usage.output_tokens
        if usage.outcome == "failed":
            tally.failed += 1
            tally.failures_in_row += 1
            tally.last_error = usage.error
        elif usage.outcome == "ok":
            tally.failures_in_row = 0
        return True

    # ---- what others see ------------------------------------------------------------------------------------------

    def state(self) -> RunState:
        return RunState(
            run=self.id,
            spec=self.spec,
            status=self.status,
            reason=self.reason,
            accepted=self.accepted,
            duplicates=self.duplicates,
            calls=len(self.reported),
            seconds=round(self.seconds, 3),
            created=self.created,
            ended=self.ended,
            providers={name: tally.counts() for name, tally in self.tallies.items()},
        )

    def finished(self) -> Finished:
        return Finished(
            run=self.id,
            status=self.status,
            reason=self.reason,
            accepted=self.accepted,
            duplicates=self.duplicates,
            late=self.late,
            seconds=round(self.seconds, 3),
            providers={name: tally.counts() for name, tally in self.tallies.items()},
            digest=self.digest,
            at=now(),
        )
