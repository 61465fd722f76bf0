"""One delivery of the work queue, seen to its end: read, made, reported, and only then taken off the queue."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any

import msgspec
import structlog

from services.producer import call_span, metrics
from services.producer.call import Blocked, Call, Lost
from services.producer.producer import Producer
from shared import subjects
from shared.bus import BusError, Delivery, Malformed, TooLarge, decode
from shared.messages import Task, Usage
from shared.streams import ACK_WAIT, MAX_DELIVER

GIVE_BACK_SECONDS = 5.0
"""Until a task that the bus would not let us finish is handed out again."""

REPORT_SECONDS = 30.0
"""How long the bus is given to take a report; then the task is given back, and its candidates are known by their ids."""

STOP_SECONDS = 0.9
"""For the report of a call that is broken off because the producer stops: less than until it is told so again."""

LATEST_SECONDS = MAX_DELIVER * ACK_WAIT / 2
"""How long after its deadline a task may still be begun. Later the orchestrator has written it off, and its cost is no longer
set aside: it is then reported as not done."""

PAUSE_WORTH_PASSING_ON = 2.0
"""Seconds of a pause from which a task that has just come is given to a producer with another key, if there is one."""

PASS_ON_SECONDS = 1.5
"""Until it is handed out again: longer than a paused producer may still wait for a task it asked for before."""

MAX_PASSED_ON = 2
"""Deliveries of one task that end so; the queue does not hand it out for ever."""

REMEMBERED = 256
"""Ended runs and done tasks that are remembered: far more than one producer meets within the time of a redelivery."""

log = structlog.get_logger()


class Memory:
    """What a producer remembers from one delivery to the next."""

    def __init__(self) -> None:
        self.ended: deque[str] = deque(maxlen=REMEMBERED)
        """Runs."""
        self.done: deque[str] = deque(maxlen=REMEMBERED)
        """Tasks: the server may forget an acknowledgement when it is killed."""
        self.in_hand: dict[str, Job] = {}
        """Jobs at work, by task."""
        self.unreported: dict[str, Usage] = {}
        """What the bus did not take of calls that are made, by task; at most `REMEMBERED`."""
        self.malformed = 0
        self.last_error = ""


class Job:
    """The work on one delivery."""

    def __init__(self, producer: Producer, memory: "Memory", delivery: Delivery) -> None:
        self._producer = producer
        self._memory = memory
        self._delivery = delivery
        self._call: Call | None = None
        self._making: asyncio.Task[None] | None = None
        self.task: Task | None = None
        """What it is about, once that has been read."""
        self.began = time.monotonic()

    async def work(self) -> None:
        """See it to its end. No error of the bus leaves here: the queue hands the task out again."""
        alive = asyncio.ensure_future(_say_working(self._delivery))
        try:
            await self._do(_read(self._delivery))
        except Malformed as error:
            self._memory.malformed += 1
            metrics.MALFORMED.add()
            subject, number = self._delivery.subject, self._memory.malformed
            log.warning("task.malformed", subject=subject, error=str(error), malformed=number)
            await _quietly(self._delivery.discard())
        except Blocked as error:
            seconds = GIVE_BACK_SECONDS if error.seconds is None else error.seconds
            log.warning("task.given_back", error=str(error), seconds=round(seconds, 3))
            await _quietly(self._delivery.retry(seconds))
        except BusError as error:
            log.warning("task.not_acknowledged", error=str(error))
        except asyncio.CancelledError:
            await _quietly(self._delivery.retry(0))
            raise
        finally:
            alive.cancel()

    def stop(self) -> None:
        """End the call: its run is over."""
        if self._making is not None:
            self._making.cancel()

    async def _do(self, task: Task) -> None:
        if task.id in self._memory.in_hand:
            raise Blocked("the task was handed out again while it is being done here")
        if self._producer.key.limits.paused > PAUSE_WORTH_PASSING_ON and self._delivery.attempt <= MAX_PASSED_ON:
            raise Blocked("the key is paused; another may do it", PASS_ON_SECONDS)
        if task.id not in self._memory.done:
            self.task = task
            self._memory.in_hand[task.id] = self
            try:
                await self._make_and_report(task)
            except asyncio.CancelledError:
                await self._report_what_was_begun()
                raise
            finally:
                del self._memory.in_hand[task.id]
            self._memory.done.append(task.id)
        await self._delivery.done()

    async def _make_and_report(self, task: Task) -> None:
        model = task.model or self._producer.models[0]
        with call_span.call_span(task, model, self._producer.id, self._delivery.trace) as span:
            usage = self._memory.unreported.get(task.id) or await self._make(task, span.context)
            call_span.end(span, usage)
            metrics.made(usage)
            await self._report(usage, span.context)

    async def _report_what_was_begun(self) -> None:
        """Report a call that is broken off because the producer stops: nobody else may make it, and it is paid for so far."""
        if self._call is None or not self._call.claimed:
            return
        with contextlib.suppress(BusError, Blocked, TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._report(self._call.usage(cancelled=True), "")
                await self._delivery.done()

    async def _make(self, task: Task, trace: str) -> Usage:
        attempt = self._delivery.attempt
        log.info("task.taken", task=task.id, run=task.run, count=task.count, avoid=len(task.avoid), attempt=attempt)
        named = msgspec.structs.replace(task, model=task.model or self._producer.models[0])
        call = self._call = Call(self._producer, named, trace)
        if named.model not in self._producer.models:
            return call.refused(f"this producer does not offer the model {named.model}; it offers {self._models()}")
        if task.run in self._memory.ended:
            return call.usage(cancelled=True)
        self._making = asyncio.ensure_future(call.make())
        try:
            await asyncio.wait({self._making})
            if not self._making.cancelled():
                self._making.result()
            usage = call.usage(cancelled=self._making.cancelled())
        except Lost:
            usage = call.lost()
        except Blocked as error:
            if call.claimed:  # nobody else may make it any more: if nothing was billed, the orchestrator issues another
                usage = call.usage(cancelled=not call.took)
            elif error.seconds is None or (attempt < MAX_DELIVER and error.late <= LATEST_SECONDS):
                raise
            else:
                usage = call.usage(cancelled=True)
        finally:
            self._making.cancel()
            await asyncio.wait({self._making})
        self._memory.last_error = usage.error
        _log_answer(usage)
        return usage

    def _models(self) -> str:
        return ", ".join(self._producer.models)

    async def _report(self, usage: Usage, trace: str) -> None:
        """Publish what the call took. Raises Blocked when the bus does not take it in time."""
        subject = subjects.usage(usage.run, usage.provider)
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                while True:
                    try:
                        await self._producer.bus.publish(subject, usage, id=usage.task, trace=trace)
                        self._memory.unreported.pop(usage.task, None)
                        return
                    except TooLarge:
                        usage = _shortest(usage)
                    except BusError as error:
                        log.warning("task.not_reported", task=usage.task, error=str(error))
                    await asyncio.sleep(0.5)  # an error may come at once; the bus must not be asked in a tight loop
        except TimeoutError:
            self._memory.unreported[usage.task] = usage
            if len(self._memory.unreported) > REMEMBERED:
                del self._memory.unreported[next(iter(self._memory.unreported))]
            raise Blocked("the bus took no report of the call") from None


def _shortest(usage: Usage) -> Usage:
    """What a call took, without what it gave: a report that the bus never takes would leave the call unpaid."""
    return msgspec.structs.replace(
        usage, error=usage.error[:80], rejected={}, judgements=[], facets=[], on_topic=[], off_topic=[]
    )


def _read(delivery: Delivery) -> Task:
    """The task of a delivery. Raises Malformed, also when it is on another's subject."""
    task = decode(Task, delivery.data)
    if delivery.subject != subjects.task(task.provider, task.run):
        raise Malformed(f"Task: for {task.provider} and run {task.run}, on the subject {delivery.subject}")
    return task


def _log_answer(usage: Usage) -> None:
    log.info(
        "task.answered",
        task=usage.task,
        model=usage.model,
        outcome=usage.outcome,
        attempts=usage.attempts,
        candidates=usage.candidates,
        rejected=usage.rejected,
        seconds=usage.seconds,
        error=usage.error,
    )


async def _say_working(delivery: Delivery) -> None:
    while True:
        await asyncio.sleep(ACK_WAIT / 3)
        await _quietly(delivery.working())


async def _quietly(telling: Coroutine[Any, Any, None]) -> None:
    """Tell the queue something that it finds out by itself if it is not told: after `ACK_WAIT` without a word."""
    with contextlib.suppress(BusError):
        await telling
