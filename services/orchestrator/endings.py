"""Runs that ended in the log, but not for others: their orchestrator died between the last entry and the last state."""

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
