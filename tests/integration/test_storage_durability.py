"""A NATS that somebody else runs is only used for decisions when it is known to write through to disk."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.launcher import durability
from services.launcher.errors import StartError
from shared import streams
from shared.bus import connect
from tests.conftest import NatsServer, eventually


@pytest.fixture(params=["always", '"2m"'])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NatsServer]:
    """A server with a monitoring address, once as we run it, once with the default."""
    server = NatsServer(tmp_path / "nats", request.param)
    server.start()
    yield server
    server.kill()


async def test_its_monitoring_address_tells(server: NatsServer) -> None:
    asked = durability.require(server.url, server.monitor_url, None, accept_unsynced=False)
    if server.sync_interval == "always":
        await asked
    else:
        with pytest.raises(StartError, match=r"not write through .* Set sync_interval: always .* --accept-unsynced"):
            await asked


@pytest.mark.parametrize("server", ["always"], indirect=True)
@pytest.mark.parametrize("monitor_url", ["", "http://127.0.0.1:1"])
async def test_what_cannot_be_told_is_refused_with_two_ways_out(server: NatsServer, monitor_url: str) -> None:
    with pytest.raises(StartError, match=r"cannot be told .* Set NATS_MONITOR_URL .* power cut may lose"):
        await durability.require(server.url, monitor_url, None, accept_unsynced=False)


async def test_the_risk_can_be_accepted(server: NatsServer) -> None:
    await durability.require(server.url, "", None, accept_unsynced=True)


def provision(server: NatsServer, *flags: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "services.launcher", "provision", *flags]
    environment = {"NATS_URL": server.url, "PATH": "", **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def test_provisioning_refuses_or_accepts_in_words(server: NatsServer) -> None:
    synced = server.sync_interval == "always"
    asked = await asyncio.to_thread(provision, server, NATS_MONITOR_URL=server.monitor_url)
    assert asked.returncode == (0 if synced else 1)
    assert ("does not write through to disk" in asked.stderr) != synced
    accepted = await asyncio.to_thread(provision, server, "--accept-unsynced")
    assert accepted.returncode == 0


async def test_provisioning_keeps_the_room_that_was_made(nats_url: str) -> None:
    """Who raised a stream's bound because it was full finds it raised after every later start."""
    bus = await connect(nats_url, "test")
    js = bus.client.jetstream()
    more = (streams.RESULTS.max_bytes or 0) + 50 * streams.MIB
    await js.update_stream(streams.RESULTS.evolve(max_bytes=more))
    await bus.provision()

    async def kept() -> bool:
        return bool((await js.stream_info(streams.RESULTS.name or "")).config.max_bytes == more)

    await eventually(kept)
    await bus.close()
