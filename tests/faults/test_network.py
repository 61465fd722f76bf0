"""F12 to F18: the network between the services and the server, clocks, open files, and connections lost for good."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.tester.trial import Trial
from tests.conftest import eventually
from tests.faults.field import PRODUCERS, SERVICES, Field, shipped
from tests.faults.namespace import Namespace, NoNamespace
from tests.faults.seeds import SEEDS

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

Make = Callable[[Field, str, random.Random], Coroutine[Any, Any, None]]

ALL = "all"

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def links(field: Field, names: str) -> list[str]:
    """The members that a fault is about; one producer stands for all."""
    return list(SERVICES) if names == ALL else ["producer-1" if names == "producer" else names]


async def partition(field: Field, names: str, chance: random.Random) -> None:
    """Nothing passes, and nobody is told; when the cable is back, what was sent meanwhile arrives."""
    for name in links(field, names):
        field[name].link.hold()
    await asyncio.sleep(chance.uniform(0.5, 3))
    field.heal()


async def partition_and_reset(field: Field, names: str, chance: random.Random) -> None:
    """The same, but the connections do not survive it."""
    for name in links(field, names):
        field[name].link.hold()
    await asyncio.sleep(chance.uniform(0.5, 3))
    for name in links(field, names):
        field[name].link.reset()
    field.heal()


async def resets(field: Field, names: str, chance: random.Random) -> None:
    for _ in range(4):
        for name in links(field, names):
            field[name].link.reset()
        await asyncio.sleep(chance.uniform(0.1, 0.8))


async def cuts(field: Field, names: str, chance: random.Random) -> None:
    """Broken off wherever in a message that is."""
    for _ in range(3):
        for name in links(field, names):
            field[name].link.cut_after(chance.randint(1, 20_000))
        await asyncio.sleep(0.5)


async def slow(field: Field, names: str, chance: random.Random) -> None:
    for name in links(field, names):
        field[name].link.latency, field[name].link.jitter = chance.uniform(0.02, 0.1), chance.uniform(0.02, 0.2)
    await asyncio.sleep(2)
    field.heal()


async def drip(field: Field, names: str, chance: random.Random) -> None:
    for name in links(field, names):
        field[name].link.bandwidth = chance.uniform(8_000, 40_000)
    await asyncio.sleep(2)
    field.heal()


async def swizzle(field: Field, names: str, chance: random.Random) -> None:
    """F14: hold all links one by one, and let them go in another order."""
    order = links(field, names)
    for flows in (False, True):
        chance.shuffle(order)
        for name in order:
            link = field[name].link
            link.flow() if flows else link.hold()
            await asyncio.sleep(chance.uniform(0, 0.3))


async def refused(field: Field, names: str, chance: random.Random) -> None:
    """The connection breaks, and no new one is let in for a while."""
    for name in links(field, names):
        field[name].link.refuse = True
        field[name].link.reset()
    await asyncio.sleep(chance.uniform(0.5, 2))
    field.heal()


async def no_descriptors(field: Field, names: str, chance: random.Random) -> None:
    """F16: not one more file or socket may be opened, just when the connection must be made anew."""
    limits: dict[int, tuple[int, int]] = {}
    for name in links(field, names):
        process = psutil.Process(field[name].pid)
        _, most = limits[process.pid] = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds(), most))
        field[name].link.reset()
    await asyncio.sleep(chance.uniform(0.5, 2))
    for pid, limit in limits.items():
        psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE, limit)


async def lost_for_good(field: Field, names: str, chance: random.Random) -> None:
    """F17: the server says something that closes the client for good; the process must end and be replaced, not linger."""
    for name in links(field, names):
        member, before = field[name], len(field[name].codes)
        field.expected[name] += 1
        member.link.inject(b"-ERR 'Something Nobody Knows'\r\n")
        await eventually(lambda: len(member.codes) > before, 20)  # noqa: B023  # it is awaited at once


KINDS: tuple[tuple[Make, tuple[str, ...], int], ...] = (
    (partition, ("orchestrator", "producer", "gateway", "recorder", ALL), 0),
    (partition_and_reset, ("orchestrator", "producer", ALL), 3),
    (resets, ("orchestrator", "producer", ALL), 3),
    (cuts, ("orchestrator", "producer", ALL), 3),
    (slow, (ALL,), 0),
    (drip, ("producer", ALL), 0),
    (swizzle, (ALL,), 0),
    (refused, ("orchestrator", ALL), 3),
    (no_descriptors, ("orchestrator", "producer", "gateway", "recorder"), 3),
    (lost_for_good, ("orchestrator", "producer", "gateway", "recorder"), 3),
)
"""What is done, whose links, and how many model calls it may cause to be made again: at most those under way."""

FAULTS = [
    pytest.param(make, names, repeats, id=f"{make.__name__.replace('_', '-')}-{names}")
    for make, whom, repeats in KINDS
    for names in whom
]


@pytest.mark.parametrize(("make", "names", "repeats"), FAULTS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_survives(
    field: Field, ledger: Callable[[Trial], None], make: Make, names: str, repeats: int, seed: int
) -> None:
    name = f"{make.__name__.replace('_', '-')}-{names}"
    ledger(await field.trial(name, seed, lambda chance: make(field, names, chance), repeats))


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (Debian: apt install faketime)")
@pytest.mark.parametrize("seed", SEEDS)
async def test_clocks_jump(field: Field, ledger: Callable[[Trial], None], tmp_path: Path, seed: int) -> None:
    """F15: an hour forth and two back, as when a machine is corrected: no order and no decision may hang on it."""
    offset = tmp_path / "offset"
    offset.write_text("+0")
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1"}
    names = ("orchestrator", "recorder", "gateway", *PRODUCERS)
    for name in names:
        field.expected[name] += 1
        await field.restart(name, shipped(name), fake | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}, once=False)

    async def make(chance: random.Random) -> None:
        for hours in (1, -1):
            offset.write_text(f"{hours * 3600:+d}")
            await asyncio.sleep(chance.uniform(0.5, 1))

    found = await field.trial("clock-jump", seed, make)
    for name in names:
        field.expected[name] += 1
        await field.restart(name, shipped(name), {})
    ledger(found)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_subscriber_that_reads_nothing(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """F18: it asks for everything and takes nothing; the others must not notice."""

    async def make(chance: random.Random) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", int(field.server.url.rsplit(":", 1)[1]), limit=1)
        writer.write(b'CONNECT {"verbose":false}\r\nSUB > 1\r\n')
        await asyncio.sleep(chance.uniform(1, 2))
        writer.transport.abort()

    ledger(await field.trial("slow-consumer", seed, make))


@pytest.mark.parametrize("seed", SEEDS)
async def test_packets_are_dropped(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """F12 for real: an orchestrator in a network of its own, whose packets are dropped without a word to anybody."""
    first = field["orchestrator"]
    async with AsyncExitStack() as stack:
        try:
            network = await stack.enter_async_context(Namespace())
        except NoNamespace as error:
            pytest.skip(f"there are no network namespaces here: {error}")
        remote = await field.add("remote", like="orchestrator", host=network.host)

        async def make(chance: random.Random) -> None:
            await network.drop(True)
            await asyncio.sleep(chance.uniform(0.5, 3))
            await network.drop(False)

        field.expected["orchestrator"] += 1
        await eventually(lambda: b"log.taken_over" in first.log_since_start(), 30)  # or it would take over from the other
        first.stay_away()
        ended = len(first.codes)
        remote.start((*network.prefix, *shipped("orchestrator")))
        await eventually(lambda: len(first.codes) > ended, 30)  # it leaves when the other has taken over
        found = await field.trial("packets-dropped", seed, make)
        await field.remove("remote")
    first.start(shipped("orchestrator"))
    ledger(found)
