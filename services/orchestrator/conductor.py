"""The life of one run: issues tasks, watches the limits, and brings it to its end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal

import msgspec
import structlog

from services.orchestrator import gate, metrics
from services.orchestrator.budget import Cost
from services.orchestrator.ceilings import Ledger, day_of
from services.orchestrator.decision_log import DecisionLog, Unwritten
from services.orchestrator.dispatch import Dispatch, Load
from services.orchestrator.prices import pico
from services.orchestrator.producers import Producers
from services.orchestrator.run import Outstanding, Run
from services.orchestrator.run_spans import RunSpans
from shared import streams, subjects
from shared.bus import Bus, BusError, Entry, bucket_key
from shared.messages import Action, Begun, Issued, RunControl, RunState, Spent, Status, Task, claim_id, now

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

CLAIMANT = "orchestrator"
"""Who claims the calls that are taken back."""

RUNS = streams.RUNS.bucket
TASKS = streams.TASKS.name or ""

log = structlog.get_logger()


class Conductor:
    """Conducts one run from its first task to its last entry in the log."""

    def __init__(
        self,
        run: Run,
        spans: RunSpans,
        bus: Bus,
        decisions: DecisionLog,
        caught_up: Callable[[Iterable[str]], Awaitable[None]],
        producers: Producers,
        load: Load,
        ledger: Ledger,
        history: Sequence[Spent] = (),
    ) -> None:
        """`caught_up` returns once all that some providers reported is counted; `history` is what a run had spent before."""
        self.run = run
        self._spans = spans
        self._bus = bus
        self._log = decisions
        self._caught_up = caught_up
        self._load = load
        self._ledger = ledger
        self._awake = asyncio.Event()
        self._handing_out = asyncio.Lock()
        """Held while a task is on its way into the queue, so that a pause is told when none is any more."""
        self._in_doubt: Outstanding | None = None
        """A task that the bus did not confirm."""
        self._next_attempt = 0.0
        self._dispatch = Dispatch(run, producers, load)
        self._ending: tuple[Status, str] | None = None
        self._saved: RunState | None = None
        self._unpaid = ""
        """Why the last task could not be paid today."""
        for spent in history:
            self._dispatch.spent(spent, 0.0, _clock())
        for held in run.outstanding.values():
            load.change(held.task.provider, +1)
            ledger.hold(held.task.id, pico(held.task.reserved_usd))

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

    async def pause(self) -> None:
        """Hand out no more tasks, and take back those that no producer has begun; calls under way are finished.

        When it returns no task is on its way to a producer, and the clock stands still.
        """
        self.run.status = "paused"
        self.run.reason = "paused by the user"
        async with self._handing_out:
            pass
        await self._take_back()

    async def resume(self) -> None:
        """Go on after a pause."""
        if self.run.status == "paused":
            self.run.status, self.run.reason, self.run.waited = "running", "", 0.0
        self.wake()

    async def spend(self, spent: Spent, before: Sequence[Entry] = ()) -> None:
        """Take in that a task is done with: its slot is free, and a failed one means a pause for its provider.

        It goes into the log, after the entries `before`. Does nothing for a task that is not outstanding.
        """
        if self._take_in(spent):
            with contextlib.suppress(Unwritten):  # who reads the log again counts its worst case then
                await self._log.append([*before, Entry(subjects.spent(self.run.id, spent.task), spent, self.run.trace)])
            self.wake()

    def _take_in(self, spent: Spent) -> bool:
        """Count it here; False for a task that is not outstanding."""
        held = self.run.spend(spent)
        if held is None:
            return False
        self._load.change(held.task.provider, -1)
        self._in_doubt = None if held is self._in_doubt else self._in_doubt
        if spent.outcome == "returned":
            self._ledger.release(spent.task)
        else:
            self._ledger.spent(day_of(spent.at), spent.cost or 0, spent.task)
            metrics.spent(spent)
        self._spans.done(spent, held.candidates)
        left = set(self._left())
        self._dispatch.spent(spent, held.since, _clock())
        for name in self._left():
            if name not in left:
                log.warning("provider.left", run=self.run.id, name=name, reason=spent.error)
        return True

    def _left(self) -> list[str]:
        return [name for name, tally in {**self.run.tallies, **self.run.models}.items() if tally.left]

    # ---- the run's life --------------------------------------------------------------------------------------------

    async def conduct(self) -> None:
        """Run to the end: until a limit, the user, or the failure of every provider."""
        await self._settle_orphans()
        if self.run.status == "stopping":  # an earlier orchestrator died while it ended this run
            self.end(self.run.ends_as or "stopped", self.run.reason)
        before = _clock()
        while self._ending is None:
            moment = _clock()
            if self._may_go_on():
                self.run.seconds += moment - before
                if self.run.status == "waiting":
                    self.run.waited += moment - before
                self._check_limits()
                if self._may_go_on():
                    await self._hand_out()
                    self._look_for_producers()
            else:  # a call that was begun before a pause ends in its time, while the bus still knows who claimed it
                await self._write_off()
            before = moment
            await self._next_event()
        await self._conclude(*self._ending)

    def _may_go_on(self) -> bool:
        return self._ending is None and self.run.status in ("running", "waiting")

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

    def _look_for_producers(self) -> None:
        """Say that the run waits where nobody can be asked, and end it when that has lasted too long."""
        if not self._may_go_on():
            return
        run, nobody = self.run, self._dispatch.nobody()
        if not nobody:
            run.status, run.waited = "running", 0.0
            return
        if run.status != "waiting":
            log.warning("run.waiting", run=run.id, reason=nobody)
        run.status, run.reason = "waiting", nobody
        if run.waited >= run.spec.max_wait:
            self.end("failed", f"no producer came within {run.spec.max_wait:g} s (max_wait): {', '.join(run.spec.providers)}")

    # ---- tasks -----------------------------------------------------------------------------------------------------

    async def _hand_out(self) -> None:
        """Issue a task for each call that may be made now."""
        await self._write_off()
        if self._log.full:
            self.run.reason = "waiting: the log of decisions (stream RESULTS) is full"
            return
        if self._in_doubt and (_clock() < self._next_attempt or not await self._publish(self._in_doubt)):
            return
        while self._may_go_on() and (task := self._dispatch.next_task(_clock())) and await self._issue(task):
            pass
        if self._may_go_on():
            self.run.reason = self._dispatch.waits_for() or self._day_is_over()

    def _day_is_over(self) -> str:
        """Why the last task could not be paid today, in words. A run is paused for it, so that none spends unasked tomorrow."""
        if self._unpaid and not self._ledger.reserved:
            self.run.status = "paused"
            log.warning("run.paused", run=self.run.id, reason=self._unpaid)
            return f"paused: {self._unpaid}, once it is resumed"
        return self._unpaid

    async def _issue(self, task: Task) -> bool:
        """Reserve what a call may cost, write it into the log, and only then put it into the queue."""
        run, worst = self.run, Cost(pico(task.reserved_usd), task.reserved_tokens)
        self._unpaid = self._ledger.short(worst.usd, day_of(now()))
        if self._unpaid or not run.budget.reserve(task.id, worst):
            return False
        self._ledger.hold(task.id, worst.usd)
        held = run.issue(task, _clock())
        self._load.change(task.provider, +1)
        issued = Issued(run=run.id, task=msgspec.structs.replace(task, avoid=[]), at=now())
        try:
            await self._log.append([Entry(subjects.issued(run.id, task.id), issued, self._spans.task(task))])
        except Unwritten:  # a call that the log does not know of would be paid beside the budget after a restart
            self._take_in(gate.returned(held))
            return True
        return await self._publish(held)

    async def _publish(self, held: Outstanding) -> bool:
        """Put an issued task into the queue; False when the bus did not confirm it, or it is not wanted any more."""
        task = held.task
        async with self._handing_out:
            if not self._may_go_on() or task.id not in self.run.outstanding:
                self._in_doubt = None if held is self._in_doubt else self._in_doubt
                return False
            try:
                subject = subjects.task(task.provider, task.run)
                held.sequence = await self._bus.publish(subject, task, id=task.id, trace=self._spans.task(task))
            except BusError as error:
                log.warning("task.not_published", run=task.run, task=task.id, error=str(error))
                # It may be stored: nothing but the very same is published under its id, or a call would cost unreserved money.
                self._in_doubt, self._next_attempt = held, _clock() + UNPUBLISHED_SECONDS
                self._dispatch.pause(task.provider, self._next_attempt)
                return False
            self._in_doubt = None
            return True

    async def _take_back(self) -> None:
        """Take back the tasks that no producer has begun: nobody will make their calls, and nothing is reserved for them."""
        for held in list(self.run.outstanding.values()):
            if await self._withdrawn(held) == "withdrawn":
                await self._drop(held)

    async def _write_off(self) -> None:
        """Give up tasks that were given to every producer they may be given to and never came back."""
        for held in list(self.run.outstanding.values()):
            if _clock() - held.since > held.task.deadline_seconds + WRITE_OFF_SECONDS:
                await self._give_up(held)

    async def _settle_orphans(self) -> None:
        """Give up what an earlier orchestrator issued, and what is neither in the queue nor reported.

        Where the stream of reports has lost something since the run began, nobody knows whether it was begun: it counts as so.
        """
        orphans = [held for held in self.run.outstanding.values() if not held.sequence]
        if orphans:
            await self._caught_up({held.task.provider for held in orphans})
        for held in orphans:
            if held.task.id in self.run.outstanding:
                held.begun = held.begun or not await self._keeps_all(held.task.provider)
                await self._give_up(held)

    async def _keeps_all(self, provider: str) -> bool:
        """Whether a provider's stream has all that was reported since the run began."""
        try:
            first = (await self._bus.head(streams.reports(provider))).first
        except BusError:
            return False
        return first <= self.run.reports_after.get(provider, 0) + 1

    async def _give_up(self, held: Outstanding, *, for_good: bool = False) -> None:
        """Take a task back, or count its worst case if it was begun; while neither is known it stays held, but `for_good`."""
        standing = await self._withdrawn(held)
        if standing == "withdrawn":
            await self._drop(held)
        elif standing == "begun" or for_good:
            log.error("task.lost", run=self.run.id, task=held.task.id, provider=held.task.provider)
            await self.spend(gate.lost(held, "", 0, "the call was begun and never reported; its worst case is counted"))
            await self._remove(held)

    async def _withdrawn(self, held: Outstanding) -> Literal["withdrawn", "begun", "unknown"]:
        """Claim a task's call before any producer does."""
        task = held.task
        if held.begun:
            return "begun"
        held.being_withdrawn = True
        claim = Begun(run=task.run, task=task.id, provider=task.provider, producer=CLAIMANT, at=now())
        try:
            first = await self._bus.claim(subjects.begun(task.run, task.provider, task.id), claim, claim_id(task.id))
        except BusError as error:
            log.warning("task.not_withdrawn", run=task.run, task=task.id, error=str(error))
            return "unknown"
        held.being_withdrawn = first
        return "withdrawn" if first else "begun"

    async def _drop(self, held: Outstanding) -> None:
        await self.spend(gate.returned(held))
        await self._remove(held)

    async def _remove(self, held: Outstanding) -> None:
        """Take a task off the queue. That nobody makes its call does not depend on it."""
        if held.sequence:
            with contextlib.suppress(BusError):
                await self._bus.remove(TASKS, held.sequence)

    # ---- the end ---------------------------------------------------------------------------------------------------

    async def _conclude(self, status: Status, reason: str) -> None:
        """Take back what is not begun, wait for what is under way, decide what has arrived, and close the log."""
        run = self.run
        run.status, run.reason, run.ends_as = "stopping", reason, status
        log.info("run.stopping", run=run.id, reason=reason)
        await self.save()  # first of all: who takes over shall end it in the same way
        await self.announce("stopping")
        await self._take_back()
        deadline = _clock() + LAST_CALLS_SECONDS
        while run.outstanding and _clock() < deadline:
            await self._next_event()
        await self._abandon()
        run.status, run.reason, run.ended, run.ends_as = status, reason, now(), None
        await self._write_end()
        self._spans.finished(run.state())
        log.info("run.finished", run=run.id, status=status, reason=reason, accepted=run.accepted, duplicates=run.duplicates)
        await self._save_for_good()
        await self.announce("finished")

    async def _abandon(self) -> None:
        """Give up tasks whose producers died; what they had found is taken along."""
        if self.run.outstanding:
            await self._caught_up({held.task.provider for held in self.run.outstanding.values()})
        for held in list(self.run.outstanding.values()):
            await self._give_up(held, for_good=True)
        try:
            await self._bus.purge(TASKS, subjects.tasks_of_run(self.run.id))
        except BusError as error:
            log.warning("task.not_removed", run=self.run.id, error=str(error))

    async def _write_end(self) -> None:
        finished = self.run.finished()
        with contextlib.suppress(Unwritten):  # the run's state says all the same that it has ended
            await self._log.append([Entry(subjects.finished(self.run.id), finished, self.run.trace)])

    async def announce(self, action: Action) -> None:
        """Tell producers and gateway that the run changed."""
        control = RunControl(run=self.run.id, action=action, reason=self.run.reason, at=now())
        await self._bus.tell(subjects.run_control(self.run.id), control)

    async def save(self) -> bool:
        """Write the run's state where everybody can read it, if it changed; returns whether it is there."""
        state = self.run.state()
        if state == self._saved:
            return True
        try:
            await self._bus.publish(bucket_key(RUNS, self.run.id), state)
        except BusError as error:
            log.warning("run.not_saved", run=self.run.id, error=str(error))
            return False
        self._saved = state
        return True

    async def _save_for_good(self) -> None:
        """Write the last state: nobody would write it later, and the run would seem to go on for ever."""
        for _ in range(LAST_SAVES):
            if await self.save():
                return
            await asyncio.sleep(UNPUBLISHED_SECONDS)


def _clock() -> float:
    return asyncio.get_running_loop().time()
