"""A disk that is full, that fails to sync, and a server that is frozen or killed: the run goes on by itself afterwards."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.launcher.folder import Folder
from services.launcher.locks import holder
from shared.service import end
from tests.conftest import eventually
from tests.faults.storage.launched import Launched, judge

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    # The NATS client lets go of an attempt to connect to a server that does not answer without closing its socket.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

SEEDS = 3
MOST_SECONDS = 10.0
USUAL_SECONDS = 3.0
"""Until the next attribute after a fault has ended: 95 of 100 within this."""

Figure = Callable[[str, str], None]


@contextlib.asynccontextmanager
async def running(folder: Path, store: Path | None = None) -> AsyncIterator[Launched]:
    """A stack in the middle of a run, which is brought to its end and judged when the fault is over."""
    async with Launched(folder, store) as stack:
        await stack.begin("r1", max_items=100_000)
        await eventually(lambda: stack.accepted > 60, 60)
        yield stack
        bus = await stack.bus()
        judged = await judge(bus, stack.seen)
        await bus.close()
        assert (judged.lost, judged.doubled, judged.broken) == (0, 0, []), judged


async def recovered(stack: Launched, ended: float) -> float:
    """Seconds from the end of a fault to the next attribute."""
    await eventually(lambda: stack.first_after(ended), 90)
    seconds = stack.first_after(ended)
    assert seconds is not None
    return seconds


def enter(figure: Figure, what: str, times: list[float]) -> None:
    """Enter the recovery times of a fault and judge them."""
    figure(what, f"recovered {len(times)} of {len(times)}, in {min(times):.2f} to {max(times):.2f} s; 0 lost, 0 doubled")
    assert max(times) <= MOST_SECONDS


async def test_a_full_disk(tmp_path: Path, mounts: Callable[..., Path], figure: Figure) -> None:
    """Nothing is accepted while it is full; when room is made the server is started again and the run goes on."""
    store = mounts(tmp_path / "small", "-t", "tmpfs", "-o", "size=24m", "chorus-test")
    filler = store / "filler"
    times: list[float] = []
    async with running(tmp_path, store) as stack:
        for _ in range(SEEDS):
            unwell = stack.log_of("launcher").count("nats.unwell")
            fill(filler)
            await eventually(lambda: stack.log_of("launcher").count("nats.unwell") > unwell, 60)  # noqa: B023  # used at once
            await stopped(stack)
            make_room(filler)
            times.append(await recovered(stack, time.monotonic()))
    enter(figure, "disk full, then room is made", times)


@pytest.mark.parametrize("copied", ["elsewhere", "too"])
async def test_a_full_disk_under_the_whole_stack(
    tmp_path: Path, mounts: Callable[..., Path], figure: Figure, copied: str
) -> None:
    """Nothing can be logged, noted or locked; processes that end meanwhile are still replaced, and none is left alone."""
    home = mounts(tmp_path / "all" / ("" if copied == "too" else "stack"), "-t", "tmpfs", "-o", "size=32m", "chorus-test")
    filler = home / "filler"
    times: list[float] = []
    async with running(tmp_path / "all") as stack:
        for victim in ("orchestrator", "producer-random-1", "nats"):
            async with full(filler):
                await stopped(stack)
                os.kill(stack.pid(victim), signal.SIGKILL)
                await asyncio.sleep(8)  # its first starts, on a disk that is full
            times.append(await recovered(stack, time.monotonic()))
            await eventually(lambda: watched(stack), 30)
    enter(figure, f"disk of the whole stack full, the second copy {copied}", times)


def fill(filler: Path) -> None:
    """Leave no room."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def make_room(filler: Path) -> None:
    """Give it back."""
    filler.unlink()


@contextlib.asynccontextmanager
async def full(filler: Path) -> AsyncIterator[None]:
    """Take what room there is, again and again: a server that is started again frees some."""

    async def go_on_filling() -> None:
        while True:
            fill(filler)
            await asyncio.sleep(0.05)

    filling = asyncio.create_task(go_on_filling())
    yield
    await end([filling])
    make_room(filler)


def watched(stack: Launched) -> bool:
    """Whether all processes of the stack are ready, and are those that the launcher knows of."""
    folder = Folder(stack.folder / "stack")
    known = {child["name"]: child["pid"] for child in stack.report()["children"] if child["state"] == "ready"}
    return known == {lock.stem: holder(lock) for lock in folder.child_locks()}


async def stopped(stack: Launched) -> None:
    """Wait until the run stands still."""
    while True:
        before = stack.accepted
        await asyncio.sleep(2)
        if stack.accepted == before:
            return


async def test_a_disk_that_fails_to_sync(tmp_path: Path, tool: Callable[[str], str], figure: Figure) -> None:
    """What was not synced was not acknowledged; a restart of the server heals it."""
    strace = tool("strace")
    times: list[float] = []
    async with running(tmp_path) as stack:
        for _ in range(SEEDS):
            command = [strace, "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync,fdatasync"]
            command += ["-e", "inject=fsync,fdatasync:error=EIO", "-p", str(stack.pid())]
            tracer = await asyncio.create_subprocess_exec(*command)
            count = stack.log_of("launcher").count("nats.unwell")
            await eventually(lambda: stack.log_of("launcher").count("nats.unwell") > count, 60)  # noqa: B023  # used at once
            ended = time.monotonic()  # the process whose syncs fail was killed, and with it the fault
            await asyncio.wait_for(tracer.wait(), 10)
            times.append(await recovered(stack, ended))
    enter(figure, "fsync fails with EIO", times)


async def test_a_killed_server(tmp_path: Path, figure: Figure) -> None:
    times: list[float] = []
    async with running(tmp_path) as stack:
        for _ in range(5):
            os.kill(stack.pid(), signal.SIGKILL)
            times.append(await recovered(stack, time.monotonic()))
            seen = stack.accepted
            await eventually(lambda: stack.accepted > seen + 30, 60)  # noqa: B023  # used at once
    enter(figure, "server killed (SIGKILL)", times)
    assert sorted(times)[-1] <= 2 * USUAL_SECONDS


@pytest.mark.parametrize("seconds", [1, 8, 40])
async def test_a_frozen_server(tmp_path: Path, figure: Figure, seconds: int) -> None:
    async with running(tmp_path) as stack:
        pid = stack.pid()
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        took = await recovered(stack, time.monotonic())
        assert stack.pid() == pid  # it was waited for, not killed
    enter(figure, f"server frozen for {seconds} s (SIGSTOP)", [took])
