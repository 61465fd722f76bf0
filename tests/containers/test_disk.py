"""A full disk: the server that it wedges ends, is started again, and the run goes on."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.conftest import eventually
from tests.containers.conftest import leave_out
from tests.containers.stack import Stack
from tests.containers.test_faults import pytestmark as as_for_faults
from tests.containers.test_faults import run_through

pytestmark = as_for_faults

STORE_MIB = 24

RESTART_SECONDS = 60.0
"""Until a wedged server was ended and started again: two looks of the healthcheck, five seconds apart."""

OWN_STORE = """
volumes:
  nats:
    driver_opts: {{type: none, o: bind, device: "{device}"}}
"""


@contextlib.contextmanager
def small_disk(at: Path) -> Iterator[Path]:
    """A file system of `STORE_MIB` of memory; root alone can mount one."""
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={STORE_MIB}m", "chorus-test", str(at)],  # noqa: S607  # the system's
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        leave_out(f"mount: {mounted.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)  # noqa: S607  # the system's


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small") as at:
        yield at


@pytest.fixture
def small_stack(client: docker.DockerClient, images: tuple[str, ...], tmp_path: Path, disk: Path) -> Iterator[Stack]:
    """A stack whose NATS has little room."""
    variables = {"COMPOSE_PROFILES": "random", "RANDOM_LATENCY_SECONDS": "0.6", "COMPOSE_FILE": "compose.yaml:small.yaml"}
    stack = Stack(client, tmp_path / "stack", variables)
    (stack.folder / "small.yaml").write_text(OWN_STORE.format(device=disk))
    with stack.running():
        yield stack


async def test_a_full_disk_is_survived(small_stack: Stack, disk: Path) -> None:
    async def fills(stack: Stack) -> None:
        restarts = restarts_of_nats(stack)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        await eventually(lambda: asyncio.to_thread(lambda: restarts_of_nats(stack) > restarts), RESTART_SECONDS)
        filler.unlink()

    bus = await small_stack.connect()
    try:
        await run_through(small_stack, bus, fills, topic="A full disk")
    finally:
        await bus.close()
    small_stack.wait_healthy()


def restarts_of_nats(stack: Stack) -> int:
    return int(stack.container("nats").attrs["RestartCount"])
