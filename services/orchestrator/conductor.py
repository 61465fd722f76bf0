"""The life of one run: hands out tasks, watches the limits, and brings it to its end."""

import asyncio
import contextlib

import structlog

from services.orchestrator import metrics
from services.orchestrator.decision_log import DecisionLog
from services.orchestrator.dispatch import Dispatch, Load
from services.orchestrator.intake import Intake
from services.orchestrator.prices import dollars
from services.orchestrator.producers import Producers
from services.orchestrator.run import Outstanding, Run
from services.orchestrator.run_spans import RunSpans
from shared import streams, subjects
from shared.bus import Bus, BusError, Entry, bucket_key
from shared.messages import Action, RunControl, Status, Task, Usage, now

TICK_SECONDS = 0.1
"""How often limits are looked at when nothing happens."""

LAST_CALLS_SECONDS = 5.0
"""How long a run that ends waits for calls under way to be reported; what they found is taken along."""

UNPUBLISHED_SECONDS = 0.5
"""Until a task that the bus did not take is published again."""

LAST_SAVES = 600
"""Attempts to write a run's last state: five minutes, longer than a server takes to come back."""

WRITE_OFF_SECONDS = streams.MAX_DELIVER * streams.ACK_WAIT
"""Beyond its own deadline, how long a task may stay unreported: by then it was given to every producer it may be given to."""

RUNS = streams.RUNS.bucket
TASKS = streams.TASKS.name or ""

log = structlog.get_logger()


