"""What 200 clients that never read cost 300 that do."""

import asyncio
import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.bench.gateway.stage import Stage, stage
from tests.bench.gateway.watchers import Watcher, watchers
from tests.conftest import eventually

RUN = "run"
LIVE, STALLED = 300, 200
BACKLOG = 3_000
"""Attributes that wait for a client which begins at the start: more than its buffers hold."""

SECONDS = 5
FILLING_SECONDS = 2.0
"""Until the stalled clients' buffers are full: they cost what 200 clients that connect at once cost. They are dropped while the
live ones are timed, about two seconds later."""

PER_SECOND, AT_ONCE = 10, 2
IN_MEMORY = next((path for path in [Path("/dev/shm")] if path.is_dir()), None)  # noqa: S108  # the folder made there is our own
"""Where the bus keeps its streams, if there is such a place: how long a disk takes now and then is not what is measured."""

PAIRS = 6


async def measure() -> dict[str, float | list[float]]:
    """The 99th percentile from writing a decision to a live client having it, beside the stalled ones and without them.

    Rounds with stalled clients stand between rounds without, and each is compared with its two neighbours, so that a machine
    that becomes slower or faster meets both. As many rounds without stalled clients are compared with their neighbours in the
    same way: their ratios are the noise, and a ratio within their range says nothing. So is the gateway's processor time, which
    other processes hardly touch: the little that is more is what it takes to see the stalled ones off.
    """
    async with stage(IN_MEMORY) as gateway:
        await gateway.begin(RUN)
        await gateway.accept(RUN, BACKLOG, padding="x" * 150)
        await gateway.read_up()
        process = psutil.Process(gateway.process.pid)
        before = process.num_fds()
        freed: list[float] = []
        async with watchers(gateway.port, LIVE) as found:
            await listen(gateway, RUN, found)
            rounds = [await alone(gateway, found, process)]
            for _ in range(PAIRS):
                rounds.append(await beside(gateway, found, process, freed))
                rounds += [await alone(gateway, found, process) for _ in range(3)]
        back = await until_closed(process, before + 3)
    closing = {"stalled_sockets_closed_within_s": round(max(freed), 1), "all_sockets_closed_after_s": round(back, 1)}
    return pooled(rounds) | compared("cpu", [one.cpu for one in rounds]) | closing


def pooled(rounds: list["Round"]) -> dict[str, float | list[float]]:
    """The 99th percentiles over all rounds of a kind: in one alone, a single late write decides it.

    Rounds whose second, sixth, … had stalled clients: these against their neighbours, and as many others against theirs.
    """
    live, beside_them = p99(rounds[1::4]), p99(rounds[0::4] + rounds[2::4])
    alone, beside_those = p99(rounds[3::4]), p99(rounds[2::4] + rounds[4::4])
    return {
        "live_p99_ms": round(live, 1),
        "ceiling_p99_ms": round(beside_them, 1),
        "p99_ratio": round(live / beside_them, 2),
        "p99_noise": round(alone / beside_those, 2),
    }


def p99(rounds: list["Round"]) -> float:
    return percentile([delay for one in rounds for delay in one.delays], 0.99)


def compared(what: str, rounds: list[float]) -> dict[str, float | list[float]]:
    """Of rounds whose second, sixth, … had stalled clients: these, and as many others, each against its neighbours."""
    ratios = [2 * middle / (left + right) for left, middle, right in zip(rounds, rounds[1:], rounds[2:], strict=False)]
    measured, noise = ratios[0::4], ratios[2::4]
    return {
        f"{what}_ratio": round(statistics.median(measured), 2),
        f"{what}_ratios": [round(ratio, 2) for ratio in measured],
        f"{what}_noise": round(statistics.median(noise), 2),
        f"{what}_noises": [round(ratio, 2) for ratio in noise],
    }


class Round(NamedTuple):
    """One round of publishing: every delay of every live client in milliseconds, and the gateway's processor seconds."""

    delays: list[float]
    cpu: float


async def alone(gateway: Stage, found: list[Watcher], process: psutil.Process) -> Round:
    before = sum(process.cpu_times()[:2])
    delays = await publish(gateway, RUN, found)
    return Round(delays, sum(process.cpu_times()[:2]) - before)


async def beside(gateway: Stage, found: list[Watcher], process: psutil.Process, freed: list[float]) -> Round:
    """The same with stalled clients, which come before and are dropped meanwhile."""
    open_with_live = process.num_fds()
    began = time.monotonic()
    with stalled_clients(gateway, RUN):
        await asyncio.sleep(FILLING_SECONDS)
        one = await alone(gateway, found, process)
        await until_closed(process, open_with_live)
    freed.append(time.monotonic() - began)
    return one


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


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]
