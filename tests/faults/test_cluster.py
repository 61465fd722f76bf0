"""Three servers that hold every stream: a run goes on while any one of them is killed, and nothing is lost or doubled."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.tester import invariants
from services.tester.stack import Stack
from services.tester.trial import LATENCY_SECONDS, RUN
from services.tester.watch import Watched
from shared import streams
from shared.bus import connect
from shared.bus_errors import BusError
from tests.conftest import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

CLUSTER = Path(__file__).parents[2] / "deploy" / "cluster" / "cluster"
SERVERS = (1, 2, 3)

END_SECONDS = 120.0
"""A stream whose leader is lost has none for up to ten seconds, and three are lost in one run."""

ALONE_SECONDS = 8.0
"""Longer than a request is waited for, so that every write in progress fails."""

STEP_SECONDS = 60.0
"""Until a server that came back holds everything again."""


class Cluster:
    """The three servers, as `make cluster-up` starts them, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_row()

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{self.port + number - 1}" for number in SERVERS)

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 21}"

    def do(self, verb: str) -> None:
        """`up` starts what does not run and waits until all are in step; `down` ends all."""
        own = {"CLUSTER_PORT": str(self.port), "CLUSTER_FOLDER": str(self.folder)}
        server = str(Path(sys.executable).with_name("nats-server"))
        variables = {**os.environ, **own, "NATS_SERVER": server, "PYTHON": sys.executable}
        subprocess.run([str(CLUSTER), verb], check=True, env=variables, timeout=STEP_SECONDS, stdout=subprocess.DEVNULL)

    def kill(self, number: int) -> None:
        """End a server at once, as a crash would."""
        os.kill(int((self.folder / f"{number}.pid").read_text()), signal.SIGKILL)


def free_row() -> int:
    """The first of the ports that the three servers take, all of them free a moment ago."""
    for first in range(20000 + os.getpid() % 10000, 60000, 30):
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for port in (*range(first, first + 3), *range(first + 11, first + 14), *range(first + 21, first + 24)):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise RuntimeError("no row of free ports")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    servers = Cluster(tmp_path / "cluster")
    try:
        await asyncio.to_thread(servers.do, "up")
        yield servers
    finally:
        await asyncio.to_thread(servers.do, "down")


@pytest.fixture
async def stack(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Stack]:
    """Chorus on the cluster, every stream kept three times."""
    joined = Stack(tmp_path / "chorus", services=("orchestrator", "recorder", "gateway"))
    try:
        where = {"NATS_URL": cluster.url, "NATS_MONITOR_URL": cluster.monitor_url, "STREAM_REPLICAS": "3"}
        await joined.start({**where, "RANDOM_LATENCY_SECONDS": LATENCY_SECONDS})
        yield joined
    finally:
        await joined.stop()


async def replicas(url: str) -> set[int]:
    """On how many servers the streams are kept, all values that occur."""
    bus = await connect(url, "tester")
    try:
        found = [(await bus.client.jetstream().stream_info(name)).config.num_replicas for name in ALL_STREAMS]
        return {number or 1 for number in found}
    finally:
        await bus.close()


ALL_STREAMS = (*(stream.name or "" for stream in streams.STREAMS), f"KV_{streams.RUNS.bucket}")


async def test_a_run_survives_the_loss_of_each_server_in_turn_and_of_two_for_a_while(cluster: Cluster, stack: Stack) -> None:
    assert await replicas(cluster.url) == {3}
    bus = await connect(cluster.url, "tester")
    spec: dict[str, Any] = {**RUN, "topic": "One of three", "iterations": 60}
    watched = await Watched.begin(stack.url, bus, stack.output, **spec)
    try:
        for number in SERVERS:
            before = watched.accepted
            cluster.kill(number)
            await watched.until_accepted(before + 20, STEP_SECONDS)  # with two of three
            await asyncio.to_thread(cluster.do, "up")
            assert not watched.finished, "the run ended before every server was killed: make it longer"
        for number in SERVERS[:2]:  # the one that is left can decide nothing by itself: all wait
            cluster.kill(number)
        await asyncio.sleep(ALONE_SECONDS)
        await asyncio.to_thread(cluster.do, "up")
        assert not watched.finished, "the run ended before two servers were killed: make it longer"
        evidence = await watched.verdict(END_SECONDS, [])
    finally:
        await watched.close()
        await bus.close()
    assert not [str(broken) for broken in invariants.check(evidence)]
    assert invariants.lost(evidence) == invariants.doubled(evidence) == 0


async def test_streams_keep_their_replicas_when_they_are_made_again(cluster: Cluster) -> None:
    bus = await connect(cluster.url, "provision")
    try:
        await eventually(lambda: made(bus.provision(3)), 30)
        await bus.provision()
        assert await replicas(cluster.url) == {3}
        await bus.provision(1)
        assert await replicas(cluster.url) == {1}
    finally:
        await bus.close()


async def made(provisioning: object) -> bool:
    """Whether the servers have found each other, and so could do it."""
    try:
        await provisioning  # type: ignore[misc]  # a coroutine
    except BusError:
        return False
    return True
