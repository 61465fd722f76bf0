"""One client of one run's event stream: a place in the log and nothing else."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import structlog

from services.gateway import frames
from services.gateway.bell import wait
from services.gateway.frames import Chunk
from services.gateway.known_runs import KnownRun
from services.gateway.log_tail import CHUNK_FRAMES
from services.gateway.metrics import Metrics
from services.gateway.run_view import run_view
from services.gateway.view import View
from shared import subjects
from shared.bus import Bus, BusError
from shared.streams import RESULTS

log = structlog.get_logger()

HEARTBEAT_SECONDS = 15.0
"""Between heartbeats: a page that hears nothing for two of them knows that its connection is dead."""

TURN_EVENTS = 400
"""Events that one client gets in a row before it is the others' turn."""

RETRY_SECONDS = 0.5
"""Before the log is read again after the bus failed."""

LIFE_SECONDS = 1200
"""After this long, up to half more or less, a client is told to come back: what a lost connection left behind goes with it,
and clients spread anew over several gateways."""


class Follower:
    """Sends a run's events from a place on: what the stream holds, then the live tail, without gap or repeat."""

    def __init__(
        self,
        view: View,
        bus: Bus,
        known: KnownRun,
        metrics: Metrics,
        *,
        place: int,
        reset: bool,
        duplicates: bool,
        signed_out: Callable[[], bool] = lambda: False,
    ) -> None:
        self._view = view
        self._bus = bus
        self._known = known
        self._metrics = metrics
        self._signed_out = signed_out
        """Whether the session by which the client came has ended."""
        self._run = known.state.run
        self._place = place
        """Sequence of the log up to which the client has everything of its run."""
        self._reset = reset
        self._duplicates = duplicates
        self._tail = view.whole if duplicates else view.list
        self._epoch = self._tail.epoch
        self._generation = self._tail.generation
        self._uncounted = 0
        """Events sent and not yet counted."""
        self._done = False
        self._changes = known.changes
        self._snapshots = 0
        self._until = time.monotonic() + LIFE_SECONDS * (0.5 + secrets.randbelow(1000) / 1000)

    async def events(self) -> AsyncIterator[bytes]:
        """The stream, until the run has ended, the client's time is over, or the gateway closes."""
        retry = 1000 + secrets.randbelow(3000)  # spread, so that clients of a restart do not come as one
        yield frames.opening(retry) + frames.hello(run_view(self._known.state))
        heartbeat = time.monotonic() + HEARTBEAT_SECONDS
        while self._watched():
            ticket = self._known.bell.ticket()
            if self._starts_over():
                self._metrics.resets.inc()
                yield frames.RESET
            pause = HEARTBEAT_SECONDS
            try:
                async with aclosing(self._log()) as chunks:
                    async for chunk in chunks:
                        yield chunk
                        if self._uncounted >= TURN_EVENTS:
                            await self._end_turn()
            except BusError as error:
                log.warning("history.interrupted", run=self._run, error=str(error))
                pause = RETRY_SECONDS
            await self._end_turn()
            if self._done:
                return
            if self._known.ended and await self._lost_its_end():
                yield frames.ended(run_view(self._known.state))
                return
            if news := self._news():
                yield news
            if time.monotonic() >= heartbeat:
                heartbeat += HEARTBEAT_SECONDS
                yield frames.HEARTBEAT
            await asyncio.sleep(self._view.clients.gap)
            await wait(ticket, min(pause, heartbeat - time.monotonic()))
        yield frames.BYE

    def _watched(self) -> bool:
        """Whether there is more to come here; if not, the client comes back and finds what there is then."""
        known = self._view.runs.get(self._run) is self._known
        return known and not self._view.closing and not self._signed_out() and time.monotonic() < self._until

    def _starts_over(self) -> bool:
        """Whether what the client has is of another log: it must drop that and gets everything from the start."""
        tail = self._tail
        if tail.generation != self._generation:
            self._epoch, self._generation = tail.epoch, tail.generation
            self._place = 0
            self._reset = True
        over, self._reset = self._reset, False
        return over

    def _news(self) -> bytes:
        """What is no part of the log: only the newest of each kind, so a slow client does not lag behind the present."""
        news = b""
        if self._changes != self._known.changes:
            self._changes = self._known.changes
            news += self._known.change_frame
        if self._snapshots != self._known.snapshots and not self._known.ended:
            self._snapshots = self._known.snapshots
            news += self._known.snapshot_frame
        return news

    async def _log(self) -> AsyncGenerator[bytes, None]:
        """All that the log has of the run beyond the client's place."""
        tail = self._tail
        while not self._done and self._watched() and tail.generation == self._generation:
            if self._place < tail.floor(self._run):
                async with aclosing(self._stored()) as chunks:
                    async for chunk in chunks:
                        yield chunk
            elif found := tail.after(self._run, self._place):
                yield self._take(found)
            else:
                self._place = max(self._place, tail.head)
                return

    async def _stored(self) -> AsyncGenerator[bytes, None]:
        """What the stream holds beyond the client's place, up to its end as of now. Raises BusError."""
        end = (await self._bus.head(RESULTS.name or "")).last
        wanted = [subjects.accepted_of_run(self._run), subjects.finished(self._run)]
        if self._duplicates:
            wanted = subjects.decisions_of_run(self._run)
        async with aclosing(self._bus.history(RESULTS.name or "", wanted, self._place)) as batches:
            async for batch in batches:
                rendered = [frame for stored in batch if (frame := frames.decision(stored, self._epoch))]
                for first in range(0, len(rendered), CHUNK_FRAMES):
                    yield self._take(frames.chunk(rendered[first : first + CHUNK_FRAMES]))
        self._place = max(self._place, end)

    async def _lost_its_end(self) -> bool:
        """Whether the log does not know of the end of a run that has ended: the log was lost, the run's state was not."""
        try:
            return await self._bus.last(RESULTS.name or "", subjects.finished(self._run)) is None
        except BusError:
            return False

    def _take(self, chunk: Chunk) -> bytes:
        """Move the client's place over these events, which are sent next."""
        self._place, self._done = chunk.sequence, chunk.last
        self._uncounted += chunk.events
        return chunk.data

    async def _end_turn(self) -> None:
        """Count what was sent, and let others have theirs.

        A send returns at once while there is room, or when the connection is lost: without a pause the others would wait until
        this client has everything, and it would be given all of it though nobody is there any more.
        """
        self._metrics.sent.inc(self._uncounted)
        self._uncounted = 0
        await asyncio.sleep(0)
