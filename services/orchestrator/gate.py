"""What is believed of what a producer reports: the door through which all of it comes into the orchestrator.

A producer may be wrong, and may lie. What it says counts for a call that the orchestrator issued, that is outstanding, and that
was given to its own provider; what that call asked for is known here and not taken from the report. Its server of models is
believed about tokens, within the bounds of the message: nobody else knows.
"""

import re
from collections import Counter
from typing import Literal

import msgspec
import structlog

from services.orchestrator import metrics
from services.orchestrator.decisions import Arrival
from services.orchestrator.prices import Prices, pico
from services.orchestrator.run import Outstanding
from services.orchestrator.tally import tokens_of
from shared import speakers
from shared.bus import Malformed, Stored, decode
from shared.messages import MAX_FACET, MAX_FACETS, Begun, Candidate, Judgement, Spent, Task, Usage, candidate_id, now
from shared.outside_text import as_line, flaw

MOST_FOR_EACH = 2
"""Candidates of a call for each attribute it asked for: models overshoot a little, a flood is many times as much."""

ERROR_KINDS = frozenset(
    ("rate_limit", "quota", "auth", "invalid_request", "server", "timeout", "connection", "malformed", "internal", "lost")
)
"""Kinds of failures that are counted by name: a run's state must not grow with names that others make up."""

KINDS: dict[str, type[Candidate] | type[Usage] | type[Begun]] = {"usage": Usage, "begun": Begun}

Outcome = Literal["ok", "failed", "cancelled", "lost", "returned"]

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

log = structlog.get_logger()


class Refused(ValueError):
    """Raised when a report is not believed; the text is the kind of its fault."""


class Gate:
    """Reads reports, counts what it refuses, and says the first of each kind."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        """Reports that were passed over, by kind."""
        self.refused_of: Counter[str] = Counter()
        """The same by provider."""
        self._told: set[tuple[str, str]] = set()

    def read(self, provider: str, stored: Stored) -> Candidate | Usage | Begun | None:
        """The candidate, claim or finished call that a message of a provider's stream holds; None when it is none."""
        try:
            kind = KINDS.get(stored.subject.partition(".")[0], Candidate)
            message = decode(kind, stored.data)
            speakers.check(stored.subject, message)
            if message.provider != provider:
                raise Malformed(f"{kind.__name__}: of {message.provider}, in the stream of {provider}")
        except (Malformed, ValueError) as error:
            self.refuse(provider, "malformed", stored.subject, str(error))
            return None
        return message

    def candidate(self, candidate: Candidate, held: Outstanding, stored: Stored) -> Arrival:
        """What is to be decided, told by its task. Raises Refused."""
        task = held.task
        if task.kind != "list":
            raise Refused("not_asked_for")
        if candidate.id != candidate_id(candidate.task, candidate.text):
            raise Refused("malformed")
        if flaw(candidate.text):
            raise Refused("text")
        if held.candidates >= MOST_FOR_EACH * task.count:
            raise Refused("too_many")
        held.candidates += 1
        known = msgspec.structs.replace(
            candidate,
            model=task.model or _name(candidate.model),
            facet=task.facet,
            probe=task.probe,
        )
        return Arrival(stored.sequence, known, stored.trace if TRACEPARENT.fullmatch(stored.trace) else "")

    def spent(self, usage: Usage, held: Outstanding, sequence: int, prices: Prices) -> tuple[Spent, list[Judgement]]:
        """What a finished call cost and gave, and what it says of the pairs that it was asked about."""
        task = held.task
        if usage.error_kind == "lost":
            return lost(held, usage.producer, sequence, usage.error), []
        about = msgspec.structs.replace(
            _done_with(task, usage.outcome),
            model=task.model or _name(usage.model),
            producer=usage.producer,
            report=sequence,
            seconds=usage.seconds,
            error=as_line(usage.error),
            error_kind=usage.error_kind if usage.error_kind in ERROR_KINDS or not usage.error_kind else "unknown",
            gives_up=usage.gives_up,
        )
        if usage.outcome == "cancelled" and usage.error_kind == "rate_limit" and not usage.input_tokens + usage.output_tokens:
            return msgspec.structs.replace(about, outcome="returned"), []
        price = prices.of(about.provider, about.model)
        spent = msgspec.structs.replace(
            about,
            cost=None if price is None else price.cost(tokens_of(usage)),
            tokens=usage.input_tokens + usage.output_tokens,
            input_tokens=usage.input_tokens,
            cached_tokens=usage.cached_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            facets=_facets(usage.facets) if task.kind == "facets" else [],
            on_topic=[n for n in usage.on_topic if n in task.sample],
            off_topic=[n for n in usage.off_topic if n in task.sample],
        )
        asked = {pair.ordinal for pair in task.pairs}
        return spent, [judgement for judgement in usage.judgements if judgement.ordinal in asked]

    def refuse(self, provider: str, kind: str, what: str, error: str = "", count: int = 1) -> None:
        """Count reports that are passed over; the first of a kind is logged, a flood of them is not."""
        self.refused[kind] += count
        self.refused_of[provider] += count
        metrics.REFUSED.add(kind, by=count)
        if (provider, kind) not in self._told:
            self._told.add((provider, kind))
            log.warning(
                "report.refused", provider=provider, kind=kind, what=what[:200], error=as_line(error), hint="said once a kind"
            )


def lost(held: Outstanding, producer: str, sequence: int, error: str) -> Spent:
    """A call that was begun and will not be reported: what it can have cost at most is counted."""
    task = held.task
    output = min(task.max_output_tokens, task.reserved_tokens)
    return msgspec.structs.replace(
        _done_with(task, "lost"),
        producer=producer,
        report=sequence,
        cost=pico(task.reserved_usd),
        tokens=task.reserved_tokens,
        input_tokens=task.reserved_tokens - output,
        output_tokens=output,
        error=as_line(error),
        error_kind="lost",
    )


def returned(held: Outstanding) -> Spent:
    """A call that nobody has begun and nobody will."""
    return _done_with(held.task, "returned")


def _done_with(task: Task, outcome: Outcome) -> Spent:
    """What is known of a task's end without any report: what it asked for."""
    return Spent(
        run=task.run,
        task=task.id,
        outcome=outcome,
        provider=task.provider,
        model=task.model,
        kind=task.kind,
        facet=task.facet,
        probe=task.probe,
        asked=task.count,
        at=now(),
    )


def _name(model: str) -> str:
    """A model's name as others may read it."""
    return as_line(model, 200)


def _facets(names: list[str]) -> list[str]:
    """The parts of a topic that a model named, as far as they may stand in prompts."""
    return [name for name in dict.fromkeys(names) if not flaw(name, most=MAX_FACET)][:MAX_FACETS]
