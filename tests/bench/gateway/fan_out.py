"""Deliveries a second to many clients at once, and to as many by a bare StreamingResponse."""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.bench.gateway.stage import Stage, stage
from tests.bench.gateway.watchers import watchers

CASES = {100: 20_000, 1000: 5_000}
"""Attributes that each so many clients get."""

ROUNDS = 5


async def measure() -> dict[str, dict[str, float]]:
    """For each number of clients: deliveries a second, the ceiling's, and the median ratio of the rounds."""
    figures = {}
    async with stage() as gateway:
        for clients, attributes in CASES.items():
            run = f"run-{clients}"
            await gateway.begin(run)
            await gateway.accept(run, attributes)
            await gateway.finish(run)
            await gateway.read_up()
            figures[f"{clients} clients"] = await compare(gateway, run, clients, attributes)
    return figures


async def compare(gateway: Stage, run: str, clients: int, attributes: int) -> dict[str, float]:
    path = f"/api/runs/{run}/events"
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames"
        text = (await asyncio.to_thread(httpx.get, f"{gateway.url}{path}")).content
        frames.write_bytes(b"\n\n".join(frame for frame in text.split(b"\n\n") if b"event: accepted" in frame))
        bare = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.gateway.bare", str(frames), stdout=asyncio.subprocess.PIPE
        )
        try:
            assert bare.stdout is not None
            port = int((await bare.stdout.readline()).decode().rsplit(":", 1)[1])
            rounds = []
            for _ in range(ROUNDS):  # in turn, so that what else the machine does meets both
                ours = await deliver(gateway.port, path, clients, attributes)
                rounds.append((ours, await deliver(port, "/events", clients, attributes)))
        finally:
            bare.kill()
            await bare.wait()
    return {
        "deliveries_per_second": round(statistics.median(ours for ours, _ in rounds)),
        "ceiling": round(statistics.median(ceiling for _, ceiling in rounds)),
        "ratio": round(statistics.median(ours / ceiling for ours, ceiling in rounds), 2),
    }


async def deliver(port: int, path: str, clients: int, attributes: int) -> float:
    """Deliveries a second, from the moment that all clients ask until the last has everything."""
    async with watchers(port, clients) as found:
        before = time.monotonic()
        for watcher in found:
            watcher.ask(path, "localhost")
        await asyncio.gather(*(watcher.done for watcher in found))
        seconds = time.monotonic() - before
    assert all(watcher.events == attributes for watcher in found)
    return clients * attributes / seconds
