"""One model call: the answer's text comes in, and each attribute goes out as soon as it is complete."""

import asyncio
import time
from contextlib import aclosing
from typing import Literal

import structlog

from services.producer.adapters.contract import Adapter, End, ModelError
from services.producer.parse import Parser
from shared import subjects
from shared.bus import Bus, BusError
from shared.messages import Candidate, Task, Usage, candidate_id, now

IN_FLIGHT = 32
"""Candidates that wait for the server's disk at once: more would only wait in the server."""

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 2.0
"""Between attempts to publish while the bus is away or full: short at first, since most outages are a restart."""

log = structlog.get_logger()


class Blocked(Exception):
    """Raised when the bus took no more before the task's deadline: the task is for later, or for somebody else."""


class Call:
    """A task being done by one producer."""

    def __init__(self, bus: Bus, adapter: Adapter, producer: str, task: Task, trace: str) -> None:
        self._bus = bus
        self._adapter = adapter
        self._producer = producer
        self._task = task
        self._trace = trace
        self._model = task.model or adapter.model
        self._parser = Parser(task.count)
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._waiting = 0
        self._published = 0
        self._last_candidate = 0
        self._ordinal = 0
        self._end = End()
        self._error = ""
        self._began = time.monotonic()

    async def make(self) -> None:
        """Make the call. Its failure is a result (see `usage`), not an exception; raises Blocked alone."""
        try:
            async with asyncio.timeout(self._task.deadline_seconds), asyncio.TaskGroup() as publishing:
                await self._read(publishing)
        except TimeoutError:
            if self._waiting:
                raise Blocked("the bus took no candidates until the task's deadline") from None
            self._error = f"no complete answer within {self._task.deadline_seconds:g} s"
        except Exception as error:
            log.exception("call.broken", task=self._task.id)
            self._error = f"a fault of the producer itself: {type(error).__name__}"

    def usage(self, *, cancelled: bool = False) -> Usage:
        """What the call took and gave."""
        outcome: Literal["ok", "failed", "cancelled"] = "cancelled" if cancelled else "failed" if self._error else "ok"
        return Usage(
            run=self._task.run,
            task=self._task.id,
            provider=self._task.provider,
            model=self._model,
            producer=self._producer,
            outcome=outcome,
            error=self._error,
            candidates=self._published,
            last_candidate=self._last_candidate,
            rejected=dict(self._parser.rejected),
            input_tokens=self._end.input_tokens,
            output_tokens=self._end.output_tokens,
            seconds=round(time.monotonic() - self._began, 3),
            at=now(),
        )

    async def _read(self, publishing: asyncio.TaskGroup) -> None:
        try:
            async with aclosing(self._adapter.complete(self._task)) as answer:
                async for piece in answer:
                    if isinstance(piece, End):
                        self._end = piece
                        break
                    await self._send(publishing, self._parser.feed(piece))
                    if self._parser.full:
                        break
        except ModelError as error:  # not let through: the group would end the publishing of what was complete before
            self._error = str(error)
        else:
            await self._send(publishing, self._parser.end(whole=self._end.whole))

    async def _send(self, publishing: asyncio.TaskGroup, texts: list[str]) -> None:
        for text in texts:
            await self._places.acquire()
            publishing.create_task(self._publish(self._candidate(text)))

    def _candidate(self, text: str) -> Candidate:
        ordinal, self._ordinal = self._ordinal, self._ordinal + 1
        return Candidate(
            id=candidate_id(self._task.id, text),
            run=self._task.run,
            task=self._task.id,
            ordinal=ordinal,
            text=text,
            provider=self._task.provider,
            model=self._model,
            producer=self._producer,
            facet=self._task.facet,
            at=now(),
        )

    async def _publish(self, candidate: Candidate) -> None:
        subject = subjects.candidate(candidate.run, candidate.provider)
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                sequence = await self._bus.publish(subject, candidate, id=candidate.id, trace=self._trace)
                break
            except BusError as error:
                if not self._waiting:
                    log.warning("candidates.waiting", task=self._task.id, error=str(error))
                self._waiting += 1
                await asyncio.sleep(wait)
                self._waiting -= 1
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
        self._published += 1
        self._last_candidate = max(self._last_candidate, sequence)
        self._places.release()
