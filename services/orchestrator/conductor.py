"""The life of one run: hands out tasks, watches the limits, and brings it to its end."""

import asyncio
from dataclasses import dataclass, field

import structlog

from services.orchestrator.decision_log import DecisionLog
from services.orchestrator.intake import Intake
from services.orchestrator.producers import Producers
from services.orchestrator.run import Outstanding, Run
from shared import streams, subjects
from shared.bus import Bus, BusError, Entry, bucket_key, new_trace
from shared.messages import Action, RunControl, Status, Task, Usage, now

TICK_SECONDS = 0.1
"""How often limits are looked at when nothing happens."""

LAST_CALLS_SECONDS = 5.0
"""How long a run that ends waits for calls under way to be reported; what they found is taken along."""

MAX_FAILURES_IN_ROW = 8
"""Failed calls in a row after which a provider leaves the run: with the growing pauses below that is about two minutes."""

MAX_PAUSE_SECONDS = 30.0
"""Longest pause after a failed call; the first is half a second and each next one twice as long."""

WRITE_OFF_SECONDS = streams.MAX_DELIVER * streams.ACK_WAIT
"""Beyond its own deadline, how long a task may stay unreported: by then it was given to every producer it may be given to."""

RUNS = streams.RUNS.bucket
TASKS = streams.TASKS.name or ""

log = structlog.get_logger()


@dataclass(slots=True)
class Load:
    """Tasks outstanding per provider over all runs, so that runs share the producers."""

    tasks: dict[str, int] = field(default_factory=dict)

    def change(self, provider: str, by: int) -> None:
        self.tasks[provider] = self.tasks.get(provider, 0) + by

    def of(self, provider: str) -> int:
        return self.tasks.get(provider, 0)


