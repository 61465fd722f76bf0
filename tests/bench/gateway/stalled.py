"""What 200 clients that never read cost 300 that do."""

import asyncio
import contextlib
import socket
import statistics
import time
from collections.abc import Iterator

import psutil

from tests.bench.gateway.stage import Stage, stage
from tests.bench.gateway.watchers import Watcher, watchers
from tests.conftest import eventually

LIVE, STALLED = 300, 200
BACKLOG = 3_000
"""Attributes that wait for a client which begins at the start: more than its buffers hold."""

SECONDS = 5
FILLING_SECONDS = 2.0
"""Until the stalled clients' buffers are full: they cost what 200 clients that connect at once cost. They are dropped while the
live ones are timed, about two seconds later."""

PER_SECOND, AT_ONCE = 10, 10
ROUNDS = 5


async def measure() -> dict[str, float]:
    """The 99th percentile from writing a decision to a live client having it, with and without the stalled ones."""
    async with stage() as gateway:
        run = "run"
        await gateway.begin(run)
        await gateway.accept(run, BACKLOG, padding="x" * 150)
        await gateway.read_up()
        process = psutil.Process(gateway.process.pid)
        before = process.num_fds()
        alone: list[list[float]] = []
        beside: list[list[float]] = []
        freed: list[float] = []
        async with watchers(gateway.port, LIVE) as found:
            await listen(gateway, run, found)
            open_with_live = process.num_fds()
            for _ in range(ROUNDS):
                alone.append(await publish(gateway, run, found))
                began = time.monotonic()
                with stalled_clients(gateway, run):
                    await asyncio.sleep(FILLING_SECONDS)
                    beside.append(await publish(gateway, run, found))
                    await until_closed(process, open_with_live)
                    freed.append(time.monotonic() - began)
        back = await until_closed(process, before + 3)
    live, ceiling = typical(beside, 0.99), typical(alone, 0.99)
    return {
        "live_p99_ms": round(live, 1),
        "ceiling_p99_ms": round(ceiling, 1),
        "ratio": round(live / ceiling, 2),
        "live_p50_ms": round(typical(beside, 0.5), 1),
        "ceiling_p50_ms": round(typical(alone, 0.5), 1),
        "stalled_sockets_closed_within_s": round(max(freed), 1),
        "all_sockets_closed_after_s": round(back, 1),
    }


async def listen(gateway: Stage, run: str, found: list[Watcher]) -> None:
    last_id = await gateway.last_id(run)
    for watcher in found:
        watcher.ask(f"/api/runs/{run}/events", "localhost", last_id)
    await asyncio.gather(*(watcher.began for watcher in found))


async def publish(gateway: Stage, run: str, found: list[Watcher]) -> list[float]:
    """Accept attributes for some seconds; returns every delay of every client, in milliseconds."""
    for watcher in found:
        watcher.timing, watcher.delays, watcher.events = True, [], 0
    for _ in range(SECONDS * PER_SECOND):
        await gateway.accept(run, AT_ONCE)
        await asyncio.sleep(1 / PER_SECOND)
    deadline = time.monotonic() + 10
    while any(watcher.events < SECONDS * PER_SECOND * AT_ONCE for watcher in found):
        assert time.monotonic() < deadline, "a live client did not get everything"
        await asyncio.sleep(0.01)
    return [delay for watcher in found for delay in watcher.delays]


@contextlib.contextmanager
def stalled_clients(gateway: Stage, run: str) -> Iterator[None]:
    """Clients that ask for everything and never read; they stay until the gateway has closed them."""
    with contextlib.ExitStack() as stack:
        for number in range(STALLED):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.bind((f"127.0.2.{1 + number // 50}", 0))
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(f"GET /api/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield


async def until_closed(process: psutil.Process, number: int) -> float:
    """Seconds until the gateway has no more than so many files open, at most 30."""
    before = time.monotonic()
    await eventually(lambda: process.num_fds() <= number, 30)
    return time.monotonic() - before


def typical(rounds: list[list[float]], share: float) -> float:
    """The median over the rounds: one of them may meet with something else that the machine does."""
    return statistics.median(percentile(delays, share) for delays in rounds)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]
