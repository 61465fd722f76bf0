"""From a candidate's publication to its event in a browser and at a bare socket, through the real orchestrator."""

import asyncio
import os
import random
import time

from shared import subjects
from shared.bus import BusError, decode
from shared.messages import Candidate, RunSpec, RunState, StartRun, candidate_id
from tests.bench.gateway.browser import viewer
from tests.bench.gateway.stage import Stage, end, stage, start
from tests.bench.gateway.stalled import percentile
from tests.bench.gateway.watchers import Watcher, watchers
from tests.conftest import eventually

PER_SECOND, SECONDS = 200, 10
RUN = "run"


async def measure() -> dict[str, float]:
    """Percentiles in milliseconds: in the dashboard's script in a real browser, at a bare socket, and of what no design can
    leave out, two writes that are synced to disk."""
    async with stage() as gateway:
        orchestrator = await start("services.orchestrator", os.environ | {"NATS_URL": gateway.nats_url, "LOG_LEVEL": "error"})
        try:
            await begin(gateway)
            async with viewer(gateway.url, RUN) as browser, watchers(gateway.port, 1) as (watcher,):
                watcher.ask(f"/api/runs/{RUN}/events", "localhost")
                await watcher.began
                watcher.timing = True
                written = await publish(gateway)
                await settled(watcher)
                in_browser, uncertainty = await browser.delays()
        finally:
            await end(orchestrator)
    at_socket = watcher.delays
    twice = [2 * milliseconds for milliseconds in written]
    return {
        **figures("browser", in_browser),
        "browser_clock_off_ms": round(uncertainty, 1),
        **figures("socket", at_socket),
        **figures("ceiling", twice),
        "attributes": len(at_socket),
        "attributes_in_browser": len(in_browser),
    }


def figures(name: str, delays: list[float]) -> dict[str, float]:
    """Percentiles; the first second warms up."""
    return {f"{name}_p{share}_ms": round(percentile(delays[PER_SECOND:], share / 100), 1) for share in (50, 99)}


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
