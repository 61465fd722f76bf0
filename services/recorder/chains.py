"""Whether the entries of a log are all there: ordinals without a gap, and digests that follow from the texts."""

from msgspec import Struct

from shared import subjects
from shared.bus import Malformed, Stored, decode
from shared.messages import Accepted, Finished, next_digest


class Chain(Struct):
    """How far one run's list has come."""

    ordinal: int = 0
    digest: str = ""


class _Entry(Struct):
    """What any entry says; of a run's first one also when that was: no other run of the same id has begun then."""

    run: str
    at: str = ""


KINDS: dict[str, type[Accepted | Finished | _Entry]] = {
    "started": _Entry,
    "accepted": Accepted,
    "duplicate": _Entry,
    "settled": _Entry,
    "finished": Finished,
}
"""Those of a chain; all others stand beside it."""


class Chains:
    """Follows the runs of a log entry by entry."""

    def __init__(self) -> None:
        self.runs: dict[str, Chain] = {}
        self.begun: dict[str, str] = {}
        """When the runs began; without those whose first entry is missing or cannot be read."""
        self.ended: dict[str, Chain] = {}
        """The runs whose last entry has passed, as that entry has it."""
        self.unreadable = 0
        """Entries that could not be read. They break no chain: if one was a link of it, the next one shows that."""

    def follow(self, stored: Stored) -> str:
        """Take in the next entry; returns in words what is missing before it or wrong with it, or nothing."""
        kind, run = subjects.decision(stored.subject)
        if kind not in KINDS:
            return ""
        if kind == "started":
            self.runs.setdefault(run, Chain())
        try:
            entry = decode(KINDS[kind], stored.data)
            if entry.run != run:
                raise Malformed(f"{kind}: it says it is of run {entry.run}")
        except Malformed:
            self.unreadable += 1
            return ""
        problem = "" if run in self.runs else "its first entry is missing"
        chain = self.runs.setdefault(run, Chain())
        match entry:
            case Accepted():
                return _accept(chain, entry) or problem
            case Finished():
                self.ended[run] = Chain(entry.accepted, entry.digest)
                if self.ended[run] != chain:
                    return problem or f"it ended with {entry.accepted} attributes, and {chain.ordinal} lead up to it"
            case _ if kind == "started":
                self.begun[run] = entry.at
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
