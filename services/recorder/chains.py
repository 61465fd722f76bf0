"""Whether the entries of a log are all there: ordinals without a gap, and digests that follow from the texts."""

import contextlib

from msgspec import Struct

from shared import subjects
from shared.bus import Malformed, Stored, decode
from shared.messages import Accepted, Finished, next_digest


class Chain(Struct):
    """How far one run's list has come."""

    ordinal: int = 0
    digest: str = ""


class _Begun(Struct):
    """Of a run's first entry, when that was: no other run of the same id has begun then."""

    at: str = ""


class Chains:
    """Follows the runs of a log entry by entry."""

    def __init__(self) -> None:
        self.runs: dict[str, Chain] = {}
        self.begun: dict[str, str] = {}
        """When the runs began; without those whose first entry is missing or cannot be read."""
        self.ended: dict[str, Chain] = {}
        """The runs whose last entry has passed, as that entry has it."""

    def follow(self, stored: Stored) -> str:
        """Take in the next entry; returns in words what is missing before it or wrong with it, or nothing."""
        kind, run = subjects.decision(stored.subject)
        if kind == "epoch":
            return ""
        problem = "" if run in self.runs or kind == "started" else "its first entry is missing"
        if kind == "started":
            with contextlib.suppress(Malformed):
                self.begun[run] = decode(_Begun, stored.data).at
        chain = self.runs.setdefault(run, Chain())
        try:
            if kind == "accepted":
                problem = _accept(chain, decode(Accepted, stored.data)) or problem
            elif kind == "finished":
                finished = decode(Finished, stored.data)
                self.ended[run] = Chain(finished.accepted, finished.digest)
                if self.ended[run] != chain:
                    problem = problem or f"it ended with {finished.accepted} attributes, and {chain.ordinal} lead up to it"
        except Malformed as error:
            problem = f"an entry cannot be read ({error})"
        return problem

    def open(self) -> list[tuple[str, str]]:
        """The runs that have begun and not ended, each with when it began."""
        return [(run, begun) for run, begun in self.begun.items() if run not in self.ended]


def _accept(chain: Chain, accepted: Accepted) -> str:
    problem = ""
    if accepted.ordinal != chain.ordinal + 1:
        problem = f"attribute {accepted.ordinal} follows attribute {chain.ordinal}"
    elif accepted.digest not in ("", next_digest(chain.digest, accepted.text)):
        problem = f"attribute {accepted.ordinal} is not the one that its digest says"
    chain.ordinal = accepted.ordinal
    chain.digest = accepted.digest or next_digest(chain.digest, accepted.text)
    return problem
