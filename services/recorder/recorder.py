"""Follows the log and survives what befalls the disk and the server.

All that the disk is asked for is done in threads, one thing after another: a list of a million attributes takes many seconds
to write, and a disk may take as long for a few bytes. Meanwhile the loop says that the service is alive, and hears the bus.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from services.recorder import log_copy, metrics
from services.recorder.archive import Archive
from services.recorder.folder import Folder
from services.recorder.log_copy import Diverged, LogCopy
from shared import log_spans, streams, subjects, traces
from shared.bus import Bus, BusError, Stored, StreamHead, bucket_stream

RETRY_SECONDS = 5.0
"""Before the files are opened anew after the disk refused: short enough to go on soon once a person made room."""

RESULTS = streams.RESULTS.name or ""

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")


class Recorder:
    """Writes the output files of all runs under one folder, or those of one run.

    After any trouble it starts over from the cursor: a restart and a repair are the same thing, so nothing is skipped.
    """

    def __init__(self, bus: Bus, output: Path, *, only_run: str = "", exactly: bool = False) -> None:
        """`output` is the folder of all runs' folders; with `exactly` it is the folder of `only_run` itself."""
        self._bus = bus
        self._output = output
        self._one_run_exactly = exactly if only_run else None
        self._only_run = only_run
        self._waits_for_copy = False
        """Whether somebody else, such as a repair, has the second copy."""

    async def run(self) -> None:
        """Record for ever."""
        while True:
            try:
                await self._record()
            except OSError as error:
                log.error(
                    "recorder.cannot_write",
                    error=str(error),
                    folder=str(self._output),
                    hint="make room or give access, or set OUTPUT; nothing is lost, it is read again from the log",
                    retry_seconds=RETRY_SECONDS,
                )
                await asyncio.sleep(RETRY_SECONDS)
            except BusError as error:
                log.warning("recorder.cannot_read", error=str(error), retry_seconds=RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)

    async def _record(self) -> None:
        """Record until the log turns out to be another one, or the second copy ours to write."""
        head = await self._bus.head(RESULTS)
        async with self._archive(head) as archive:
            copy = await self._copy(archive.root, head)
            after = archive.sequence if copy is None else min(archive.sequence, max(0, copy.sequence - 1))
            # As the server has it: a newer version's log has kinds of entries that the copy must hold too.
            wanted = subjects.decisions_of_run(self._only_run) if self._only_run else await self._bus.subjects_of(RESULTS)
            async with contextlib.aclosing(self._bus.follow(RESULTS, wanted, after=after)) as batches:
                async for read in batches:
                    if copy is not None:
                        copy = await _in_thread(_append, copy, read)
                    batch = [s for s in read if s.sequence > archive.sequence and subjects.decision(s.subject)[0] != "epoch"]
                    with log_spans.reading(traces.RECORD, batch) as kinds:
                        await _in_thread(archive.take, batch)
                    metrics.recorded(kinds, batch)
                    if self._waits_for_copy and archive.root.lock():
                        return
                    if not read and await self._replaced(head.epoch, archive.sequence):
                        log.error(
                            "recorder.log_replaced", hint="RESULTS was made anew or lost its end; reading it from the beginning"
                        )
                        return

    @contextlib.asynccontextmanager
    async def _archive(self, head: StreamHead) -> AsyncIterator[Archive]:
        root = Folder.at(self._output)
        try:
            archive = Archive(root, head, one_run_exactly=self._one_run_exactly)
        except OSError:
            root.close()
            raise
        try:
            yield archive
        finally:
            await _in_thread(archive.close)

    async def _copy(self, root: Folder, head: StreamHead) -> LogCopy | None:
        """The second copy of the whole log, or None if it is not ours to write."""
        if self._one_run_exactly is not None:
            return None
        self._waits_for_copy = not root.lock()
        if self._waits_for_copy:
            log.warning("recorder.copy_busy", folder=str(self._output), hint="another recorder or a repair has it; waiting")
            return None
        store = (await self._bus.head(bucket_stream(streams.RUNS.bucket))).epoch
        try:
            copy = await _in_thread(LogCopy, root, log_copy.name_of(head.epoch), store)
            if copy.sequence > head.last:
                raise Diverged(f"the log ends at entry {head.last}, of which {copy.sequence} were copied")
        except Diverged as error:
            _keep_for_repair(error)
            return None
        return copy

    async def _replaced(self, epoch: str, sequence: int) -> bool:
        """Whether the log that was read is gone: its reader would wait in the new one for a sequence long past."""
        try:
            head = await self._bus.head(RESULTS)
        except BusError:
            return False
        return head.epoch != epoch or head.last < sequence


async def _in_thread(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Do something and return when it has ended, also when cancelled meanwhile: what comes next has the same files."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **options))
    try:
        return await asyncio.shield(working)
    finally:
        while not working.done():  # cancelled, and maybe once more while it ends
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({working})


def _append(copy: LogCopy, batch: list[Stored]) -> LogCopy | None:
    try:
        copy.append(batch)
    except Diverged as error:
        _keep_for_repair(error)
        return None
    return copy


def _keep_for_repair(error: Diverged) -> None:
    """The copy may be the only place where something still stands: it is left as it is."""
    metrics.DAMAGED.add("copy")
    log.error("recorder.log_and_copy_differ", error=str(error), hint="stop orchestrator and recorder, then: recorder repair")
