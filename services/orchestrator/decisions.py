"""The entries of the log: what a candidate becomes, and what a model's judgement says of a pair."""

from dataclasses import dataclass

from services.orchestrator.dedupe import Verdict
from shared import traces
from shared.messages import Accepted, Candidate, Duplicate, Judgement, Pair, Settled, Spent, next_digest, now


@dataclass(slots=True)
class Arrival:
    """A candidate with its place in its provider's stream of reports, and its trace."""

    sequence: int
    candidate: Candidate
    trace: str


def accepted(arrival: Arrival, verdict: Verdict, ordinal: int, near_text: str, digest: str) -> Accepted:
    """A new attribute, given its ordinal, the text of the one it is near, and the list's digest before it."""
    candidate = arrival.candidate
    return Accepted(
        run=candidate.run,
        ordinal=ordinal,
        text=candidate.text,
        key=verdict.key,
        candidate=candidate.id,
        candidate_sequence=arrival.sequence,
        task=candidate.task,
        provider=candidate.provider,
        model=candidate.model,
        producer=candidate.producer,
        facet=candidate.facet,
        probe=candidate.probe,
        near=0 if verdict.near is None else verdict.near + 1,
        near_text=near_text,
        near_score=round(verdict.near_score, 4),
        near_why=verdict.words,
        trace=traces.trace_id(arrival.trace),
        at=now(),
        digest=next_digest(digest, candidate.text),
    )


def duplicate(arrival: Arrival, verdict: Verdict, of: int, of_text: str) -> Duplicate:
    """A candidate that repeats the attribute of this ordinal."""
    candidate = arrival.candidate
    return Duplicate(
        run=candidate.run,
        candidate=candidate.id,
        candidate_sequence=arrival.sequence,
        text=candidate.text,
        of=of,
        of_text=of_text,
        tier=verdict.tier,
        score=round(verdict.score, 4),
        why=verdict.words,
        task=candidate.task,
        provider=candidate.provider,
        model=candidate.model,
        producer=candidate.producer,
        facet=candidate.facet,
        probe=candidate.probe,
        trace=traces.trace_id(arrival.trace),
        at=now(),
    )


def settled(pair: Pair, judgement: Judgement, spent: Spent) -> Settled:
    """What a call said of a pair."""
    return Settled(
        run=spent.run,
        ordinal=pair.ordinal,
        text=pair.text,
        of=pair.of,
        of_text=pair.of_text,
        same=judgement.same,
        task=spent.task,
        provider=spent.provider,
        model=spent.model,
        at=now(),
    )
