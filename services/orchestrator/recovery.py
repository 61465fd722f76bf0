"""Rebuilds the active runs from the log and the queue after a restart.

The log alone says what was decided, issued and spent. What producers reported since then stands in their streams, and is read
from each run's places on, as it would have been without the restart.
"""

from dataclasses import dataclass, field

import structlog

from services.orchestrator import log_entries
from services.orchestrator.ceilings import Ledger, day_of
from services.orchestrator.prices import Prices
from services.orchestrator.run import Decision, Run
from shared import streams, subjects
from shared.bus import Bus, Malformed, Stored, bucket_key, bucket_stream, decode
from shared.messages import ENDED, Finished, RunState, Spent, Started, Task, now

RESULTS = streams.RESULTS.name or ""
TASKS = streams.TASKS.name or ""
RUNS = streams.RUNS.bucket

OUTDATED = "it was begun by an earlier version of Chorus, which kept its account elsewhere; its list is whole, start another"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run as the log and the queue have it."""

    run: Run
    trace: str
    """Traceparent of its first entry in the log."""
    history: list[Spent] = field(default_factory=list)
    """What it has spent, in order."""


async def active_runs(bus: Bus, prices: Prices, moment: float) -> list[Recovered]:
    """Every run that the log has a start but no end of, as it stood. `moment` is the present on the loop's clock."""
    open_runs: dict[str, tuple[Started, str]] = {}
    async for batch in bus.history(RESULTS, [subjects.ALL_STARTED, subjects.ALL_FINISHED]):
        for stored in batch:
            match log_entries.read_or_skip(stored):
                case Started() as started:
                    open_runs[started.run] = started, stored.trace
                case Finished(run=run):
                    open_runs.pop(run, None)
    return [await _rebuild(bus, started, trace, prices, moment) for started, trace in open_runs.values()]


async def spending(bus: Bus, ledger: Ledger) -> None:
    """Count what the calls of all runs have cost today, for the ceiling of a day."""
    today = day_of(now())
    async for batch in bus.history(RESULTS, [subjects.ALL_SPENT]):
        for stored in batch:
            spent = log_entries.read_or_skip(stored)
            if isinstance(spent, Spent) and day_of(spent.at) == today:
                ledger.spent(today, spent.cost or 0, spent.task)


async def _rebuild(bus: Bus, started: Started, trace: str, prices: Prices, moment: float) -> Recovered:
    run = Run(started.run, started.spec, started.at, dict(started.reports_after or {}), prices=prices)
    history: list[Spent] = []
    async for batch in bus.history(RESULTS, subjects.decisions_of_run(run.id)):
        decisions = [decision for stored in batch if (decision := _decision(stored))]
        history += [decision for decision in decisions if isinstance(decision, Spent)]
        run.replay(decisions, moment)
    for stored in await bus.waiting(TASKS, subjects.tasks_of_run(run.id)):
        task = _task(stored)
        if task is not None and (held := run.outstanding.get(task.id)):
            held.sequence = stored.sequence
    await _restore_clock(bus, run)
    if started.reports_after is None:
        run.status, run.ends_as, run.reason = "stopping", "stopped", OUTDATED
    log.info("run.rebuilt", run=run.id, accepted=run.accepted, duplicates=run.duplicates, outstanding=len(run.outstanding))
    return Recovered(run, trace, history)


def _decision(stored: Stored) -> Decision | None:
    entry = log_entries.read_or_skip(stored)
    return entry if isinstance(entry, Decision) else None


def _task(stored: Stored) -> Task | None:
    try:
        return decode(Task, stored.data)
    except Malformed as error:
        log.warning("recovery.malformed", subject=stored.subject[:200], sequence=stored.sequence, error=str(error)[:200])
        return None


async def _restore_clock(bus: Bus, run: Run) -> None:
    """How long the run has run and whether it is paused are no decisions; they are as of the last saved state."""
    saved = await bus.last(bucket_stream(RUNS), bucket_key(RUNS, run.id))
    if saved is None:
        return
    try:
        state = decode(RunState, saved.data)
    except Malformed as error:
        log.warning("run.state_unreadable", run=run.id, error=str(error))
        return
    run.seconds, run.waited = state.seconds, state.waited
    if state.status in ENDED:  # its last entry is not in the log, which somebody or a damage prevented: it is not begun again
        run.status, run.reason, run.ends_as = "stopping", state.reason, state.status
        return
    if state.status in ("paused", "waiting", "stopping"):
        run.status, run.reason = state.status, state.reason
    run.ends_as = next((status for status in ENDED if status == state.ends_as), None)
