"""What keeps the view up to date: one ordered read of each stream, and what services tell of themselves."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

import msgspec
import structlog

from services.gateway import frames
from services.gateway.log_tail import TAIL_ENTRIES
from services.gateway.view import View
from shared import log_spans, subjects, traces
from shared.bus import Bus, BusError, Malformed, Stored, StreamHead, bucket_key, bucket_stream, decode
from shared.messages import Finished, Presence, RunState, Snapshot
from shared.metrics import MALFORMED
from shared.streams import RESULTS, RUNS

log = structlog.get_logger()

CHECK_SECONDS = 2.0
"""How often a followed stream is checked for having been made anew, and the orchestrator for answering."""

ORCHESTRATOR_PING = "$SRV.PING.orchestrator"
"""Answered by a running orchestrator (NATS ADR-32)."""


class Ping(msgspec.Struct):
    """The empty question."""


async def follow_runs(bus: Bus, view: View) -> None:
    """Keep the known runs as the orchestrator writes them."""

    def begin(head: StreamHead) -> int:
        view.runs.clear()
        return 0

    def read(batch: list[Stored]) -> None:
        for stored in batch:
            if not stored.data:  # a deleted key
                view.runs.forget(stored.subject.rsplit(".", 1)[1])
                continue
            try:
                view.runs.learn(decode(RunState, stored.data))
            except Malformed as error:
                MALFORMED.add("RunState")
                log.warning("run.malformed", subject=stored.subject, error=str(error))

    await _follow(bus, bucket_stream(RUNS.bucket), [bucket_key(RUNS.bucket, "*")], begin, read)


async def follow_log(bus: Bus, view: View) -> None:
    """Read the log once for all clients."""

    end = 0

    def begin(head: StreamHead) -> int:
        nonlocal end
        end = head.last
        floor = max(0, end - TAIL_ENTRIES)
        view.current = floor == end
        view.list.begin(head.epoch, floor)
        view.whole.begin(head.epoch, floor)
        for known in view.runs:
            known.bell.ring()
        return floor

    def read(batch: list[Stored]) -> None:
        view.current = view.current or not batch or batch[-1].sequence >= end
        with log_spans.reading(traces.DELIVER, batch):
            for run in {run for stored in batch if (run := show(stored, view))}:
                if known := view.runs.get(run):
                    known.bell.ring()

    wanted = [subjects.ALL_ACCEPTED, subjects.ALL_DUPLICATES, subjects.ALL_SETTLED, subjects.ALL_FINISHED]
    await _follow(bus, RESULTS.name or "", wanted, begin, read)


def show(stored: Stored, view: View) -> str:
    """Put an entry of the log into the tail; returns its run, or nothing when there is nothing to show."""
    kind, run = subjects.decision(stored.subject)
    frame = frames.decision(stored, view.list.epoch)
    if frame and kind not in frames.ASIDE:
        view.list.add(run, frame)
    view.list.skip(stored.sequence)
    if frame is None:
        view.whole.skip(stored.sequence)
        return ""
    view.whole.add(run, frame)
    if frame.last and (known := view.runs.get(run)):
        known.finish(decode(Finished, stored.data))
    return run


async def hear_snapshots(bus: Bus, view: View) -> None:
    """Pass on what the orchestrator tells of its runs; returns once subscribed."""

    async def on_snapshot(snapshot: Snapshot) -> None:
        if known := view.runs.get(snapshot.state.run):
            known.learn_snapshot(snapshot)

    await bus.listen(subjects.ALL_SNAPSHOTS, Snapshot, on_snapshot)


async def hear_producers(bus: Bus, view: View) -> None:
    """Note which producers are there; returns once subscribed."""

    async def on_presence(presence: Presence) -> None:
        view.producers.hear(presence)

    await bus.listen(subjects.ALL_PRESENCE, Presence, on_presence)


async def watch_orchestrator(bus: Bus, view: View) -> None:
    """Ask every `CHECK_SECONDS` whether an orchestrator answers."""
    while True:
        try:
            await bus.ask(ORCHESTRATOR_PING, Ping(), timeout=CHECK_SECONDS)
            view.orchestrator = True
        except BusError:
            view.orchestrator = False
        await asyncio.sleep(CHECK_SECONDS)


async def _follow(
    bus: Bus, stream: str, wanted: list[str], begin: Callable[[StreamHead], int], read: Callable[[list[Stored]], None]
) -> None:
    """Follow a stream for ever: wait until there is one, and start over when it was made anew or lost its end.

    `begin` is told where the stream stands and says after which sequence to read; `read` gets what comes.
    """
    while True:
        head = await _existing(bus, stream)
        at = begin(head)
        checked = time.monotonic()
        async with aclosing(bus.follow(stream, wanted, at)) as batches:
            async for batch in batches:
                read(batch)
                at = batch[-1].sequence if batch else at
                if time.monotonic() - checked > CHECK_SECONDS:
                    checked = time.monotonic()
                    if await _replaced(bus, stream, head.epoch, at):
                        log.warning("stream.replaced", stream=stream)
                        break


async def _existing(bus: Bus, stream: str) -> StreamHead:
    while True:
        try:
            return await bus.head(stream)
        except BusError:
            await asyncio.sleep(0.5)  # no streams yet, or no server: both come back by themselves


async def _replaced(bus: Bus, stream: str, epoch: str, at: int) -> bool:
    """Whether `at` no longer is a place in this stream. A server that lost its disk starts a new one, from sequence 1."""
    try:
        head = await bus.head(stream)
    except BusError:
        return False
    return head.epoch != epoch or head.last < at
