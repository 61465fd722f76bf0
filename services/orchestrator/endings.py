"""States of runs that have ended: written where an orchestrator died before it could, and dropped when there are too many."""

import asyncio

import msgspec
import structlog

from shared import streams, subjects
from shared.bus import Bus, BusError, Malformed, bucket_key, bucket_stream, decode
from shared.messages import ENDED, Finished, RunState

RESULTS = streams.RESULTS.name or ""
RUNS = streams.RUNS.bucket

RETRY_SECONDS = 1.0
"""Between attempts while the server is away; nobody waits for this."""

ROOM_SECONDS = 60.0
"""Between two looks at the room for states: a run needs some hundred bytes to two kilobytes of 64 MiB."""

CROWDED, CLEARED = 0.75, 0.5
"""Shares of the bound of the states: above the one, those of runs that ended longest ago are dropped down to the other."""

log = structlog.get_logger()


async def complete(bus: Bus) -> None:
    """Write the last state of runs that the log has the end of; without it they would seem to go on for ever."""
    while True:
        try:
            await _complete(bus)
            return
        except BusError as error:
            log.warning("run.not_completed", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)


async def keep_room(bus: Bus) -> None:
    """Have room for the states of new runs, for ever: without one a run is seen by nobody."""
    while True:
        try:
            await make_room(bus)
        except BusError as error:
            log.warning("run.states_not_cleared", error=str(error))
        await asyncio.sleep(ROOM_SECONDS)


async def make_room(bus: Bus) -> None:
    """Drop the states of runs that ended longest ago, if there is little room left. The log keeps the runs themselves.

    A run that has not ended keeps its state, however old: by it a restart knows that it is paused. So does one that the log
    has no end of.
    """
    held, most = await bus.room(bucket_stream(RUNS))
    if held <= CROWDED * most:
        return
    excess, dropped = held - CLEARED * most, 0
    async for batch in bus.history(bucket_stream(RUNS), [bucket_key(RUNS, "*")]):
        for stored in batch:
            if excess <= 0:
                break
            run = stored.subject.rsplit(".", 1)[1]
            if _has_ended(stored.data) and await _end_of(bus, run):
                await bus.purge(bucket_stream(RUNS), stored.subject)
                excess -= len(stored.data)
                dropped += 1
    log.warning("run.states_dropped", runs=dropped, hint="of runs that ended longest ago; their lists and files stay")


def _has_ended(data: bytes) -> bool:
    try:
        return decode(RunState, data).status in ENDED
    except Malformed:
        return False


async def _complete(bus: Bus) -> None:
    async for batch in bus.history(bucket_stream(RUNS), [bucket_key(RUNS, "*")]):
        for stored in batch:
            state = _open_state(stored.data)
            if state is not None and (finished := await _end_of(bus, state.run)):
                await bus.publish(bucket_key(RUNS, state.run), _last_state(state, finished))
                log.info("run.completed", run=state.run, status=finished.status)


def _open_state(data: bytes) -> RunState | None:
    try:
        state = decode(RunState, data)
    except Malformed:  # a deleted key is empty; anything else is told by those who read states
        return None
    return None if state.status in ENDED else state


async def _end_of(bus: Bus, run: str) -> Finished | None:
    stored = await bus.last(RESULTS, subjects.finished(run))
    try:
        return decode(Finished, stored.data) if stored else None
    except Malformed as error:
        log.warning("recovery.malformed", subject=subjects.finished(run), error=str(error))
        return None


def _last_state(state: RunState, finished: Finished) -> RunState:
    return msgspec.structs.replace(
        state,
        status=finished.status,
        reason=finished.reason,
        accepted=finished.accepted,
        duplicates=finished.duplicates,
        calls=finished.calls,
        seconds=finished.seconds,
        ended=finished.at,
        providers=finished.providers,
        models=finished.models,
        tokens=finished.tokens,
        usd=finished.usd,
        reserved_usd=0.0,
    )
