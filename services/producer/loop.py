"""The loop that all producers share: as long as a slot is free, take a task and work on it beside the others."""

import asyncio
import contextlib
import time

import structlog

from services.producer.job import Job, Memory
from services.producer.presence import Announcer
from services.producer.producer import Producer
from shared import subjects
from shared.bus import BusError, Delivery, WorkQueue
from shared.messages import Presence, RunControl
from shared.outside_text import as_line

MOST_MODELS = 64
"""Of one producer that are announced."""

NO_QUEUE_SECONDS = 1.0
"""Between attempts while there is no queue."""

log = structlog.get_logger()


class Loop:
    """One producer at work, on as many calls at once as it has slots."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._memory = Memory()
        self._jobs: set[asyncio.Task[None]] = set()
        self.announcer = Announcer(producer.bus, self.presence)
        producer.key.on_pause = self.announcer.changed

    async def run(self) -> None:
        """Work until cancelled; tasks in hand are then given back at once."""
        await self._producer.bus.listen(subjects.ALL_RUN_CONTROL, RunControl, self._on_control)
        await self._producer.key.listen()
        queue = self._producer.bus.queue(self._producer.provider)
        async with asyncio.TaskGroup() as working:
            while True:
                await self._room()
                if delivery := await self._next(queue):
                    job = working.create_task(Job(self._producer, self._memory, delivery).work())
                    self._jobs.add(job)
                    job.add_done_callback(self._ended)
                    self.announcer.changed()

    def presence(self) -> Presence:
        """Who this producer is, and what it does now."""
        paused = self._producer.key.limits.paused
        busy = len(self._jobs)
        oldest = next(iter(self._memory.in_hand.values()), None)
        task = oldest.task if oldest else None
        return Presence(
            producer=self._producer.id,
            provider=self._producer.provider,
            models=list(self._producer.models)[:MOST_MODELS],
            slots=0 if paused else self._producer.slots.now,
            busy=busy,
            run=task.run if task else "",
            task=task.id if task else "",
            kind=task.kind if task else "",
            facet=task.facet if task else "",
            task_seconds=round(time.monotonic() - oldest.began, 3) if oldest else 0,
            state="paused" if paused else "working" if busy else "idle",
            error=as_line(self._memory.last_error),
            key=self._producer.key.mark,
            paused_seconds=round(paused, 3),
        )

    async def _room(self) -> None:
        """Wait until a slot is free and the key may be used."""
        while True:
            if paused := self._producer.key.limits.paused:
                self.announcer.changed()
                await asyncio.sleep(paused)
            elif len(self._jobs) >= self._producer.slots.now:
                await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
            else:
                return

    async def _next(self, queue: WorkQueue) -> Delivery | None:
        """The next task, or None after a while. While there is no queue, waits and says so once."""
        said = False
        while True:
            self.announcer.changed()
            try:
                return await _take(queue)
            except BusError as error:
                if not said:
                    hint = "waiting for the streams"
                    log.warning("tasks.no_queue", provider=self._producer.provider, error=str(error), hint=hint)
                said = True
                await asyncio.sleep(NO_QUEUE_SECONDS)

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        self.announcer.changed()

    async def _on_control(self, control: RunControl) -> None:
        if control.action not in ("stopping", "finished"):
            return  # a pause lets the calls in hand finish: they are paid for
        self._memory.ended.append(control.run)
        for job in self._memory.in_hand.values():
            if job.task and job.task.run == control.run:
                job.stop()


async def _take(queue: WorkQueue) -> Delivery | None:
    """The next task. One that arrives while we are told to stop is given back, not left to time out."""
    taking = asyncio.ensure_future(queue.take())
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        with contextlib.suppress(BusError):
            delivery = await taking
            if delivery is not None:
                await delivery.retry(0)
        raise
