"""Candidates decided a second by the real orchestrator, beside the bare loop on the same server."""

import asyncio
import os
import sys
import time
from datetime import datetime
from statistics import median

from services.orchestrator import recovery
from services.orchestrator.dedupe import Tiers
from services.orchestrator.prices import Prices
from shared import subjects
from shared.bus import Bus
from tests.bench.orchestrator import bare, peer
from tests.bench.orchestrator.ledger import bus, write_candidates, write_run
from tests.conftest import NatsServer, eventually

ACCEPTED = 100_000
CANDIDATES = 20_000
PEER_CANDIDATES = 2_000
ROUNDS = 3
READY_SECONDS = 300.0
"""Until the first decision: a list of 100,000 is replayed and its vectors are made first."""


async def measure(dedupe: Tiers, sync_interval: str, accepted: int = ACCEPTED) -> dict[str, float]:
    """Decisions a second with so many attributes on the list, the bare loop's, and their ratio; and the start by replay."""
    async with bus(sync_interval) as (server, connected):
        texts = await write_run(connected, accepted, dedupe)
        await write_candidates(connected, texts, CANDIDATES)
        server.restart()
        await eventually(lambda: connected.provisioned(), 30)
        read, replayed = await _read(connected), await _replay(connected)
        before = [await bare.decide(connected, CANDIDATES) for _ in range(ROUNDS)]
        replay_seconds, rate, memory = await _ours(server, connected, accepted)
        slower = await peer.decide(connected, server.url, PEER_CANDIDATES, texts, dedupe)
        after = [await bare.decide(connected, CANDIDATES) for _ in range(ROUNDS)]
    ceiling = median([*before, *after])
    return {
        "accepted": accepted,
        "candidates_per_second": round(rate),
        "ceiling": round(ceiling),
        "ratio": round(rate / ceiling, 2),
        "faststream": round(slower),
        "replayed_per_second": round(accepted / replayed),
        "replay_ceiling": round(accepted / read),
        "first_decision_after_s": round(replay_seconds, 2),
        "memory_mb": round(memory / 1e6),
    }


async def _read(connected: Bus) -> float:
    """Seconds that it takes to read the log, and to do nothing with it."""
    before = time.monotonic()
    async for _ in connected.history("RESULTS", [subjects.EVERYTHING]):
        pass
    return time.monotonic() - before


async def _replay(connected: Bus) -> float:
    """Seconds that it takes to rebuild the run, as an orchestrator does that has just loaded its models."""
    before = time.monotonic()
    await recovery.active_runs(connected, Prices.load(), 0.0)
    return time.monotonic() - before


async def _ours(server: NatsServer, connected: Bus, accepted: int) -> tuple[float, float, int]:
    """Seconds from its start to its first decision, decisions a second from there on, and its memory at the end."""
    head = await connected.head("RESULTS")
    environment = os.environ | {"NATS_URL": server.url, "LOG_LEVEL": "warn"}
    started = time.time()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.orchestrator", env=environment)
    first, last = head.last + 2, head.last + 1 + CANDIDATES  # after its epoch

    async def decided() -> bool:
        return (await connected.head("RESULTS")).last >= last

    try:
        await eventually(decided, READY_SECONDS)
        memory = resident(process.pid)
    finally:
        process.terminate()
        await process.wait()
    began, ended = await _written(connected, first), await _written(connected, last)
    # A batch is written at one moment, so the first batch has no time of its own: it is left out.
    batch = await _written_with(connected, first, began)
    return began - started, (CANDIDATES - batch) / (ended - began), memory


async def _written(connected: Bus, sequence: int) -> float:
    raw = await connected.client.jetstream().get_msg("RESULTS", seq=sequence)
    assert isinstance(raw.time, datetime)
    return raw.time.timestamp()


async def _written_with(connected: Bus, first: int, moment: float) -> int:
    """How many entries stand in the log from `first` on with the same time, give or take a batch's own."""
    count = 1
    while await _written(connected, first + count) - moment < 0.005:
        count += 1
    return count


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    import psutil

    return int(psutil.Process(pid).memory_info().rss)
