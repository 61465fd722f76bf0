"""Runs that would never end, or never seem to: what the fault matrix brought to light."""

import asyncio
import os
import sys

from shared import streams, subjects
from shared.bus import Bus, bucket_key, bucket_stream, decode
from shared.messages import Finished, RunState, Started
from tests.conftest import eventually
from tests.integration.test_orchestrator import Orchestrator, Producer, finished, spec, start

RUNS = streams.RUNS.bucket


async def test_the_next_one_writes_the_last_state(bus: Bus, nats_url: str) -> None:
    """Otherwise launcher and dashboard would take the run for active as long as there is a bus."""
    wish = spec()
    await bus.publish(subjects.started("r1"), Started(run="r1", spec=wish))
    ended = Finished(run="r1", status="finished", reason="made all calls", accepted=7, duplicates=2, calls=3, at="then")
    await bus.publish(subjects.finished("r1"), ended)
    await bus.publish(bucket_key(RUNS, "r1"), RunState(run="r1", spec=wish, status="running", accepted=5, created="before"))
    await bus.publish(bucket_key(RUNS, "gone"), RunState(run="gone", spec=wish, status="running"))

    async def state(run: str) -> RunState:
        stored = await bus.last(bucket_stream(RUNS), bucket_key(RUNS, run))
        assert stored is not None
        return decode(RunState, stored.data)

    async def has_ended() -> bool:
        return (await state("r1")).status == "finished"

    orchestrator = Orchestrator(nats_url)
    orchestrator.start()
    try:
        await eventually(has_ended, 20)
    finally:
        orchestrator.kill()
    last = await state("r1")
    assert (last.accepted, last.duplicates, last.calls, last.reason) == (7, 2, 3, "made all calls")
    assert (last.created, last.ended) == ("before", "then")
    assert (await state("gone")).status == "running", "of this run the log has no end"


async def test_a_task_that_was_done_before_its_publication_was_sure_is_not_waited_for(bus: Bus, nats_url: str) -> None:
    """It was stored, taken and reported while the answer was lost: published again, nobody would report it a second time."""
    environment = {**os.environ, "NATS_URL": nats_url, "BROKEN": "lost_answers"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.faults.mains", env=environment)
    producer = Producer(bus, lambda task: [f"thing {task.ordinal}"]).join()
    try:
        await start(bus, iterations=2)
        ended = await finished(bus, seconds=40)
    finally:
        await producer.leave()
        process.kill()
        await process.wait()
    assert (ended.status, ended.calls, ended.accepted) == ("finished", 2, 2)
