"""The whole way with 200 simulated producers: attributes a second, delay to a client, and growth of each service's memory."""

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from random import Random
from typing import Any

from services.orchestrator.dedupe.measure import made_up
from shared import subjects
from shared.bus import Bus, BusError, Delivery, connect, decode
from shared.messages import Begun, Candidate, Presence, RunSpec, RunState, StartRun, Task, Usage, candidate_id, claim_id
from shared.service import end as end_tasks
from tests.bench.gateway.stage import Stage, end, stage, start
from tests.bench.gateway.stalled import percentile
from tests.bench.gateway.watchers import Watcher, watchers
from tests.bench.orchestrator.rate import resident
from tests.conftest import eventually

PRODUCERS = 200
CONNECTIONS = 8
"""Of the simulated producers: a process of its own would have one each."""

RUNS = 4
"""Runs side by side: one may have 99 producers at most."""

SECONDS = 30
WARM_UP = 5
A_CALL = 20
PACED_A_CALL = 8
PACED_SECONDS = (2.0, 4.0)
"""How long a call takes when producers are as slow as models are: about 530 candidates a second, which can be decided."""

REPEATS = 4
"""One candidate in so many repeats an earlier one."""


class Vocabulary:
    """What the simulated models say: one list without end, and what was said before."""

    def __init__(self, a_call: int) -> None:
        self._a_call = a_call
        self._texts: Iterator[str] = iter(made_up(10_000_000))
        self._said: list[str] = []

    def answer(self) -> list[str]:
        """One call's attributes; each carries the moment it was published, so that a client can tell the delay."""
        fresh = list(itertools.islice(self._texts, self._a_call))
        before, self._said = self._said, fresh
        return [before[n] if before and n % REPEATS == 0 else text for n, text in enumerate(fresh)]


class Producer:
    """One simulated producer: takes a task, answers it at once or after a while, reports it."""

    def __init__(self, bus: Bus, number: int, vocabulary: Vocabulary, paced: bool) -> None:
        self._bus = bus
        self._paced = Random(number) if paced else None  # noqa: S311  # a pace, not a secret
        self.name = f"producer-random-{number}"
        self._vocabulary = vocabulary
        self._queue = bus.queue("random")

    async def announce(self) -> None:
        while True:
            await self._bus.tell(
                subjects.presence("random", self.name), Presence(producer=self.name, provider="random", models=["made-up"])
            )
            await asyncio.sleep(1)

    async def work(self) -> None:
        while True:
            try:
                if delivery := await self._queue.take():
                    await self._do(delivery)
            except BusError:
                await asyncio.sleep(0.2)

    async def _do(self, delivery: Delivery) -> None:
        task = decode(Task, delivery.data)
        claim = Begun(run=task.run, task=task.id, provider=task.provider, producer=self.name)
        await self._bus.claim(subjects.begun(task.run, task.provider, task.id), claim, claim_id(task.id))
        if self._paced:
            await asyncio.sleep(self._paced.uniform(*PACED_SECONDS))
        sent = await asyncio.gather(*(self._say(task, n, text) for n, text in enumerate(self._vocabulary.answer())))
        usage = Usage(
            run=task.run,
            task=task.id,
            provider="random",
            model="made-up",
            producer=self.name,
            outcome="ok",
            candidates=len(sent),
            seconds=0.1,
        )
        await self._bus.publish(subjects.usage(task.run, "random"), usage, id=task.id)
        await delivery.done()

    async def _say(self, task: Task, ordinal: int, text: str) -> int:
        text = f"{text} sent={time.monotonic_ns()}" if ordinal == 1 else text  # one of a call is timed
        candidate = Candidate(
            id=candidate_id(task.id, text),
            run=task.run,
            task=task.id,
            ordinal=ordinal,
            text=text,
            provider="random",
            model="made-up",
            producer=self.name,
        )
        return await self._bus.publish(subjects.candidate(task.run, "random"), candidate, id=candidate.id)


async def measure(paced: bool = False) -> dict[str, Any]:
    """Accepted a second over all runs, delays in milliseconds, and megabytes that 100,000 attributes add to each service.

    Not `paced`, candidates come faster than they are decided, and what is measured as delay is the queue.
    """
    with tempfile.TemporaryDirectory() as output:
        async with stage() as gateway:
            environment = os.environ | {"NATS_URL": gateway.nats_url, "LOG_LEVEL": "error", "OUTPUT": output}
            orchestrator = await start("services.orchestrator", environment)
            recorder = await start("services.recorder", environment)
            try:
                return await _drive(
                    paced, gateway, {"orchestrator": orchestrator, "recorder": recorder, "gateway": gateway.process}
                )
            finally:
                await end(orchestrator)
                await end(recorder)


async def _drive(paced: bool, gateway: Stage, services: dict[str, asyncio.subprocess.Process]) -> dict[str, Any]:
    connections = [await connect(gateway.nats_url, "bench") for _ in range(CONNECTIONS)]
    a_call = PACED_A_CALL if paced else A_CALL
    vocabulary = Vocabulary(a_call)
    producers = [Producer(connections[n % CONNECTIONS], n, vocabulary, paced) for n in range(PRODUCERS)]
    working = [asyncio.ensure_future(work) for p in producers for work in (p.announce(), p.work())]
    try:
        await _begin(gateway, a_call)
        async with watchers(gateway.port, RUNS) as found:
            for number, watcher in enumerate(found):
                watcher.ask(f"/api/runs/run-{number}/events", "localhost")
            await asyncio.gather(*(watcher.began for watcher in found))
            await asyncio.sleep(WARM_UP)
            return await _observe(found, services)
    finally:
        await end_tasks(working)
        for connection in connections:
            await connection.close()


async def _observe(found: list[Watcher], services: dict[str, asyncio.subprocess.Process]) -> dict[str, Any]:
    held = {name: resident(process.pid) for name, process in services.items()}
    accepted = sum(watcher.events for watcher in found)
    for watcher in found:
        watcher.timing = True
    await asyncio.sleep(SECONDS)
    new = sum(watcher.events for watcher in found) - accepted
    delays = [delay for watcher in found for delay in watcher.delays]
    grown = {name: (resident(process.pid) - held[name]) / 1e6 * 100_000 / max(new, 1) for name, process in services.items()}
    return {
        "producers": PRODUCERS,
        "runs": RUNS,
        "accepted_per_second": round(new / SECONDS),
        "to_client_p50_ms": round(percentile(delays, 0.5), 1),
        "to_client_p99_ms": round(percentile(delays, 0.99), 1),
        "mb_per_100_000": {name: round(megabytes) for name, megabytes in grown.items()},
    }


async def _begin(gateway: Stage, a_call: int) -> None:
    spec = RunSpec(topic="made up", providers=("random",), producers=PRODUCERS // RUNS, request_size=a_call, facets="none")

    async def started() -> bool:
        try:
            asked = [StartRun(spec=spec, run=f"run-{number}") for number in range(RUNS)]
            states = [decode(RunState, await gateway.bus.ask(subjects.START_RUN, one)) for one in asked]
        except BusError:  # it is not there yet
            return False
        return all(state.status == "running" for state in states)

    await eventually(started, 60)
