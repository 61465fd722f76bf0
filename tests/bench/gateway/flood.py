"""What a signed-in user waits while strangers of the same address hold on to the gateway and flood it."""

import asyncio
import sys
import time

import httpx

from services.gateway.access import COOKIE
from tests.bench.gateway.stage import end, stage
from tests.bench.gateway.stalled import percentile

TOKEN = "correct-horse-battery-staple"  # noqa: S105  # of this bench alone
PAIRS = 3
SECONDS = 2.5
GAP = 0.01
"""Between two questions of the user."""


async def measure() -> dict[str, float]:
    """Percentiles of `GET /api/runs` beside them and alone, in turn, in milliseconds; and how many of them got no answer."""
    alone: list[float] = []
    beside: list[float] = []
    refused = 0
    async with stage(GATEWAY_TOKEN=TOKEN) as gateway:
        await gateway.begin("run")
        async with httpx.AsyncClient(base_url=gateway.url, timeout=10) as user:
            signed_in = await user.post("/api/session", headers={"Authorization": f"Bearer {TOKEN}"})
            user.headers["Cookie"] = f"{COOKIE}={signed_in.cookies[COOKIE]}"
            await ask(user, 1.0)  # warms up
            for _ in range(PAIRS):
                took, failed = await ask(user, SECONDS)
                alone += took
                refused += failed
                strangers = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.bench.gateway.strangers", str(gateway.port), stderr=asyncio.subprocess.PIPE
                )
                try:
                    assert strangers.stderr is not None
                    await asyncio.wait_for(strangers.stderr.readline(), 20)
                    took, failed = await ask(user, SECONDS)
                finally:
                    await end(strangers)
                beside += took
                refused += failed
    return {
        "user_p50_ms": round(percentile(beside, 0.5), 1),
        "user_p99_ms": round(percentile(beside, 0.99), 1),
        "alone_p50_ms": round(percentile(alone, 0.5), 1),
        "alone_p99_ms": round(percentile(alone, 0.99), 1),
        "p99_ratio": round(percentile(beside, 0.99) / percentile(alone, 0.99), 2),
        "questions": len(beside),
        "refused": refused,
    }


async def ask(user: httpx.AsyncClient, seconds: float) -> tuple[list[float], int]:
    """How long each question took, in milliseconds, and how many were not answered as they should."""
    took, failed = [], 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        before = time.monotonic()
        try:
            failed += (await user.get("/api/runs")).status_code != httpx.codes.OK
        except httpx.HTTPError:
            failed += 1
        took.append((time.monotonic() - before) * 1000)
        await asyncio.sleep(GAP)
    return took, failed