class Conductor:
    """Conducts one run from its first task to its last entry in the log."""

    def __init__(
        self, run: Run, spans: RunSpans, bus: Bus, decisions: DecisionLog, intake: Intake, producers: Producers, load: Load
    ) -> None:
        self.run = run
        self._spans = spans
        self._bus = bus
        self._log = decisions
        self._intake = intake
        self._load = load
        self._awake = asyncio.Event()
        self._in_doubt: Task | None = None
        """A task that the bus did not confirm."""
        self._next_attempt = 0.0
        self._dispatch = Dispatch(run, producers, load)
        self._ending: tuple[Status, str] | None = None
        for task in run.outstanding.values():
            load.change(task.task.provider, +1)

    # ---- what others tell it ---------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look again at once: a slot is free, a limit may be reached."""
        self._awake.set()

    def end(self, status: Status, reason: str) -> None:
        """Bring the run to its end; the first reason given counts."""
        if self._ending is None:
            self._ending = (status, reason)
        self.wake()

    @property
    def ending(self) -> bool:
        """Whether the run is being brought to its end."""
        return self._ending is not None or self.run.status == "stopping"

    def pause(self) -> None:
        """Hand out no more tasks; calls under way are finished and the clock stands still."""
        self.run.status = "paused"
        self.run.reason = "paused by the user"
        self.wake()

    def resume(self) -> None:
        """Go on after a pause."""
        self.run.status = "running"
        self.run.reason = ""
        self.wake()

    def used(self, usage: Usage) -> None:
        """Take in a finished call: its slot is free, and a failed one means a pause for its provider."""
        held = self.run.outstanding.get(usage.task)
        spent = self.run.budget.spent.usd
        if not self.run.used(usage):
            return
        metrics.used(usage, dollars(self.run.budget.spent.usd - spent))
        self._spans.counted(usage)
        if held is not None:
            self._load.change(held.task.provider, -1)
        left = set(self._left())
        self._dispatch.used(usage, held.since if held else 0.0, _clock())
        for name in self._left():
            if name not in left:
                log.warning("provider.left", run=self.run.id, name=name, reason=usage.error)
        self.wake()

    def _left(self) -> list[str]:
        return [name for name, tally in {**self.run.tallies, **self.run.models}.items() if tally.left]

    # ---- the run's life --------------------------------------------------------------------------------------------

    async def conduct(self) -> None:
        """Run to the end: until a limit, the user, or the failure of every provider."""
        if self.run.status == "stopping":  # an earlier orchestrator died while it ended this run
            self._check_limits()
            self.end("stopped", self.run.reason)
        before = _clock()
        while self._ending is None:
            moment = _clock()
            if self.run.status == "running":
                self.run.seconds += moment - before
                self._check_limits()
                if self._may_go_on():
                    await self._hand_out()
            before = moment
            await self._next_event()
        await self._conclude(*self._ending)

    def _may_go_on(self) -> bool:
        return self._ending is None and self.run.status == "running"

    async def _next_event(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self._awake.wait()
        self._awake.clear()

    def _check_limits(self) -> None:
        run, spec = self.run, self.run.spec
        if run.full and run.limit == spec.max_items:
            self.end("finished", f"reached {run.limit} attributes (max_items)")
        elif run.full:
            self._pause_full()
        elif spec.max_seconds is not None and run.seconds >= spec.max_seconds:
            self.end("finished", f"reached {spec.max_seconds:g} seconds (max_seconds)")
        elif reason := self._dispatch.saturated():
            self.end("finished", reason)
        elif not run.outstanding and (over := self._dispatch.over()):
            in_good_order, reason = over
            self.end("finished" if in_good_order else "failed", reason)

    def _pause_full(self) -> None:
        """Pause a list that may not grow: memory is bounded, and what the list cannot take must not be paid for."""
        self.run.status = "paused"
        self.run.reason = f"the list holds {self.run.limit} attributes, the most that one run may hold; stop it, start another"
        log.error("run.full", run=self.run.id, accepted=self.run.accepted, hint="stop it; a new run may go on with the topic")

    async def _hand_out(self) -> None:
        """Publish a task for each call that may be made now."""
        self._write_off()
        if self._log.full:
            self.run.reason = "waiting: the log of decisions (stream RESULTS) is full"
            return
        if self._in_doubt and _clock() < self._next_attempt:
            return
        while (task := self._in_doubt or self._dispatch.next_task(_clock())) and await self._publish(task):
            pass
        self.run.reason = self._dispatch.waits_for()

    async def _publish(self, task: Task) -> bool:
        try:
            trace = self._spans.task(task)
            sequence = await self._bus.publish(subjects.task(task.provider, task.run), task, id=task.id, trace=trace)
        except BusError as error:
            log.warning("task.not_published", run=task.run, task=task.id, error=str(error))
            # It may be stored: nothing but the very same is published under its id, or a call would cost what is not reserved.
            self._in_doubt, self._next_attempt = task, _clock() + UNPUBLISHED_SECONDS
            self._dispatch.pause(task.provider, self._next_attempt)
            return False
        self._in_doubt = None
        if task.kind == "list":
            self.run.issued += 1
        self.run.handed_out(task, sequence, _clock())
        self._load.change(task.provider, +1)
        if (
            task.id in self.run.reported
        ):  # an attempt whose answer was lost was stored, and the call is made: none will report it
            self._forget(self.run.outstanding[task.id], "ok")
        return True

    def _write_off(self) -> None:
        """Forget tasks that were given to every producer they may be given to and never came back."""
        for held in list(self.run.outstanding.values()):
            if _clock() - held.since > held.task.deadline_seconds + WRITE_OFF_SECONDS:
                log.error("task.written_off", run=self.run.id, task=held.task.id, provider=held.task.provider)
                self._forget(held, "lost")

    def _forget(self, held: Outstanding, outcome: str) -> None:
        self.run.called_back(held.task.id)
        self._spans.forgotten(held.task.id, outcome)
        self._load.change(held.task.provider, -1)

    # ---- the end ---------------------------------------------------------------------------------------------------

    async def _conclude(self, status: Status, reason: str) -> None:
        """Call back what is not taken yet, wait for what is under way, decide what has arrived, and close the log."""
        run = self.run
        run.status, run.reason = "stopping", reason
        log.info("run.stopping", run=run.id, reason=reason)
        await self.announce("stopping")
        await self._call_back()
        deadline = _clock() + LAST_CALLS_SECONDS
        while run.outstanding and _clock() < deadline:
            await self._next_event()
        await self._abandon()
        await self._intake.caught_up()
        run.status, run.reason, run.ended = status, reason, now()
        await self._log.append([Entry(subjects.finished(run.id), run.finished(), run.trace)])
        self._spans.finished(run.state())
        log.info("run.finished", run=run.id, status=status, reason=reason, accepted=run.accepted, duplicates=run.duplicates)
        await self._save_for_good()
        await self.announce("finished")

    async def _call_back(self) -> None:
        """Take the tasks that no producer has begun off the queue."""
        for provider in {held.task.provider for held in self.run.outstanding.values()}:
            try:
                begun = await self._bus.delivered(TASKS, streams.producer_consumer(provider))
                for held in [o for o in self.run.outstanding.values() if o.task.provider == provider]:
                    if held.sequence > begun:
                        await self._bus.remove(TASKS, held.sequence)
                        self._forget(held, "called_back")
            except BusError as error:
                log.warning("task.not_called_back", run=self.run.id, provider=provider, error=str(error))

    async def _abandon(self) -> None:
        """Give up tasks whose producers died, so that no other producer makes their calls for a run that has ended."""
        for held in list(self.run.outstanding.values()):
            log.warning("task.unreported", run=self.run.id, task=held.task.id, provider=held.task.provider)
            self._forget(held, "lost")
        try:
            await self._bus.purge(TASKS, subjects.tasks_of_run(self.run.id))
        except BusError as error:
            log.warning("task.not_called_back", run=self.run.id, error=str(error))

    async def announce(self, action: Action) -> None:
        """Tell producers and gateway that the run changed."""
        control = RunControl(run=self.run.id, action=action, reason=self.run.reason, at=now())
        await self._bus.tell(subjects.run_control(self.run.id), control)

    async def save(self) -> bool:
        """Write the run's state where everybody can read it; returns whether it is there."""
        try:
            await self._bus.publish(bucket_key(RUNS, self.run.id), self.run.state())
        except BusError as error:
            log.warning("run.not_saved", run=self.run.id, error=str(error))
            return False
        return True

    async def _save_for_good(self) -> None:
        """Write the last state: nobody would write it later, and the run would seem to go on for ever."""
        for _ in range(LAST_SAVES):
            if await self.save():
                return
            await asyncio.sleep(UNPUBLISHED_SECONDS)


def _clock() -> float:
    return asyncio.get_running_loop().time()
