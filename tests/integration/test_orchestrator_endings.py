"""Runs that would never end, or never seem to: what the fault matrix brought to light."""

import asyncio
import os
import sys
from pathlib import Path

from services.orchestrator.endings import CLEARED, make_room
from shared import roles, streams, subjects
from shared.bus import Bus, bucket_key, bucket_stream, decode
from shared.messages import Finished, RunState, Started
from tests.conftest import eventually
from tests.integration.secured_server import SecuredServer
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


async def _states(bus: Bus, bytes_of_each: int, *runs: tuple[str, str]) -> None:
    """Write the states of runs, each with its status; the log has a start of each, and an end of those that have ended."""
    wish = spec()
    for run, status in runs:
        state = RunState(run=run, spec=wish, status=status, reason="x" * bytes_of_each)  # type: ignore[arg-type]  # one of them
        await bus.publish(bucket_key(RUNS, run), state)
        if status == "finished":
            ended = Finished(run=run, status="finished", reason="", accepted=0, duplicates=0)
            await bus.publish(subjects.finished(run), ended)


async def _kept(bus: Bus) -> list[str]:
    return [
        s.subject.rsplit(".", 1)[1] async for batch in bus.history(bucket_stream(RUNS), [bucket_key(RUNS, "*")]) for s in batch
    ]


async def test_states_of_runs_that_ended_longest_ago_make_room_for_new_ones(bus: Bus) -> None:
    """One that is paused keeps its state, or it would go on and spend after a restart; so does one that has no end."""
    js = bus.client.jetstream()
    config = (await js.stream_info(bucket_stream(RUNS))).config
    await js.update_stream(config.evolve(max_bytes=64 * 1024))
    await _states(bus, 1000, ("paused", "paused"))
    await bus.publish(bucket_key(RUNS, "no-end"), RunState(run="no-end", spec=spec(), status="stopped"))
    await _states(bus, 1000, *((f"ended-{number:02}", "finished") for number in range(30)))
    before = await _kept(bus)

    await make_room(bus)

    after = await _kept(bus)
    held, most = await bus.room(bucket_stream(RUNS))
    assert held <= CLEARED * most + 2000
    assert after[:2] == ["paused", "no-end"]
    assert after[2:] == before[-len(after[2:]) :], "the oldest went"
    assert 10 < len(after) < len(before)
    await make_room(bus)
    assert await _kept(bus) == after, "with room enough nothing goes"


async def test_room_is_made_by_the_orchestrators_key(tmp_path: Path) -> None:
    server = SecuredServer(tmp_path)
    server.start()
    try:
        await server.provision()
        async with server.connected(roles.PROVISION) as provision:
            js = provision.client.jetstream()
            config = (await js.stream_info(bucket_stream(RUNS))).config
            await js.update_stream(config.evolve(max_bytes=16 * 1024))
        async with server.connected(roles.ORCHESTRATOR) as bus:
            await _states(bus, 1000, *((f"ended-{number}", "finished") for number in range(9)))
            await make_room(bus)
            assert 0 < len(await _kept(bus)) < 9
    finally:
        server.stop()
