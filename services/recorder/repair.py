"""`recorder repair`: compares the log with its second copy and writes anew the one that is damaged.

To be run while nobody writes to the log. Whatever it is interrupted by, the next one does what is left.
"""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import structlog

from services.recorder import cursor, log_copy, run_files
from services.recorder.chains import Chains
from services.recorder.comparison import Comparison, CopyReader, compare, side_by_side
from services.recorder.folder import Folder
from services.recorder.log_copy import LogCopy
from services.recorder.recorder import RESULTS, WHOLE_LOG
from shared import subjects
from shared.bus import Bus, Entry, Stored
from shared.streams import MAX_BATCH

REBUILD = log_copy.name_of("rebuild")
"""The log as it is to be, while it is written; a copy like the others to whoever takes up an interrupted repair."""

UNFINISHED = ".rebuild.tmp"
DROPPED = ".dropped"
"""Begins the names of files that keep what did not fit into the log that was rebuilt."""

log = structlog.get_logger()


class RepairError(Exception):
    """Raised when a repair cannot be made; the text says why and what to do."""


async def repair(bus: Bus, output: Path, *, look_only: bool = False) -> tuple[Comparison, list[str]]:
    """Compare, and repair unless told to look only; returns what was found, and what was done in sentences.

    Raises RepairError, BusError and OSError.
    """
    folder = Folder.at(output)
    try:
        if look_only:
            return await compare(bus, folder), []
        if not folder.lock():
            raise RepairError(f"A recorder writes in {output}. Stop it first, and the orchestrator.")
        found = await compare(bus, folder)
        return found, [*await _repair_log(bus, folder, found), *run_files.repair(folder, found.ended())]
    finally:
        folder.close()


async def _repair_log(bus: Bus, folder: Folder, found: Comparison) -> list[str]:
    if found.log_damaged:
        entries, dropped = await _rebuild(bus, folder, found)
        done = f"The log was written anew from the second copy: {entries} entries."
        return [done, f"{dropped} entries did not fit into it; they are kept in {DROPPED}-*.jsonl."] if dropped else [done]
    if found.copy_damaged:
        name = log_copy.name_of(found.epoch)
        kept = folder.set_aside(name)
        return [f"The recorder writes the second copy anew from the log; the damaged one is kept as {kept}."]
    return []


async def _rebuild(bus: Bus, folder: Folder, found: Comparison) -> tuple[int, int]:
    """Write down what the log shall be, then make it so."""
    folder.remove(UNFINISHED)
    merged = _Merged(folder, found)
    for name in found.lost:
        merged.take(CopyReader(folder, name))
    if found.epoch:
        copy = CopyReader(folder, log_copy.name_of(found.epoch))
        await merged.take_both(iter(copy), bus.history(RESULTS, WHOLE_LOG))
    entries, dropped = merged.finish()
    folder.rename(UNFINISHED, REBUILD)
    folder.sync()
    await bus.remake_log()
    await _write_log(bus, folder)
    epoch = (await bus.head(RESULTS)).epoch
    folder.rename(REBUILD, log_copy.name_of(epoch))
    folder.sync()
    for name in {*found.lost, log_copy.name_of(found.epoch)} - {REBUILD}:
        folder.remove(name)  # all that was good in it is in the new one
    folder.remove(cursor.NAME)
    return entries, dropped


async def _write_log(bus: Bus, folder: Folder) -> None:
    """Bring the new log to what is written down, entry for entry at the same sequence."""
    end = 0
    batch: list[Entry] = []
    for stored in CopyReader(folder, REBUILD):
        batch.append(Entry(stored.subject, msgspec.Raw(stored.data), stored.trace))
        if len(batch) == MAX_BATCH:
            end = await bus.commit(batch, after=end)
            batch = []
    if batch:
        await bus.commit(batch, after=end)


class _Merged:
    """What the log shall be: each entry once, in order, without what comes after a hole in a run that goes on."""

    def __init__(self, folder: Folder, found: Comparison) -> None:
        self._store = found.store
        self._folder = folder
        self._ended = found.chains.ended.keys()
        self._copy = LogCopy(folder, UNFINISHED, found.store)
        self._dropped: list[Stored] = []
        self._seen: set[bytes] = set()
        self._chains = Chains()
        self._cut: dict[str, str] = {}
        self._lines: list[Stored] = []
        self._end = 0

    def take(self, entries: Iterator[Stored] | CopyReader) -> None:
        for stored in entries:
            self._take(stored)

    async def take_both(self, copy: Iterator[Stored], logged: AsyncIterator[list[Stored]]) -> None:
        """Take the copy's entries before the log's: it was written when the log was whole."""
        later: list[Stored] = []  # written by somebody to whom a damaged log had given the same places again
        async for kept, stored in side_by_side(copy, logged):
            self._take(kept or stored)
            if kept and stored and kept != stored:
                later.append(stored)
        for stored in later:
            self._take(stored)

    def finish(self) -> tuple[int, int]:
        """Have all on disk; returns how many entries there are, and how many were left out."""
        self._flush()
        if self._dropped:
            name = f"{DROPPED}-{hashlib.sha256(repr(self._dropped).encode()).hexdigest()[:12]}.jsonl"
            self._folder.replace(name, (log_copy.encoded(stored, "") for stored in self._dropped))
        return self._end, len(self._dropped)

    def _take(self, stored: Stored | None) -> None:
        if stored is None:
            return
        token = hashlib.blake2b(stored.subject.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        if token in self._seen:
            return
        _, run = subjects.decision(stored.subject)
        if run in self._cut or not self._fits(stored, run):
            self._dropped.append(stored)
            return
        self._seen.add(token)
        self._end += 1
        self._lines.append(Stored(self._end, stored.subject, stored.data, stored.trace))
        if len(self._lines) >= MAX_BATCH:
            self._flush()

    def _fits(self, stored: Stored, run: str) -> bool:
        """Whether an entry may stand here. A run that goes on must be whole: what it lacks is decided again."""
        problem = self._chains.follow(stored)
        if not problem:
            return True
        log.error("repair.run_has_a_hole", run=run, sequence=stored.sequence, problem=problem, ended=run in self._ended)
        if run in self._ended:
            return True
        self._cut[run] = problem
        return False

    def _flush(self) -> None:
        self._copy.append(self._lines)
        self._lines = []
