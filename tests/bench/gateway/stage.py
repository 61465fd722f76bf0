"""What is measured stands here: a bus, a gateway process, and a log with attributes."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec

from shared import subjects
from shared.bus import Bus, Entry, bucket_key, connect
from shared.messages import Accepted, Finished, RunSpec, RunState, now
from tests.conftest import NatsServer, eventually

SPEC = RunSpec(topic="Paris attractions", providers=("random",))
BATCH = 200


class Stage:
    """A gateway as a process of its own, on a bus."""

    def __init__(self, bus: Bus, nats_url: str, process: asyncio.subprocess.Process, port: int) -> None:
        self.bus = bus
        self.nats_url = nats_url
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._ordinals: dict[str, int] = {}

    async def begin(self, run: str) -> None:
        """Write a run that runs."""
        await self.bus.publish(bucket_key("RUNS", run), RunState(run=run, spec=SPEC, status="running", created=now()))

    async def accept(self, run: str, number: int, padding: str = "") -> None:
        """Accept so many attributes, each with the time in its text, in batches as the orchestrator writes them."""
        for first in range(0, number, BATCH):
            entries = [self._accepted(run, padding) for _ in range(min(BATCH, number - first))]
            await self.bus.commit(entries)

    async def finish(self, run: str) -> None:
        end = Finished(run=run, status="finished", reason="", accepted=self._ordinals[run], duplicates=0, at=now())
        await self.bus.publish(subjects.finished(run), end)

    async def last_id(self, run: str) -> str:
        """The event id of a run's newest attribute."""
        head = await self.bus.head("RESULTS")
        return f"{head.epoch}-{head.last}"

    async def read_up(self) -> None:
        """Wait until the gateway has read the log up to its end as of now."""
        end = (await self.bus.head("RESULTS")).last

        async def there() -> bool:
            text = (await asyncio.to_thread(httpx.get, f"{self.url}/metrics")).text
            return any(line == f"chorus_gateway_log_sequence {end:.1f}" for line in text.splitlines())

        await eventually(there, 60)

    def _accepted(self, run: str, padding: str) -> Entry:
        ordinal = self._ordinals[run] = self._ordinals.get(run, 0) + 1
        text = f"attribute {ordinal} sent={time.monotonic_ns()}{padding}"
        message = Accepted(
            run=run,
            ordinal=ordinal,
            text=text,
            key=text,
            candidate=f"c{ordinal}",
            candidate_sequence=ordinal,
            task=f"{run}-{ordinal // 60}",
            provider="random",
            model="vocabulary",
            producer="producer-random-1",
            at=now(),
        )
        return Entry(subjects.accepted(run, text), message)


@contextlib.asynccontextmanager
async def stage(store: Path | None = None, **settings: str) -> AsyncIterator[Stage]:
    """The bus keeps its streams under `store`, or where temporary files are; `settings` are the gateway's."""
    with tempfile.TemporaryDirectory(dir=store) as folder:
        server = NatsServer(Path(folder) / "nats")
        server.start()
        bus = await connect(server.url, "bench")
        await bus.provision()
        environment = os.environ | {"NATS_URL": server.url, "PORT": "0"} | settings
        process = await start("services.gateway", environment)
        try:
            assert process.stderr is not None
            port = int(msgspec.json.decode(await process.stderr.readline())["url"].rsplit(":", 1)[1])
            reading = asyncio.create_task(process.stderr.read())  # or a gateway that logs much would wait for us
            yield Stage(bus, server.url, process, port)
            reading.cancel()
        finally:
            await end(process)
            await bus.close()
            server.kill()


async def start(module: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", module, env=environment, stderr=pipe)


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
