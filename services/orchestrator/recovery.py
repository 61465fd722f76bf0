"""Rebuilds the active runs from the log, the queue and the usage after a restart."""

import structlog

from services.orchestrator.prices import Prices
from services.orchestrator.run import ADJUDICATE, Run
from shared import streams, subjects
from shared.bus import Bus, Malformed, Stored, bucket_key, bucket_stream, decode
from shared.messages import Accepted, Duplicate, Finished, RunState, Settled, Started, Task, Usage

RESULTS = streams.RESULTS.name or ""
TASKS = streams.TASKS.name or ""
USAGE = streams.USAGE.name or ""
RUNS = streams.RUNS.bucket

log = structlog.get_logger()


async def active_runs(bus: Bus, prices: Prices, moment: float) -> list[Run]:
    """Every run that the log has a start but no end of, as it stood. `moment` is the present on the loop's clock."""
    open_runs: dict[str, Started] = {}
    async for batch in bus.history(RESULTS, [subjects.ALL_STARTED, subjects.ALL_FINISHED]):
        for stored in batch:
            if stored.subject.startswith("attributes.started."):
                started = decode(Started, stored.data)
                open_runs[started.run] = started
            else:
                open_runs.pop(decode(Finished, stored.data).run, None)
    return [await _rebuild(bus, started, prices, moment) for started in open_runs.values()]


async def _rebuild(bus: Bus, started: Started, prices: Prices, moment: float) -> Run:
    run = Run(started.run, started.spec, started.candidates_after, started.at, prices=prices)
    async for batch in bus.history(RESULTS, subjects.decisions_of_run(run.id)):
        run.replay([decision for stored in batch if (decision := _decision(stored))])
    async for batch in bus.history(USAGE, [subjects.usage_of_run(run.id)]):
        for stored in batch:
            run.used(decode(Usage, stored.data))
    for stored in await bus.waiting(TASKS, subjects.tasks_of_run(run.id)):
        task = decode(Task, stored.data)
        if task.id not in run.reported:
            run.handed_out(task, stored.sequence, moment)
    numbers = [task.rsplit("-", 1)[1] for task in (*run.reported, *run.outstanding)]
    run.issued = max((int(n) for n in numbers if n.isdigit()), default=-1) + 1
    run.grey.calls = sum(1 for n in numbers if n.startswith(ADJUDICATE))
    await _restore_clock(bus, run)
    log.info("run.rebuilt", run=run.id, accepted=run.accepted, duplicates=run.duplicates, outstanding=len(run.outstanding))
    return run


def _decision(stored: Stored) -> Accepted | Duplicate | Settled | None:
    kind, _ = subjects.decision(stored.subject)
    if kind == "accepted":
        return decode(Accepted, stored.data)
    if kind == "duplicate":
        return decode(Duplicate, stored.data)
    return decode(Settled, stored.data) if kind == "settled" else None


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
    run.seconds = state.seconds
    if state.status in ("paused", "stopping"):
        run.status, run.reason = state.status, state.reason
