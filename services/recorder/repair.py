"""`recorder repair`: compares the log with its second copy and writes anew the one that is damaged.

To be run while nobody writes to the log. Whatever it is interrupted by, the next one does what is left.
"""

import secrets
from pathlib import Path

import msgspec

from services.recorder import cursor, log_copy, run_files
from services.recorder.comparison import Comparison, CopyReader, compare, head_of_log
from services.recorder.folder import Folder
from services.recorder.merged import DROPPED, Merged
from services.recorder.recorder import RESULTS
from shared import streams, subjects
from shared.bus import Bus, Entry, Missing, Unavailable, bucket_stream
from shared.streams import MAX_BATCH

REBUILD = log_copy.name_of("rebuild")
"""The log as it is to be, while it is written; a copy like the others to whoever takes up an interrupted repair."""

UNFINISHED = ".rebuild.tmp"

HELD_BY = ".repair-"
"""Begins the name of the file that says which hold on the log is this folder's (see `Bus.hold_log`)."""

ORCHESTRATOR_PING = "$SRV.PING.orchestrator"
"""Answered by a running orchestrator (NATS ADR-32)."""

ANSWER_SECONDS = 2.0
"""An orchestrator answers within milliseconds; where none runs, the server says so at once."""


class RepairError(Exception):
    """Raised when a repair cannot be made; the text says why and what to do."""


class _Ping(msgspec.Struct):
    """The empty question."""


async def repair(bus: Bus, output: Path, *, look_only: bool = False) -> tuple[Comparison, list[str]]:
    """Compare, and repair unless told to look only; returns what was found, and what was done in sentences.

    Raises RepairError, BusError, Denied and OSError. A log that is then damaged still is held, so that no orchestrator takes
    it over (see `Bus.hold_log`).
    """
    folder = Folder.at(output)
    try:
        if look_only:
            return await compare(bus, folder), []
        if not folder.lock():
            raise RepairError(f"A recorder, or another repair, writes in {output}. Stop it first, and the orchestrator")
        if await _orchestrator_runs(bus):
            raise RepairError("An orchestrator writes to the log. Stop it first (where a launcher runs it: make down)")
        await _require_no_other_repair(bus, folder)
        found = await compare(bus, folder)
        _require_one_side(found, output)
        done = await _repair_log(bus, folder, found)
        await bus.release_log()
        for name in sorted(folder.names()):
            if name.startswith(HELD_BY):
                folder.remove(name)
        return found, [*done, *run_files.repair(folder, found.ended())]
    finally:
        folder.close()


async def _orchestrator_runs(bus: Bus) -> bool:
    try:
        await bus.ask(ORCHESTRATOR_PING, _Ping(), timeout=ANSWER_SECONDS)
    except Missing:
        return False
    except Unavailable:
        await bus.head(bucket_stream(streams.RUNS.bucket))  # raises if it is the server that does not answer
    return True


async def _require_no_other_repair(bus: Bus, folder: Folder) -> None:
    """Refuse where a repair from another folder has not ended: what it saved is there, and not here. Raises RepairError."""
    held = HELD_BY + await bus.hold_of_log()
    if held != HELD_BY and held not in folder.names():
        raise RepairError(
            f"A repair that is to write the log anew has not ended, and what it writes from is not in {folder.path}. Set OUTPUT"
            f" to the folder that has the file {held}. If that is gone for good, begin with an empty store, or make an empty"
            f" file of that name here to go on with what is left of the log"
        )


async def _hold(bus: Bus, folder: Folder) -> None:
    """Have nobody take the log over before this folder's repair has ended, whatever it is interrupted by."""
    if not await bus.hold_of_log():
        repair = secrets.token_hex(6)
        folder.replace(HELD_BY + repair, [])
        await bus.hold_log(repair)


def _require_one_side(found: Comparison, output: Path) -> None:
    """Refuse where nothing can be trusted to say what the log shall be. Raises RepairError."""
    if found.undecidable:
        line = msgspec.json.encode(log_copy.Header(found.store)).decode()
        raise RepairError(
            f"It cannot be told whether the log is lost: it has no second copy in {output}, and the first line of another copy"
            f" there is damaged: {', '.join(found.nameless)}. If that is of a log of this NATS, make its first line {line};"
            f" if not, move the file elsewhere"
        )


async def _repair_log(bus: Bus, folder: Folder, found: Comparison) -> list[str]:
    if found.log_damaged:
        entries, dropped = await _rebuild(bus, folder, found)
        done = f"The log was written anew from the second copy: {entries} entries."
        return [done, f"{dropped} entries did not fit into it; they are kept in {DROPPED}-*.jsonl."] if dropped else [done]
    if found.copy_damaged:
        kept = folder.set_aside(found.own)
        return [f"The recorder writes the second copy anew from the log; the damaged one is kept as {kept}."]
    return []


async def _rebuild(bus: Bus, folder: Folder, found: Comparison) -> tuple[int, int]:
    """Write down what the log shall be, then make it so."""
    await _hold(bus, folder)
    await _require_unchanged(bus, found)
    folder.remove(UNFINISHED)
    merged = Merged(folder, UNFINISHED, found)
    for name in sorted(found.lost, key=lambda name: name != REBUILD):  # it is whole, and another's hole would cut its runs
        merged.take(CopyReader(folder, name))
    if found.head:
        copy = CopyReader(folder, found.own)
        await merged.take_both(iter(copy), bus.history(RESULTS, [subjects.EVERYTHING]))
    entries, dropped = merged.finish()
    folder.rename(UNFINISHED, REBUILD)
    folder.sync()
    await _require_unchanged(bus, found)  # what was written since would be in no copy
    await bus.remake_log()
    await _write_log(bus, folder)
    for name in {*found.lost, found.own} - {REBUILD, ""}:
        folder.remove(name)  # all that was good in it is in the new one, which the next repair would not take first any more
    folder.remove(cursor.NAME)
    folder.rename(REBUILD, log_copy.name_of((await bus.head(RESULTS)).epoch))
    folder.sync()
    return entries, dropped


async def _require_unchanged(bus: Bus, found: Comparison) -> None:
    """Raise RepairError if somebody writes to the log after all."""
    if await _orchestrator_runs(bus) or await head_of_log(bus) != found.head:
        raise RepairError(
            "An orchestrator writes to the log, which has lost entries. Stop it (where a launcher runs it: make down)"
            " before it goes on from a wrong list"
        )


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
