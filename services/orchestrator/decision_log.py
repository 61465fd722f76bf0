"""The log of decisions (RESULTS), written by one orchestrator at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from shared import streams, subjects
from shared.bus import Bus, BusError, Entry, Fenced, Full, Missing, Taken, TooLarge, Unavailable
from shared.messages import Duplicate, Epoch, now

RETRY_SECONDS = 0.2
"""Between attempts while the server is away; it has no end, since a decision must not be skipped."""

FULL_SECONDS = 2.0
"""Between attempts while the stream is at its bound, until a person makes room."""

FULL_HINT = "raise max_bytes of the stream RESULTS, or start with an empty store; trying again"

RESULTS = streams.RESULTS.name or ""

AnswerT = TypeVar("AnswerT")

log = structlog.get_logger()


class LogConflict(Exception):
    """Raised when the log holds an attribute that this process thinks is new: its memory is wrong, replay it."""


class LogDamaged(LogConflict):
    """Raised when the log does not end where this process left it: it lost its tail, or somebody else wrote to it."""


class DecisionLog:
    """Appends decisions exactly once, whatever happens to the connection in between."""

    def __init__(self, bus: Bus, fence: int) -> None:
        self._bus = bus
        self.fence = fence
        """Sequence of our epoch: there is no later one as long as we are the writer."""
        self._last = fence
        self._writing = asyncio.Lock()
        self.full = False
        """Whether the stream is at its bound; decisions wait, and no more calls should be paid for."""

    @classmethod
    async def take_over(cls, bus: Bus, orchestrator: str) -> "DecisionLog":
        """Become the one writer: from here on the server refuses the writes of any earlier orchestrator."""
        while True:
            try:
                number, sequence = await bus.claim_epoch(lambda n: Epoch(epoch=n, orchestrator=orchestrator, at=now()))
                break
            except Full as error:
                log.error("log.full", error=str(error), hint=FULL_HINT)
                await asyncio.sleep(FULL_SECONDS)
        log.info("log.taken_over", epoch=number, sequence=sequence)
        return cls(bus, sequence)

    async def append(self, entries: Sequence[Entry]) -> None:
        """Write decisions in order, in atomic batches; returns when all are on disk.

        Waits as long as the server is away or the stream is at its bound. Raises TooLarge for a message that no wait would
        make fit, Fenced when a newer orchestrator took over, LogConflict when the log contradicts this process.
        """
        async with self._writing:
            for start in range(0, len(entries), streams.MAX_BATCH):
                await self._write(list(entries[start : start + streams.MAX_BATCH]))

    async def _write(self, batch: list[Entry]) -> None:
        while batch:
            try:
                # Naming the end that we know keeps us from writing on where a damaged disk cost the log its tail.
                self._last = await self._bus.commit(batch, self.fence, after=self._last)
                batch = []
            except TooLarge:
                raise
            except Fenced:
                left = await self._unstored(batch)
                if len(left) == len(batch):
                    await self._explain()
                batch = left  # an attempt whose answer was lost was carried out after all
            except Full as error:
                self.full = True
                log.error("log.full", error=str(error), hint=FULL_HINT)
                await asyncio.sleep(FULL_SECONDS)
            except Taken:
                left = await self._unstored(batch)
                batch = left if len(left) < len(batch) else await self._without_decided(batch)
            except BusError as error:  # the outcome is unknown
                log.warning("log.write_interrupted", error=str(error), decisions=len(batch))
                await asyncio.sleep(RETRY_SECONDS)
                batch = await self._unstored(batch)
        self.full = False

    async def _unstored(self, batch: list[Entry]) -> list[Entry]:
        """What of a batch whose answer was lost is not in the log. Nobody else writes, so what is there stands in its order.

        A batch is all or nothing, unless a bound of the stream is lowered while it is stored: then its tail may be missing.
        """
        found = await self._find(batch[0].subject)
        if found <= self._last:
            return batch
        self._last = max(self._last, (await self._persist(lambda: self._bus.head(RESULTS))).last)
        return batch[self._last - found + 1 :]

    async def _explain(self) -> None:
        """Raise what it means that the log does not end where we left it; return if it does by now."""
        newest = await self._persist(lambda: self._bus.last(RESULTS, subjects.ALL_EPOCHS))
        end = (await self._persist(lambda: self._bus.head(RESULTS))).last
        if newest and newest.sequence > self.fence:
            raise Fenced(f"another orchestrator has taken over ({newest.subject})")
        if end != self._last or not newest or newest.sequence != self.fence:
            raise LogDamaged(f"RESULTS ends at {end}, where {self._last} was written last: it lost entries or was made anew")

    async def _find(self, subject: str) -> int:
        stored = await self._persist(lambda: self._bus.last(RESULTS, subject))
        return stored.sequence if stored else 0

    async def _persist(self, question: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Ask the server until it answers."""
        while True:
            try:
                return await question()
            except (Unavailable, Missing):
                await asyncio.sleep(RETRY_SECONDS)

    async def _without_decided(self, batch: list[Entry]) -> list[Entry]:
        """Leave out duplicates that were decided before: a candidate that came again after the stream forgot its id."""
        left: list[Entry] = []
        for entry in batch:
            if not await self._find(entry.subject):
                left.append(entry)
            elif not isinstance(entry.message, Duplicate):
                raise LogConflict(f"{entry.subject} is in the log already")
        return left
