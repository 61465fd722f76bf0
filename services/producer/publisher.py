"""Brings one call's candidates to the bus, each as soon as it is complete."""

import asyncio
from types import TracebackType

import structlog

from services.producer.prompt import version
from shared import subjects
from shared.bus import Bus, BusError, TooLarge
from shared.messages import Candidate, Task, candidate_id, now

IN_FLIGHT = 32
"""Candidates that wait for the server's disk at once: more would only wait in the server."""

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 2.0
"""Between attempts to publish while the bus is away or full: short at first, since most outages are a restart."""

log = structlog.get_logger()


class Publisher:
    """Publishes the candidates of one task; leaving its block waits for the last of them."""

    def __init__(self, bus: Bus, producer: str, task: Task, trace: str) -> None:
        self._bus = bus
        self._producer = producer
        self._task = task
        self._trace = trace
        self._group = asyncio.TaskGroup()
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self.sent = 0
        """Attributes handed over."""
        self._waiting = 0
        self.published = 0

    async def __aenter__(self) -> "Publisher":
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._group.__aexit__(kind, error, traceback)

    async def send(self, texts: list[str]) -> None:
        """Publish these attributes; returns when they are on their way."""
        for text in texts:
            await self._places.acquire()
            self._group.create_task(self._publish(self._candidate(text)))

    def _candidate(self, text: str) -> Candidate:
        ordinal, self.sent = self.sent, self.sent + 1
        return Candidate(
            id=candidate_id(self._task.id, text),
            run=self._task.run,
            task=self._task.id,
            ordinal=ordinal,
            text=text,
            provider=self._task.provider,
            model=self._task.model,
            producer=self._producer,
            facet=self._task.facet,
            probe=self._task.probe,
            prompt=version(self._task.provider, self._task.kind),
            at=now(),
        )

    async def _publish(self, candidate: Candidate) -> None:
        subject = subjects.candidate(candidate.run, candidate.provider)
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                await self._bus.publish(subject, candidate, id=candidate.id, trace=self._trace)
                break
            except TooLarge as error:
                log.error("candidate.too_large", task=self._task.id, error=str(error))
                self._places.release()
                return
            except BusError as error:
                if not self._waiting:
                    log.warning("candidates.waiting", task=self._task.id, error=str(error))
                self._waiting += 1
                await asyncio.sleep(wait)
                self._waiting -= 1
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
        self.published += 1
        self._places.release()
