"""From a candidate's publication to its event at a client, through the real orchestrator."""

import asyncio
import os
import random
import time

from shared import subjects
from shared.bus import BusError, decode
from shared.messages import Candidate, RunSpec, RunState, StartRun, candidate_id
from tests.bench.gateway.stage import Stage, end, stage, start
from tests.bench.gateway.stalled import percentile
from tests.bench.gateway.watchers import Watcher, watchers
from tests.conftest import eventually

PER_SECOND, SECONDS = 200, 10
RUN = "run"


async def measure() -> dict[str, float]:
    """Percentiles in milliseconds, beside those of what no design can leave out: two writes that are synced to disk."""
    async with stage() as gateway:
        orchestrator = await start("services.orchestrator", os.environ | {"NATS_URL": gateway.nats_url, "LOG_LEVEL": "error"})
        try:
            await begin(gateway)
            async with watchers(gateway.port, 1) as (watcher,):
                watcher.ask(f"/api/runs/{RUN}/events", "localhost")
                await watcher.began
                watcher.timing = True
                written = await publish(gateway)
                await settled(watcher)
        finally:
            await end(orchestrator)
    delays = watcher.delays[PER_SECOND:]  # the first second warms up
    return {
        "p50_ms": round(percentile(delays, 0.5), 1),
        "p99_ms": round(percentile(delays, 0.99), 1),
        "ceiling_p50_ms": round(2 * percentile(written, 0.5), 1),
        "ceiling_p99_ms": round(2 * percentile(written, 0.99), 1),
        "attributes": len(watcher.delays),
    }


async def begin(gateway: Stage) -> None:
    """Have a run started, which then waits for producers that never come."""

    async def started() -> bool:
        spec = RunSpec(topic="nonsense", providers=("random",))
        try:
            state = decode(RunState, await gateway.bus.ask(subjects.START_RUN, StartRun(spec=spec, run=RUN)))
        except BusError:  # it is not there yet
            return False
        return state.status == "running"

    await eventually(started, 30)


async def publish(gateway: Stage) -> list[float]:
    """Publish candidates at an even pace; returns how long each took to be stored, in milliseconds."""
    chance, took, publishing = random.Random(3), [], set()  # noqa: S311  # nonsense words, nothing secret
    began = time.monotonic()

    async def one(number: int) -> None:
        before = time.monotonic_ns()
        words = " ".join("".join(chance.choices("abcdefghijklmnoprstuvwz", k=7)) for _ in range(2))
        text = f"{words} sent={before}"
        candidate = Candidate(
            id=candidate_id("t", text),
            run=RUN,
            task="t",
            ordinal=number,
            text=text,
            provider="random",
            model="m",
            producer="p",
        )
        await gateway.bus.publish(subjects.candidate(RUN, "random"), candidate, id=candidate.id)
        took.append((time.monotonic_ns() - before) / 1e6)

    for number in range(PER_SECOND * SECONDS):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        task = asyncio.create_task(one(number))
        publishing.add(task)
        task.add_done_callback(publishing.discard)
    await asyncio.gather(*publishing)
    return took


async def settled(watcher: Watcher) -> None:
    """Wait until nothing more comes."""
    events = -1
    while watcher.events != events:
        events = watcher.events
        await asyncio.sleep(1)
