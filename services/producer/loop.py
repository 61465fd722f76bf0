"""The loop that all producers share: take a task, make its call, report it, and only then take it off the queue."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from typing import Any

import structlog

from services.producer.adapters.contract import Adapter
from services.producer.call import Blocked, Call
from services.producer.presence import Announcer
from shared import subjects
from shared.bus import Bus, BusError, Delivery, Malformed, WorkQueue, decode
from shared.messages import RunControl, Task, Usage
from shared.streams import ACK_WAIT

GIVE_BACK_SECONDS = 5.0
"""Until a task that the bus would not let us finish is handed out again."""

REPORT_SECONDS = 30.0
"""How long the report of a call is tried: losing it means the call is made, and paid for, once more."""

NO_QUEUE_SECONDS = 1.0
"""Between attempts while there is no queue."""

REMEMBERED = 256
"""Ended runs and done tasks that are remembered: far more than one producer meets within the time of a redelivery."""

log = structlog.get_logger()


class Loop:
    """One producer at work, one call at a time."""

    def __init__(self, bus: Bus, provider: str, adapter: Adapter, producer: str, announcer: Announcer) -> None:
        self._bus = bus
        self._provider = provider
        self._adapter = adapter
        self._producer = producer
        self._announcer = announcer
        self._ended: deque[str] = deque(maxlen=REMEMBERED)
        self._done: deque[str] = deque(maxlen=REMEMBERED)
        self._run = ""
        self._making: asyncio.Task[None] | None = None
        self._malformed = 0

    async def run(self) -> None:
        """Work until cancelled; a task in hand is then given back at once."""
        await self._bus.listen(subjects.ALL_RUN_CONTROL, RunControl, self._on_control)
        queue = self._bus.queue(self._provider)
        lost = False
        while True:
            try:
                delivery = await _take(queue)
                lost = False
            except BusError as error:
                if not lost:
                    log.warning("tasks.no_queue", provider=self._provider, error=str(error), hint="waiting for the streams")
                lost = True
                await asyncio.sleep(NO_QUEUE_SECONDS)
                continue
            if delivery is not None:
                await self._handle(delivery)

    async def _on_control(self, control: RunControl) -> None:
        if control.action not in ("stopping", "finished"):
            return  # a pause lets the call in hand finish: it is paid for
        self._ended.append(control.run)
        if control.run == self._run and self._making is not None:
            self._making.cancel()

    async def _handle(self, delivery: Delivery) -> None:
        """See one delivery to its end. No error of the bus leaves here: the queue hands the task out again."""
        alive = asyncio.ensure_future(_say_working(delivery))
        try:
            task = _read(delivery)
            await self._work(task, delivery)
        except Malformed as error:
            self._malformed += 1
            log.warning("task.malformed", subject=delivery.subject, error=str(error), malformed=self._malformed)
            await _quietly(delivery.discard())
        except Blocked as error:
            log.warning("task.given_back", error=str(error), seconds=GIVE_BACK_SECONDS)
            await _quietly(delivery.retry(GIVE_BACK_SECONDS))
        except BusError as error:
            log.warning("task.not_acknowledged", error=str(error))
        except asyncio.CancelledError:
            await _quietly(delivery.retry(0))
            raise
        finally:
            alive.cancel()
            self._announcer.show(state="idle", busy=0, run="")

    async def _work(self, task: Task, delivery: Delivery) -> None:
        if task.id not in self._done:  # the server may forget an acknowledgement when it is killed
            usage = await self._make(task, delivery)
            await self._report(usage, delivery.trace)
            self._done.append(task.id)
        await delivery.done()

    async def _make(self, task: Task, delivery: Delivery) -> Usage:
        log.info("task.taken", task=task.id, run=task.run, count=task.count, avoid=len(task.avoid), attempt=delivery.attempt)
        self._announcer.show(state="working", busy=1, run=task.run)
        call = Call(self._bus, self._adapter, self._producer, task, delivery.trace)
        if task.run in self._ended:
            return call.usage(cancelled=True)
        self._run, self._making = task.run, asyncio.ensure_future(call.make())
        try:
            await asyncio.wait({self._making})
            if not self._making.cancelled():
                self._making.result()
            usage = call.usage(cancelled=self._making.cancelled())
        finally:
            self._making.cancel()
            await asyncio.wait({self._making})
            self._run, self._making = "", None
        self._announcer.show(error=usage.error)
        log.info(
            "task.answered",
            task=task.id,
            outcome=usage.outcome,
            candidates=usage.candidates,
            rejected=usage.rejected,
            seconds=usage.seconds,
            error=usage.error,
        )
        return usage

    async def _report(self, usage: Usage, trace: str) -> None:
        """Publish what the call took. Raises Blocked when the bus does not take it in time."""
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                while True:
                    with contextlib.suppress(BusError):
                        await self._bus.publish(subjects.usage(usage.run, usage.provider), usage, id=usage.task, trace=trace)
                        return
                    await asyncio.sleep(0.5)  # an error may come at once; the bus must not be asked in a tight loop
        except TimeoutError:
            raise Blocked("the bus took no report of the call") from None


def _read(delivery: Delivery) -> Task:
    """The task of a delivery. Raises Malformed, also when it is on another's subject."""
    task = decode(Task, delivery.data)
    if delivery.subject != subjects.task(task.provider, task.run):
        raise Malformed(f"Task: for {task.provider} and run {task.run}, on the subject {delivery.subject}")
    return task


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


async def _say_working(delivery: Delivery) -> None:
    while True:
        await asyncio.sleep(ACK_WAIT / 3)
        await _quietly(delivery.working())


async def _quietly(telling: Coroutine[Any, Any, None]) -> None:
    """Tell the queue something that it finds out by itself if it is not told: after `ACK_WAIT` without a word."""
    with contextlib.suppress(BusError):
        await telling