class Conductor:
    """Conducts one run from its first task to its last entry in the log."""

    def __init__(self, run: Run, bus: Bus, decisions: DecisionLog, intake: Intake, producers: Producers, load: Load) -> None:
        self.run = run
        self._bus = bus
        self._log = decisions
        self._intake = intake
        self._producers = producers
        self._load = load
        self._awake = asyncio.Event()
        self._paused_until: dict[str, float] = {}
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
        held = usage.task in self.run.outstanding
        if not self.run.used(usage):
            return
        if held:
            self._load.change(usage.provider, -1)
        failures = self.run.tally(usage.provider).failures_in_row
        if failures:
            pause = min(MAX_PAUSE_SECONDS, 0.5 * 2 ** (failures - 1))
            self._paused_until[usage.provider] = _clock() + pause
        self.wake()

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
                if self._ending is None:
                    await self._hand_out()
            before = moment
            await self._next_event()
        await self._conclude(*self._ending)

    async def _next_event(self) -> None:
        try:
            await asyncio.wait_for(self._awake.wait(), TICK_SECONDS)
        except TimeoutError:
            return
        self._awake.clear()

    def _check_limits(self) -> None:
        run, spec = self.run, self.run.spec
        if run.full:
            limit = "max_items" if run.limit == spec.max_items else "the most that one run may hold"
            self.end("finished", f"reached {run.limit} attributes ({limit})")
        elif spec.max_seconds is not None and run.seconds >= spec.max_seconds:
            self.end("finished", f"reached {spec.max_seconds:g} seconds (max_seconds)")
        elif run.calls_allowed is not None and run.issued >= run.calls_allowed and not run.outstanding:
            self.end("finished", f"made all {run.calls_allowed} model calls (iterations)")
        elif not self._providers():
            errors = "; ".join(f"{name}: {tally.last_error}" for name, tally in run.tallies.items())
            self.end("failed", f"every provider failed {MAX_FAILURES_IN_ROW} times in a row: {errors}")

    def _providers(self) -> list[str]:
        """The providers still in the run."""
        return [p for p in self.run.spec.providers if self.run.tally(p).failures_in_row < MAX_FAILURES_IN_ROW]

    async def _hand_out(self) -> None:
        """Publish a task for each free slot, to the provider with the fewest tasks first."""
        self._write_off()
        if self._log.full:
            self.run.reason = "waiting: the log of decisions (stream RESULTS) is full"
            return
        while self._may_call():
            free = [p for p in self._providers() if self._is_free(p)]
            if not free:
                break
            await self._publish(min(free, key=self._uses))
        self.run.reason = self._waits_for()

    def _may_call(self) -> bool:
        allowed = self.run.calls_allowed
        within_calls = allowed is None or self.run.issued < allowed
        return within_calls and len(self.run.outstanding) < self.run.spec.producers

    def _is_free(self, provider: str) -> bool:
        if self._paused_until.get(provider, 0.0) > _clock():
            return False
        return self._producers.slots(provider) > self._load.of(provider)

    def _uses(self, provider: str) -> tuple[int, int]:
        """Tasks of this run that a provider has and had: the smaller goes first, so that providers take turns."""
        has = sum(1 for o in self.run.outstanding.values() if o.task.provider == provider)
        return has, has + self.run.tally(provider).calls

    def _waits_for(self) -> str:
        """In words, what keeps the run from going on; empty when nothing does."""
        missing = [p for p in self._providers() if not self._producers.live(p)]
        if missing and len(missing) == len(self._providers()):
            return f"waiting for a producer of {' or '.join(missing)}: none is running"
        return ""

    async def _publish(self, provider: str) -> None:
        run = self.run
        task = Task(
            id=f"{run.id}-{run.issued}",
            run=run.id,
            provider=provider,
            topic=run.spec.topic,
            ordinal=run.issued,
            count=run.spec.request_size,
            avoid=run.avoid.names(),
            seed=run.spec.seed,
        )
        try:
            sequence = await self._bus.publish(subjects.task(provider, run.id), task, id=task.id, trace=new_trace())
        except BusError as error:
            log.warning("task.not_published", run=run.id, task=task.id, error=str(error))
            self._paused_until[provider] = _clock() + 0.5
            return  # the next attempt has the same id, so it cannot be published twice
        run.issued += 1
        run.outstanding[task.id] = Outstanding(task, sequence, _clock())
        self._load.change(provider, +1)

    def _write_off(self) -> None:
        """Forget tasks that were given to every producer they may be given to and never came back."""
        for held in list(self.run.outstanding.values()):
            if _clock() - held.since > held.task.deadline_seconds + WRITE_OFF_SECONDS:
                log.error("task.written_off", run=self.run.id, task=held.task.id, provider=held.task.provider)
                self._forget(held)

    def _forget(self, held: Outstanding) -> None:
        del self.run.outstanding[held.task.id]
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
        await self._log.append([Entry(subjects.finished(run.id), run.finished())])
        log.info("run.finished", run=run.id, status=status, reason=reason, accepted=run.accepted, duplicates=run.duplicates)
        await self.save()
        await self.announce("finished")

    async def _call_back(self) -> None:
        """Take the tasks that no producer has begun off the queue."""
        for provider in {held.task.provider for held in self.run.outstanding.values()}:
            try:
                begun = await self._bus.delivered(TASKS, streams.producer_consumer(provider))
                for held in [o for o in self.run.outstanding.values() if o.task.provider == provider]:
                    if held.sequence > begun:
                        await self._bus.remove(TASKS, held.sequence)
                        self._forget(held)
            except BusError as error:
                log.warning("task.not_called_back", run=self.run.id, provider=provider, error=str(error))

    async def _abandon(self) -> None:
        """Give up tasks whose producers died, so that no other producer makes their calls for a run that has ended."""
        for held in list(self.run.outstanding.values()):
            log.warning("task.unreported", run=self.run.id, task=held.task.id, provider=held.task.provider)
            self._forget(held)
        try:
            await self._bus.purge(TASKS, subjects.tasks_of_run(self.run.id))
        except BusError as error:
            log.warning("task.not_called_back", run=self.run.id, error=str(error))

    async def announce(self, action: Action) -> None:
        """Tell producers and gateway that the run changed."""
        control = RunControl(run=self.run.id, action=action, reason=self.run.reason, at=now())
        await self._bus.tell(subjects.run_control(self.run.id), control)

    async def save(self) -> None:
        """Write the run's state where everybody can read it."""
        try:
            await self._bus.publish(bucket_key(RUNS, self.run.id), self.run.state())
        except BusError as error:
            log.warning("run.not_saved", run=self.run.id, error=str(error))


def _clock() -> float:
    return asyncio.get_running_loop().time()
