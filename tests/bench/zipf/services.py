"""The same world through the real services: nats-server, orchestrator and producers, with the world's models as adapters.

`python -m tests.bench.zipf.services [--seeds 2] [--calls 120] [--dedupe semantic]`: unique concepts with steering on and off,
as the world counts them; the system itself sees texts alone.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import mean

import msgspec
import numpy as np

from services.producer.adapters.contract import End
from services.producer.key import Key, fingerprint
from services.producer.limits import Limits
from services.producer.loop import Loop
from services.producer.producer import Producer
from services.producer.slots import Slots
from shared import streams, subjects
from shared.bus import Bus, Missing, connect, decode
from shared.messages import Accepted, Finished, RunSpec, StartRun, Task
from shared.service import end, start_logging
from tests.bench.zipf.world import Law, World
from tests.conftest import NatsServer, eventually

PROVIDERS = ("openai", "anthropic", "gemini", "random")
"""The world's models in their order, the dearest first; the last is not asked for facets."""

MODEL = "zipf"

SIZE = 20

OUTPUT_TOKENS = 1000
"""Of each call, so that a price per million tokens is a price per call."""

RESULTS = streams.RESULTS.name or ""


class ZipfModel:
    """One model of the world, behind the interface that all producers share."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number

    async def complete(self, task: Task) -> AsyncGenerator[str | End, None]:
        """See Adapter."""
        await asyncio.sleep(0.02)
        yield "".join(f"{line}\n" for line in self._lines(task))
        yield End(output_tokens=OUTPUT_TOKENS)

    async def close(self) -> None:
        """See Adapter."""

    def _lines(self, task: Task) -> list[str]:
        if task.kind == "facets":
            return list(self._world.parts(task.facet))
        if task.kind == "judge":
            return [f"{number} on" for number in range(1, len(task.sample) + 1)]
        if task.kind == "adjudicate":
            return [f"{number} different" for number in range(1, len(task.pairs) + 1)]
        rng = np.random.default_rng([task.seed, self._number, task.ordinal])
        return self._world.answer(self._number, task.count, task.facet, task.avoid, rng, tail=task.tail)


async def measure(wanted: argparse.Namespace) -> None:
    """Print a line a strategy and seed, then the means."""
    found: dict[str, list[int]] = {}
    for seed in range(wanted.seeds):
        for strategy in ("none", "all"):
            began = time.monotonic()
            world = World(Law(exponent=wanted.exponent), seed)
            finished, concepts = await one(world, strategy, wanted, seed)
            found.setdefault(strategy, []).append(concepts)
            row = {
                "bench": "zipf.services",
                "strategy": strategy,
                "seed": seed,
                "concepts": concepts,
                "accepted": finished.accepted,
                "duplicates": finished.duplicates,
                "calls": finished.calls,
                "usd": finished.usd,
                "coverage": finished.coverage,
                "facets": len(finished.facets),
                "reason": finished.reason,
                "seconds": round(time.monotonic() - began, 1),
            }
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
            sys.stdout.flush()
    ratio = mean(found["all"]) / mean(found["none"])
    sys.stdout.write(f"{wanted.calls} calls: {mean(found['none']):.0f} concepts without steering, {ratio:.2f} x with it\n")


async def one(world: World, strategy: str, wanted: argparse.Namespace, seed: int) -> tuple[Finished, int]:
    """One run; returns how it ended, and how many concepts are on its list."""
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder) / "nats")
        server.start()
        try:
            async with _services(server.url, Path(folder), world) as bus:
                spec = RunSpec(
                    topic="a world with an end",
                    providers=PROVIDERS,
                    producers=wanted.producers,
                    max_calls=wanted.calls,
                    dedupe=wanted.dedupe,
                    request_size=SIZE,
                    seed=seed,
                    strategy=strategy,
                    objective=wanted.objective,
                )
                await _start(bus, StartRun(spec=spec, run="zipf"))
                stored = await eventually(lambda: bus.last(RESULTS, subjects.finished("zipf")), 300)
                return decode(Finished, stored.data), len({world.concept(text) for text in await _accepted(bus)})
        finally:
            server.kill()


@asynccontextmanager
async def _services(url: str, folder: Path, world: World) -> AsyncIterator[Bus]:
    prices = folder / "prices.toml"
    priced = zip(PROVIDERS, world.law.prices, strict=True)
    lines = [f'"{provider}/{MODEL}" = {{ input = 0, output = {usd * 1000} }}' for provider, usd in priced]
    prices.write_text("\n".join(["[models]", *lines, ""]))
    variables = {**os.environ, "NATS_URL": url, "PRICES": str(prices), "LOG_LEVEL": "warn"}
    bus = await connect(url, "bench")
    await bus.provision()
    orchestrator = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.orchestrator", env=variables)
    running: list[asyncio.Future[None]] = []
    try:
        for number, provider in enumerate(PROVIDERS):
            loop = Loop(_producer(bus, provider, ZipfModel(world, number)))
            running += [asyncio.ensure_future(loop.run()), asyncio.ensure_future(loop.announcer.run())]
        yield bus
    finally:
        await end(running)
        orchestrator.kill()
        await orchestrator.wait()
        await bus.close()


def _producer(bus: Bus, provider: str, model: ZipfModel) -> Producer:
    key = Key(bus, provider, f"{provider}-zipf", fingerprint("none"), Limits())
    return Producer(f"{provider}-zipf", provider, (MODEL,), bus, model, key, Slots(4))


async def _start(bus: Bus, request: StartRun) -> None:
    """Ask for the run, again while the orchestrator is on its way up."""

    async def asked() -> bool:
        try:
            answer = await bus.ask(subjects.START_RUN, request)
        except Missing:
            return False
        if b'"error"' in answer:
            raise RuntimeError(answer.decode())
        return True

    await eventually(asked, 30)


async def _accepted(bus: Bus) -> list[str]:
    subject = subjects.accepted_of_run("zipf")
    return [decode(Accepted, stored.data).text async for batch in bus.history(RESULTS, [subject]) for stored in batch]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--calls", type=int, default=120)
    parser.add_argument("--producers", type=int, default=4)
    parser.add_argument("--exponent", type=float, default=1.0)
    parser.add_argument("--dedupe", default="semantic", choices=["exact", "fuzzy", "semantic"])
    parser.add_argument("--objective", default="balanced", choices=["dollars", "seconds", "balanced"])
    return parser.parse_args()


if __name__ == "__main__":
    start_logging("bench", "error")
    asyncio.run(measure(_arguments()))
