"""What can be seen of one run from outside, gathered from the bus, the files and the event streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.messages import Accepted, Candidate, Duplicate, Finished, Issued, RunState, Spent, Started, Usage

Entry = Started | Issued | Accepted | Duplicate | Spent | Finished
"""What the log says of a run, what models settled aside."""


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
    message: Entry


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
    """With their sequences in their providers' streams of reports."""
    log: Sequence[Decided] = ()
    """In the order of RESULTS."""
    reports: Mapping[tuple[str, int], Usage] = field(default_factory=dict)
    """What producers reported of finished calls, by provider and sequence in its stream of reports."""
    state: RunState | None = None
    files: Files = field(default_factory=Files)
    clients: Sequence[Sequence[Frame]] = ()
    """What each client of the gateway received, over all its connections, since the last `reset`."""
    begun: Sequence[str] = ()
    """Tasks of which producers say that they make the call, one entry each time."""

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
    def usages(self) -> list[Usage]:
        return list(self.reports.values())

    @property
    def issued(self) -> dict[str, Issued]:
        """By task: the calls that the orchestrator allowed."""
        return {d.message.task.id: d.message for d in self.log if isinstance(d.message, Issued)}

    @property
    def spent(self) -> dict[str, Spent]:
        """By task: the calls that are done with."""
        return {d.message.task: d.message for d in self.log if isinstance(d.message, Spent)}

    @property
    def calls_wasted(self) -> int:
        """Model calls that were made once more for a task whose call had been made, or begun and never answered for."""
        lost = sum(spent.outcome == "lost" for spent in self.spent.values())
        return len(self.begun) - len(set(self.begun)) + lost

    @property
    def decisions(self) -> list[Accepted | Duplicate]:
        """In the order of the log."""
        return [d.message for d in self.log if isinstance(d.message, Accepted | Duplicate)]
