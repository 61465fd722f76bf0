"""The log of decisions (RESULTS), written by one orchestrator at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from services.orchestrator import log_entries, metrics
from shared import streams, subjects
from shared.bus import Bus, BusError, Entry, Fenced, Full, Missing, Stored, Taken, TooLarge, Unavailable, encode
from shared.messages import Duplicate, Epoch, now

RETRY_SECONDS = 0.2
"""Between attempts while the server is away; it has no end, since a decision must not be skipped."""

FULL_SECONDS = 2.0
"""Between attempts while the stream is at its bound, until a person makes room."""

FULL_HINT = "raise max_bytes of the stream RESULTS, or start with an empty store; trying again"

LARGEST = streams.MAX_PAYLOAD - 2048
"""Bytes of an entry: what a message may have, less its headers."""

RESULTS = streams.RESULTS.name or ""
EPOCH = "attributes.epoch."
EVERY_ENTRY = "attributes.>"

AnswerT = TypeVar("AnswerT")

log = structlog.get_logger()


class LogConflict(Exception):
    """Raised when the log holds an attribute that this process thinks is new: its memory is wrong, replay it."""


class LogDamaged(LogConflict):
    """Raised when the log does not end where this process left it: it lost its tail, or somebody else wrote to it."""


class Unwritten(Exception):
    """Raised when an entry alone can never be written: it is too large, or what is no entry holds its subject."""


class DecisionLog:
    """Appends decisions exactly once, whatever happens to the connection in between."""

    def __init__(self, bus: Bus, fence: int) -> None:
        self._bus = bus
        self.fence = fence
        """Sequence of our epoch: there is no later one as long as we are the writer."""
        self._last = fence
        self._writing = asyncio.Lock()
        self._said_foreign = False
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

        Waits as long as the server is away or the stream is at its bound. Raises Unwritten, once the others are on disk, for an
        entry that no wait would make fit; Fenced when a newer orchestrator took over; LogConflict when the log contradicts this
        process.
        """
        lost: list[str] = []
        async with self._writing:
            for start in range(0, len(entries), streams.MAX_BATCH):
                lost += await self._write(list(entries[start : start + streams.MAX_BATCH]))
        if lost:
            log.error(
                "log.unwritten", subjects=lost[:5], count=len(lost), hint="too large, or their subject was taken; others are"
            )
            raise Unwritten(f"{lost[0]} cannot be written")

    async def _write(self, batch: list[Entry]) -> list[str]:
        """Write entries; returns the subjects of those that can never be written."""
        lost: list[str] = []
        while batch:
            try:
                # Naming the end that we know keeps us from writing on where a damaged disk cost the log its tail.
                self._last = await self._bus.commit(batch, self.fence, after=self._last)
                batch = []
            except TooLarge:
                lost += [entry.subject for entry in batch if len(encode(entry.message)) > LARGEST]
                batch = [entry for entry in batch if len(encode(entry.message)) <= LARGEST]
            except Fenced:
                left = await self._unstored(batch)
                if len(left) == len(batch):
                    await self._pass_over()
                batch = left  # an attempt whose answer was lost was carried out after all
            except Full as error:
                self.full = True
                log.error("log.full", error=str(error), hint=FULL_HINT)
                await asyncio.sleep(FULL_SECONDS)
            except Taken:
                left = await self._unstored(batch)
                batch = left if len(left) < len(batch) else await self._without_decided(batch, lost)
            except BusError as error:  # the outcome is unknown
                log.warning("log.write_interrupted", error=str(error), decisions=len(batch))
                await asyncio.sleep(RETRY_SECONDS)
                batch = await self._unstored(batch)
        self.full = False
        return lost

    async def _unstored(self, batch: list[Entry]) -> list[Entry]:
        """What of a batch whose answer was lost is not in the log. Nobody else writes, so what is there stands in its order.

        A batch is all or nothing, unless a bound of the stream is lowered while it is stored: then its tail may be missing.
        """
        found = await self._find(batch[0].subject)
        if found is None or found.sequence <= self._last or found.data != encode(batch[0].message):
            return batch
        self._last = max(self._last, (await self._persist(lambda: self._bus.head(RESULTS))).last)
        return batch[self._last - found.sequence + 1 :]

    async def is_ours(self) -> bool:
        """Whether nobody has taken over the log by now, as far as the server tells. Raises BusError."""
        newest = await self._bus.last(RESULTS, subjects.ALL_EPOCHS)
        return newest is not None and (newest.sequence <= self.fence or not log_entries.is_entry(newest))

    async def _pass_over(self) -> None:
        """Go on after what stands behind the end that we left and is no entry.

        The server puts its answer to any request on the subject that the request names. Raises Fenced or LogDamaged when an
        entry stands there that we did not write, or the log is shorter than we left it.
        """
        end = (await self._persist(lambda: self._bus.head(RESULTS))).last
        if end < self._last:
            raise LogDamaged(f"RESULTS ends at {end}, where {self._last} was written last: it lost entries or was made anew")
        fence = await self._persist(lambda: self._bus.last(RESULTS, subjects.ALL_EPOCHS))
        if fence is None or (fence.sequence < self.fence):
            raise LogDamaged("RESULTS has lost our epoch: it lost entries or was made anew")
        foreign = await self._persist(lambda: self._after(self._last))
        for stored in foreign:
            if not log_entries.is_entry(stored):
                continue
            if stored.subject.startswith(EPOCH):
                raise Fenced(f"another orchestrator has taken over ({stored.subject})")
            raise LogDamaged(f"RESULTS holds {stored.subject} at {stored.sequence}, which we did not write")
        if foreign:
            metrics.FOREIGN.add(by=len(foreign))
            if not self._said_foreign:
                self._said_foreign = True
                log.error("log.foreign", subject=foreign[0].subject[:200], count=len(foreign), hint="no entry; passed over")
            self._last = foreign[-1].sequence
            self.fence = max([self.fence, *(s.sequence for s in foreign if s.subject.startswith(EPOCH))])

    async def _after(self, sequence: int) -> list[Stored]:
        return [s async for batch in self._bus.history(RESULTS, [EVERY_ENTRY], after=sequence) for s in batch]

    async def _find(self, subject: str) -> Stored | None:
        return await self._persist(lambda: self._bus.last(RESULTS, subject))

    async def _persist(self, question: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Ask the server until it answers."""
        while True:
            try:
                return await question()
            except (Unavailable, Missing):
                await asyncio.sleep(RETRY_SECONDS)

    async def _without_decided(self, batch: list[Entry], lost: list[str]) -> list[Entry]:
        """Leave out duplicates that were decided before: a candidate that came again after the stream forgot its id.

        An entry whose subject holds what is none goes to the `lost`.
        """
        left: list[Entry] = []
        for entry in batch:
            found = await self._find(entry.subject)
            if found is None:
                left.append(entry)
            elif not log_entries.is_entry(found):
                lost.append(entry.subject)
            elif not isinstance(entry.message, Duplicate):
                raise LogConflict(f"{entry.subject} is in the log already")
        return left
