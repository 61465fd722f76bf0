"""Bits flipped and files cut in the store of the log: found at the next start, said, and repaired."""

import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.launcher.nats_server import ACCOUNT
from shared.bus import Stored, connect
from tests.conftest import NatsServer, eventually
from tests.faults.storage.launched import RESULTS, Launched, judge

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

FLIPS = 20
CUTS = 4


def log_files(store: Path) -> list[Path]:
    """The files of the log in a server's store that hold anything, but for the index, which the server makes anew."""
    files = [f for f in (store / "jetstream" / ACCOUNT / "streams" / RESULTS).rglob("*") if f.is_file() and f.stat().st_size]
    return sorted(f for f in files if f.name != "index.db")


def flip(store: Path, chance: random.Random) -> str:
    """Flip one bit somewhere in the log's files: each byte is as likely as any other."""
    files = log_files(store)
    (file,) = chance.choices(files, [f.stat().st_size for f in files])
    content = bytearray(file.read_bytes())
    at = chance.randrange(len(content))
    content[at] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    return f"{file.name} byte {at}"


def cut(store: Path, chance: random.Random) -> str:
    """Cut the end off the log's largest file."""
    file = max(log_files(store), key=lambda f: f.stat().st_size)
    size = file.stat().st_size
    left = chance.randrange(size // 4, size - 1)
    with file.open("r+b") as opened:
        opened.truncate(left)
    return f"{file.name} cut at {left}"


class Specimen:
    """A stack that was stopped in the middle of a run, to be damaged again and again."""

    def __init__(self, folder: Path) -> None:
        self.stack = Launched(folder / "stack")
        self._original = folder / "original"
        self._seen: dict[str, Stored] = {}

    async def prepare(self) -> None:
        """Make one run to its end, and leave another one open."""
        async with self.stack as stack:
            await stack.begin("ended", max_items=150)
            await eventually(lambda: "attributes.finished.ended" in stack.seen, 60)
            await stack.begin("open", max_items=100_000)
            await eventually(lambda: stack.accepted > 400, 60)
            await eventually(lambda: self._recorded() >= 250, 30)
        shutil.copytree(self.stack.folder, self._original, symlinks=True)
        self._seen = dict(self.stack.seen)

    def _recorded(self) -> int:
        found = list(self.stack.output.glob("*-open/output.txt"))
        return found[0].read_bytes().count(b"\n") if found else 0

    def restore(self) -> Path:
        """As it was before any damage; returns the server's store."""
        shutil.rmtree(self.stack.folder)
        shutil.copytree(self._original, self.stack.folder, symlinks=True)
        self.stack.seen = dict(self._seen)
        return self.stack.folder / "stack" / "nats"

    async def lost_without_comparison(self) -> int:
        """What is missing when just the server is started on the damaged store."""
        server = NatsServer(self.stack.folder / "bare")
        shutil.copytree(self.stack.folder / "stack" / "nats", self.stack.folder / "bare" / "store")
        server.start()
        bus = await connect(server.url, "test")
        try:
            await bus.provision()
            return (await judge(bus, self._seen)).lost
        finally:
            await bus.close()
            server.kill()


async def test_every_flip_and_cut_is_found_and_repaired(tmp_path: Path, figure: Callable[[str, str], None]) -> None:
    specimen = Specimen(tmp_path)
    await specimen.prepare()
    chance = random.Random(11)  # noqa: S311  # a fixed seed is the point
    found, repaired, silent_losses = 0, 0, 0
    for number in range(FLIPS + CUTS):
        store = specimen.restore()
        damage = (flip if number < FLIPS else cut)(store, chance)
        silent_losses += bool(await specimen.lost_without_comparison())
        async with specimen.stack as stack:
            found += bool(stack.said)
            bus = await stack.bus()
            judged = await judge(bus, stack.seen)
            await bus.close()
            assert (judged.lost, judged.doubled, judged.broken) == (0, 0, []), (damage, stack.said, judged)
            repaired += 1
            if number % 8 == 0:  # and the open run goes on
                seen = stack.accepted
                await eventually(lambda: stack.accepted > seen + 10, 30)  # noqa: B023  # used at once
    figure("one bit flipped in the log's files", f"{FLIPS} flips and {CUTS} cuts: {found} found, {repaired} repaired")
    figure("the same without the comparison", f"{silent_losses} of {FLIPS + CUTS} lost entries without a word")
    assert found == FLIPS + CUTS
    assert silent_losses >= FLIPS // 2  # the harness can see loss


async def test_damage_under_a_running_stack_is_repaired_after_the_next_restart(
    tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    """The server is killed and comes back with half of the log; nobody starts anything by hand."""
    chance = random.Random(5)  # noqa: S311  # a fixed seed is the point
    async with Launched(tmp_path) as stack:
        await stack.begin("r1", max_items=1500)
        await eventually(lambda: stack.accepted > 300, 60)
        cut(stack.folder / "stack" / "nats", chance)
        os.kill(stack.pid(), signal.SIGKILL)
        await eventually(lambda: stack.report()["repaired"], 30)
        await eventually(lambda: "attributes.finished.r1" in stack.seen, 90)
        bus = await stack.bus()
        judged = await judge(bus, stack.seen)
        await bus.close()
        said = stack.report()["repaired"]
    assert (judged.lost, judged.doubled, judged.broken) == (0, 0, [])
    figure("the log cut under a running server, which is then killed", f"0 of {judged.entries} lost; said: {said[0]}")


async def test_a_repair_by_hand_under_a_running_stack_is_refused(tmp_path: Path) -> None:
    """With the keys that it has; neither the recorder's folder nor another one lets it write under the orchestrator."""
    async with Launched(tmp_path) as stack:
        await stack.begin("r1", max_items=100)
        bus = await stack.bus()
        epoch = (await bus.head(RESULTS)).epoch
        said = [await _repair(stack, output) for output in (stack.output, tmp_path / "elsewhere")]
        assert "A recorder, or another repair, writes in" in said[0]
        assert "An orchestrator writes to the log. Stop it first" in said[1]
        await eventually(lambda: "attributes.finished.r1" in stack.seen, 60)
        assert (await bus.head(RESULTS)).epoch == epoch
        await bus.close()


async def _repair(stack: Launched, output: Path) -> str:
    """What `recorder repair` says, which fails."""
    key = stack.folder / "stack" / "keys" / "recorder-repair.nk"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.recorder", "repair"),
        env={**os.environ, "NATS_URL": stack.report()["nats_url"], "NATS_NKEY": str(key), "OUTPUT": str(output)},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    return said.decode()
