"""Rebuilds the active runs from the log, the queue and the usage after a restart."""

import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog

from services.orchestrator.prices import Prices
from services.orchestrator.run import ADJUDICATE, QUESTION, Run
from shared import streams, subjects
from shared.bus import Bus, Malformed, Stored, bucket_key, bucket_stream, decode
from shared.messages import Accepted, Duplicate, RunState, Settled, Started, Task, Usage

RESULTS = streams.RESULTS.name or ""
TASKS = streams.TASKS.name or ""
USAGE = streams.USAGE.name or ""
RUNS = streams.RUNS.bucket

TASK_NUMBER = re.compile(rf".*-([{ADJUDICATE}{QUESTION}]?)(\d{{1,12}})")
"""A task's id ends in its number; see `ADJUDICATE` and `QUESTION`."""

MessageT = TypeVar("MessageT", bound=msgspec.Struct)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run as the log and the queue have it, and its finished calls, which are still to be counted."""

    run: Run
    usages: list[Usage]
    trace: str
    """Traceparent of its first entry in the log."""


async def active_runs(bus: Bus, prices: Prices, moment: float) -> list[Recovered]:
    """Every run that the log has a start but no end of, as it stood. `moment` is the present on the loop's clock."""
    open_runs: dict[str, tuple[Started, str]] = {}
    async for batch in bus.history(RESULTS, [subjects.ALL_STARTED, subjects.ALL_FINISHED]):
        for stored in batch:
            kind, name = subjects.decision(stored.subject)
            if kind == "finished":
                open_runs.pop(name, None)
            elif started := _read(Started, stored):
                open_runs[name] = started, stored.trace
    return [await _rebuild(bus, started, trace, prices, moment) for started, trace in open_runs.values()]


async def _rebuild(bus: Bus, started: Started, trace: str, prices: Prices, moment: float) -> Recovered:
    run = Run(started.run, started.spec, started.candidates_after, started.at, prices=prices)
    async for batch in bus.history(RESULTS, subjects.decisions_of_run(run.id)):
        run.replay([decision for stored in batch if (decision := _decision(stored))])
    usages: list[Usage] = []
    async for batch in bus.history(USAGE, [subjects.usage_of_run(run.id)]):
        usages += [usage for stored in batch if (usage := _read(Usage, stored)) and usage.run == run.id]
    for stored in await bus.waiting(TASKS, subjects.tasks_of_run(run.id)):
        task = _read(Task, stored)
        if task is not None and task.run == run.id:
            run.handed_out(task, stored.sequence, moment)
    _number_on(run, [*run.outstanding, *(usage.task for usage in usages)])
    await _restore_clock(bus, run)
    log.info("run.rebuilt", run=run.id, accepted=run.accepted, duplicates=run.duplicates, outstanding=len(run.outstanding))
    return Recovered(run, usages, trace)


def _number_on(run: Run, tasks: list[str]) -> None:
    """Have the next tasks numbered after all that there were: a number used twice would be dropped as a repeat."""
    found = [match for task in tasks if (match := TASK_NUMBER.fullmatch(task))]
    run.issued, adjudications, questions = (
        max((int(m[2]) for m in found if m[1] == kind), default=-1) + 1 for kind in ("", ADJUDICATE, QUESTION)
    )
    run.grey.number_on(adjudications)
    run.aside.number = questions


def _read(kind: type[MessageT], stored: Stored) -> MessageT | None:
    """The message, or None if it is malformed: one bad message must not keep every run from being rebuilt."""
    try:
        return decode(kind, stored.data)
    except Malformed as error:
        log.warning("recovery.malformed", subject=stored.subject, sequence=stored.sequence, error=str(error))
        return None


def _decision(stored: Stored) -> Accepted | Duplicate | Settled | None:
    kind, _ = subjects.decision(stored.subject)
    if kind == "accepted":
        return _read(Accepted, stored)
    if kind == "duplicate":
        return _read(Duplicate, stored)
    return _read(Settled, stored) if kind == "settled" else None


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
