"""The power goes off: what a file system had on its device at that moment is all that is left."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.orchestrator.decision_log import DecisionLog
from shared import streams
from shared.bus import Bus, connect
from shared.service import end
from tests.conftest import NatsServer, eventually
from tests.integration.test_recorder import long_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

RESULTS = streams.RESULTS.name or ""
IMAGES = 10
CONTROLS = 3
DISK = 96 * 1024 * 1024

Mount = Callable[..., Path]


class Machine:
    """A server on a disk of its own, an image of which can be taken as it is at any moment."""

    def __init__(self, folder: Path, mount: Mount, sync_interval: str) -> None:
        self._image = folder / "disk.img"
        self._mount = mount
        self._sync_interval = sync_interval
        self._folder = folder
        self.server: NatsServer

    async def boot(self, image: Path | None = None) -> Bus:
        """Start on a new disk, or on what an image holds."""
        if image is not None:
            shutil.copyfile(image, self._image)
        else:
            self._format()
        disk = self._mount(self._folder / "disk", "-o", "loop", str(self._image))
        self.server = NatsServer(disk / "nats", self._sync_interval)
        await asyncio.to_thread(self.server.start)
        bus = await connect(self.server.url, "test")
        await bus.provision()
        return bus

    def _format(self) -> None:
        with self._image.open("wb") as file:
            file.truncate(DISK)
        subprocess.run(["mkfs.ext4", "-q", str(self._image)], check=True)  # noqa: S607  # the system's

    def cut_power(self, image: Path) -> None:
        """Take what is on the device now; nothing that the server or the system would still write comes after it."""
        os.kill(self.server.pid, signal.SIGSTOP)
        shutil.copyfile(self._image, image)
        os.kill(self.server.pid, signal.SIGCONT)
        self.server.kill()


async def decide(bus: Bus, acknowledged: list[str], until: Callable[[], Awaitable[None]]) -> None:
    """Write decisions as the orchestrator does, and note each that was acknowledged, until told to stop."""
    decisions = await DecisionLog.take_over(bus, "orchestrator-1")
    entries = long_run(20_000, run="r1").entries

    async def write() -> None:
        for start in range(0, len(entries), 10):
            batch = entries[start : start + 10]
            await decisions.append(batch)
            acknowledged.extend(entry.subject for entry in batch)

    writing = asyncio.create_task(write())
    await until()
    await end([writing])


async def lost_of(bus: Bus, acknowledged: list[str]) -> int:
    """How many acknowledged decisions the log does not hold."""
    try:
        present = {s.subject async for batch in bus.history(RESULTS, ["attributes.>"]) for s in batch}
    finally:
        await bus.close()
    return len(set(acknowledged) - present)


async def cut(folder: Path, mount: Mount, sync_interval: str, seed: int) -> tuple[int, int]:
    """One power cut at a random moment; returns how many decisions had been acknowledged, and how many of them are lost."""
    chance = random.Random(seed)  # noqa: S311  # a fixed seed is the point
    before, after = folder / "before", folder / "after"
    for place in (before, after):
        place.mkdir(parents=True)
    machine = Machine(before, mount, sync_interval)
    bus = await machine.boot()
    acknowledged: list[str] = []
    least = chance.randint(100, 700)

    async def moment() -> None:
        await eventually(lambda: len(acknowledged) >= least, 60)
        await asyncio.sleep(chance.uniform(0, 0.2))
        machine.cut_power(folder / "image")

    await decide(bus, acknowledged, moment)
    count = len(acknowledged)
    await bus.close()
    again = Machine(after, mount, sync_interval)
    lost = await lost_of(await again.boot(folder / "image"), acknowledged[:count])
    again.server.kill()
    return count, lost


def in_words(found: list[tuple[int, int]]) -> str:
    """How many images, and how much was lost of how much."""
    return f"{len(found)} images: {sum(lost for _, lost in found)} of {sum(count for count, _ in found)} acknowledged lost"


async def test_nothing_acknowledged_is_lost(
    tmp_path: Path, mounts: Mount, tool: Callable[[str], str], figure: Callable[[str, str], None]
) -> None:
    tool("mkfs.ext4")
    found = [await cut(tmp_path / str(seed), mounts, "always", seed) for seed in range(IMAGES)]
    figure(
        "power cut, sync_interval always",
        f"{IMAGES} images: {sum(lost for _, lost in found)} of {sum(count for count, _ in found)} lost",
    )
    assert all(acknowledged >= 100 for acknowledged, _ in found)
    assert [lost for _, lost in found] == [0] * IMAGES


async def test_the_default_loses_what_it_acknowledged(
    tmp_path: Path, mounts: Mount, tool: Callable[[str], str], figure: Callable[[str, str], None]
) -> None:
    """The control: were nothing lost here, the test above could not see a loss."""
    tool("mkfs.ext4")
    found = [await cut(tmp_path / str(seed), mounts, '"2m"', seed) for seed in range(CONTROLS)]
    figure("power cut, the default of 2 minutes", in_words(found))
    assert all(lost > 0 for _, lost in found)
