"""What a container's health check finds."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import structlog

from shared import health
from shared.service import end
from tests.conftest import NatsServer, eventually

SERVICE = """
from shared.service import Settings, environment, load, run, service

async def main():
    async with service("stand-in", load(Settings, environment()), "A stand-in") as me:
        await me.run_until_stopped()

run(main)
"""


def check(file: Path, *arguments: str) -> tuple[int, str]:
    """Ask as an image does: in a process of its own."""
    command = [sys.executable, "-m", "shared.health", *arguments]
    done = subprocess.run(command, env={**os.environ, "HEALTH_FILE": str(file)}, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr.strip()


def test_what_never_started_is_ill(tmp_path: Path) -> None:
    assert check(tmp_path / "health") == (1, "has not started")


async def test_what_waits_is_alive_and_not_ready(tmp_path: Path) -> None:
    file = tmp_path / "health"
    beating = asyncio.ensure_future(health.beat(file, lambda: False))
    await eventually(file.exists)
    assert await asyncio.to_thread(check, file) == (1, "waits for NATS or its streams")
    assert await asyncio.to_thread(check, file, "alive") == (0, "")
    await end([beating])


async def test_a_file_that_cannot_be_written_for_a_while_is_written_again(tmp_path: Path) -> None:
    """A container that worked was ended as hung: one failure, and nobody wrote any more."""
    file = tmp_path / "away" / "health"
    beating = asyncio.ensure_future(health.beat(file, lambda: True))
    with structlog.testing.capture_logs() as logs:
        await eventually(lambda: logs)
        file.parent.mkdir()
        await eventually(file.exists)
    assert [entry["event"] for entry in logs] == ["health.not_written"]
    assert health.problem(file, time.time()) == ""
    await end([beating])


def test_what_hangs_is_ill(tmp_path: Path) -> None:
    file = tmp_path / "health"
    file.write_text(health.READY)
    assert health.problem(file, time.time()) == ""
    assert health.problem(file, time.time() + 60, only_alive=True) == "hangs: no sign of life for 60 s"


def started(file: Path, nats_url: str) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "HEALTH_FILE": str(file), "NATS_URL": nats_url}
    return subprocess.Popen([sys.executable, "-c", SERVICE], env=variables, stderr=subprocess.DEVNULL)


async def test_a_service_is_ready_while_it_has_its_bus(tmp_path: Path, nats_server: NatsServer) -> None:
    file = tmp_path / "health"
    with started(file, nats_server.url) as service:
        await eventually(lambda: not health.problem(file, time.time()), 30)
        nats_server.kill()
        await eventually(lambda: health.problem(file, time.time()) == "waits for NATS or its streams", 30)
        assert not health.problem(file, time.time(), only_alive=True)
        nats_server.start()
        await eventually(lambda: not health.problem(file, time.time()), 30)
        service.terminate()
