"""F32 and F33: services of different versions, and services that start in any order, the server last if need be."""

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.tester.trial import Trial, chance_of
from tests.faults.field import PRODUCERS, SERVICES, Field, shipped
from tests.faults.seeds import SEEDS

pytestmark = pytest.mark.faults

ORDERS = 2
"""Orders a seed, out of 720."""


async def nothing(_: random.Random) -> None:
    """The order was the fault."""


@pytest.mark.parametrize("number", range(ORDERS))
@pytest.mark.parametrize("seed", SEEDS)
async def test_any_order_will_do(tmp_path: Path, ledger: Callable[[Trial], None], seed: int, number: int) -> None:
    async with Field(tmp_path / "all", idle=True) as field:
        field.server.kill()
        chance = chance_of(f"order-{number}", seed)
        order = ["server", *SERVICES]
        chance.shuffle(order)
        if number == 0:
            order.sort(key=lambda name: name == "server")  # the server last
        for name in order:
            if name == "server":
                await asyncio.to_thread(field.server.start)
            else:
                field[name].start(shipped(name))
            await asyncio.sleep(chance.uniform(0, 0.5))
        await asyncio.sleep(chance.uniform(0, 1))
        bus = await field.connect()
        await bus.provision()
        await bus.close()
        ledger(await field.trial("start-order", seed, nothing))


@pytest.mark.parametrize("seed", SEEDS)
async def test_versions_mix(tmp_path: Path, ledger: Callable[[Trial], None], seed: int) -> None:
    """One producer is older than the rest, one newer, one of today."""
    async with Field(tmp_path / "all") as field:
        for name, skew in zip(PRODUCERS, ("old", "new"), strict=False):
            field.expected[name] += 1
            command = (sys.executable, "-m", "tests.faults.skewed_producer", "--provider", "random")
            await field.restart(name, command, {"SKEW": skew}, once=False)
        found = await field.trial("version-skew", seed, nothing)
        ledger(found)
