"""The log beside its second copy: what one of them lacks, and in which runs."""

from collections.abc import AsyncIterator, Iterator

from msgspec import Struct, field

from services.recorder import log_copy, run_files
from services.recorder.chains import Chain, Chains
from services.recorder.folder import Folder
from services.recorder.log_copy import Kept
from services.recorder.recorder import RESULTS
from shared import streams, subjects
from shared.bus import Bus, Missing, Stored, StreamHead, bucket_stream

MOST_SENTENCES = 20
"""A damaged file may break at thousands of places; these say enough."""


class Gap(Struct):
    """Entries of the log that are missing or changed, as the copy has them."""

    first: int
    last: int
    runs: dict[str, int] = {}
    """The runs they are of, and the first ordinal that is concerned; 0 when it is no attribute."""

    def __str__(self) -> str:
        which = f"entry {self.first}" if self.first == self.last else f"entries {self.first} to {self.last}"
        runs = [f"run {run}" + (f" from attribute {ordinal} on" if ordinal else "") for run, ordinal in self.runs.items()]
        return f"{which} ({', '.join(runs[:5])})" if runs else which


class Comparison(Struct):
    """What was found."""

    store: str
    head: StreamHead | None
    """Where the log stood before it was read; None when there is none at all."""
    files: dict[tuple[str, str], str]
    """Of which runs complete files lie where (see `run_files.ended`)."""
    entries: int = 0
    gaps: list[Gap] = field(default_factory=list)
    """What the log lacks, by the copy or by its own numbers."""
    broken: dict[str, str] = field(default_factory=dict)
    """Runs whose chain breaks although the copy says the same, and how."""
    copy_damaged: int = 0
    """Lines of the copy that are not what was written."""
    has_copy: bool = False
    """Whether there is a copy of this very log."""
    lost: list[str] = field(default_factory=list)
    """Copies of earlier logs of this very store, which then lost them."""
    nameless: list[str] = field(default_factory=list)
    """Copies of earlier logs of which the first line is damaged, so that nobody knows whether they were of this store."""
    unended: list[str] = field(default_factory=list)
    """Runs that neither log nor copy has the end of, though their files are complete."""
    chains: Chains = field(default_factory=Chains)

    @property
    def log_damaged(self) -> bool:
        """Whether the log is to be written anew from what both have."""
        return bool(self.gaps or self.lost or self.unended)

    @property
    def undecidable(self) -> bool:
        """Whether nothing tells if the log is lost: it has no copy, and a copy that may be its own does not say so."""
        return bool(self.nameless) and not self.has_copy

    @property
    def own(self) -> str:
        """Name of the copy of this very log."""
        return log_copy.name_of(self.head.epoch) if self.head else ""

    def ended(self) -> dict[tuple[str, str], Chain]:
        """The runs that have ended, and when they began, with the end of their lists; without those whose chain is broken."""
        ended, begun = self.chains.ended, self.chains.begun
        return {(run, begun.get(run, "")): chain for run, chain in ended.items() if run not in self.broken}

    def sentences(self) -> list[str]:
        """What was found, for a person."""
        found = [f"The log lacks {gap}." for gap in self.gaps[:MOST_SENTENCES]]
        if len(self.gaps) > MOST_SENTENCES:
            found.append(f"The log lacks entries at {len(self.gaps) - MOST_SENTENCES} more places.")
        found += [f"The log that {name} is the copy of is gone." for name in self.lost]
        found += [f"The first line of {name} is damaged: nothing tells whose log that was." for name in self.nameless]
        found += [f"Run {run} has ended, as its files say, but its end is missing." for run in self.unended[:MOST_SENTENCES]]
        if self.copy_damaged:
            found.append(f"The second copy of the log is damaged in {self.copy_damaged} lines.")
        if self.chains.unreadable:
            found.append(
                f"The log holds {self.chains.unreadable} entries that are none or cannot be read; they are passed over."
            )
        found += [f"In run {run}, {problem}." for run, problem in list(self.broken.items())[:MOST_SENTENCES]]
        return found


class CopyReader:
    """The good entries of one copy; counts the others."""

    def __init__(self, folder: Folder, name: str) -> None:
        size = folder.size(name)  # as of now: what a recorder adds meanwhile may be in no log that we have read
        self._lines: Iterator[Kept] = log_copy.read(folder, name, size) if size else iter(())
        self.damaged = 0

    def __iter__(self) -> Iterator[Stored]:
        for kept in self._lines:
            if kept.stored is not None:
                yield kept.stored
            elif kept.complete:
                self.damaged += 1


async def side_by_side(
    copy: Iterator[Stored], log: AsyncIterator[list[Stored]]
) -> AsyncIterator[tuple[Stored | None, Stored | None]]:
    """The entries of copy and log in their order, those with the same sequence together."""
    kept = next(copy, None)
    async for batch in log:
        for stored in batch:
            while kept and kept.sequence < stored.sequence:
                yield kept, None
                kept = next(copy, None)
            if kept and kept.sequence == stored.sequence:
                yield kept, stored
                kept = next(copy, None)
            else:
                yield None, stored
    while kept:
        yield kept, None
        kept = next(copy, None)


async def compare(bus: Bus, folder: Folder) -> Comparison:
    """Read log and copy from end to end: about 20,000 entries a second. Raises BusError and OSError.

    Harmless while a recorder and an orchestrator write: the copy is only compared as far as it went at the beginning.
    """
    files = run_files.ended(folder)  # before the log: a run may end meanwhile
    store = (await bus.head(bucket_stream(streams.RUNS.bucket))).epoch
    found = Comparison(store, await head_of_log(bus), files)
    if found.head:
        await _compare(found, CopyReader(folder, found.own), bus.history(RESULTS, [subjects.EVERYTHING]))
    found.unended = [run for run, begun in found.chains.open() if (run, begun) in files]
    for name in log_copy.names(folder):
        named = log_copy.store_of(folder, name)
        if name == found.own:
            found.has_copy = True
            found.copy_damaged += named not in (store, "")
        elif named == store:
            found.lost.append(name)
        elif named is None:
            found.nameless.append(name)
    return found


async def head_of_log(bus: Bus) -> StreamHead | None:
    """Where the log stands; None when there is none. Raises BusError."""
    try:
        return await bus.head(RESULTS)
    except Missing:
        return None


async def _compare(found: Comparison, copy: CopyReader, log: AsyncIterator[list[Stored]]) -> None:
    at = 0
    async for kept, stored in side_by_side(iter(copy), log):
        entry = kept or stored
        assert entry is not None  # noqa: S101  # for the type checker: one of both is there
        if entry.sequence > at + 1:
            found.gaps.append(Gap(at + 1, entry.sequence - 1))
        at = entry.sequence
        found.entries += 1
        problem = found.chains.follow(entry)
        if kept and kept != stored:
            _widen(found.gaps, kept, found.chains)
        elif problem:
            found.broken.setdefault(subjects.decision(entry.subject)[1], problem)
    found.copy_damaged = copy.damaged


def _widen(gaps: list[Gap], kept: Stored, chains: Chains) -> None:
    """Note an entry that the log lacks, in one gap with its neighbours."""
    if not gaps or gaps[-1].last != kept.sequence - 1:
        gaps.append(Gap(kept.sequence, kept.sequence, {}))
    gaps[-1].last = kept.sequence
    kind, run = subjects.decision(kept.subject)
    if kind != "epoch":
        ordinal = chains.runs.get(run, Chain()).ordinal if kind == "accepted" else 0
        gaps[-1].runs[run] = gaps[-1].runs.get(run) or ordinal
