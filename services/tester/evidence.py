"""What can be seen of one run from outside, gathered from the bus, the files and the event streams."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.messages import Accepted, Candidate, Duplicate, Finished, RunState, Spent, Started, Usage


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as a client of the gateway received it."""

    id: str
    """`<epoch>-<sequence>`; empty for events that are no part of the log."""
    event: str
    data: bytes
    at: float
    """Seconds of the loop's clock."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One entry of the log, and where it stands."""

    sequence: int
    subject: str
    message: Started | Accepted | Duplicate | Finished


@dataclass(frozen=True, slots=True)
class Files:
    """The output files of a run. None: the file is not there."""

    text: tuple[str, ...] | None = None
    copies: tuple[Accepted, ...] | None = None
    listed: tuple[str, ...] | None = None
    metadata: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run, as an independent reader finds it."""

    run: str
    candidates: Sequence[tuple[int, Candidate]] = ()
    """With their sequences in their provider's stream of reports, in order."""
    log: Sequence[Decided] = ()
    """In the order of RESULTS."""
    usages: Sequence[Usage] = ()
    spent: Sequence[Spent] = ()
    """The tasks that are done with, as the log has them."""
    state: RunState | None = None
    files: Files = field(default_factory=Files)
    clients: Sequence[Sequence[Frame]] = ()
    """What each client of the gateway received, over all its connections, since the last `reset`."""
    begun: Sequence[str] = ()
    """Tasks that producers say they have begun, one entry each time."""

    @property
    def started(self) -> Started | None:
        return next((d.message for d in self.log if isinstance(d.message, Started)), None)

    @property
    def finished(self) -> Finished | None:
        return next((d.message for d in self.log if isinstance(d.message, Finished)), None)

    @property
    def accepted(self) -> list[Accepted]:
        return [d.message for d in self.log if isinstance(d.message, Accepted)]

    @property
    def duplicates(self) -> list[Duplicate]:
        return [d.message for d in self.log if isinstance(d.message, Duplicate)]

    @property
    def calls_repeated(self) -> int:
        """Model calls begun once more for a task that had been begun."""
        return len(self.begun) - len(set(self.begun))

    @property
    def decisions(self) -> list[Accepted | Duplicate]:
        """In the order of the log."""
        return [d.message for d in self.log if isinstance(d.message, Accepted | Duplicate)]
