"""F1, F2, F5: the orchestrator ended at named points, the server killed at them, zombies, and two orchestrators."""

import asyncio
import random
import signal
from collections.abc import Callable

import psutil
import pytest

from services.tester.trial import Trial
from tests.conftest import eventually
from tests.faults.field import Field, altered, shipped
from tests.faults.mains import EXIT_CODE, POINTS
from tests.faults.seeds import SEEDS

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

AT_THE_SERVER = ("mid_batch", "before_commit", "after_commit", "after_task", "before_finished")
"""Points at which the server is killed instead."""

MOST = {"taken_over": 1, "before_finished": 1, "after_finished": 1, "after_task": 4, "after_issued": 4, "after_spent": 4}
"""How often a run still comes to a point after the fault, at least; to the others it comes at least twenty times."""


def times(point: str, chance: random.Random) -> int:
    """At which passing of the point the fault comes."""
    return chance.randint(1, MOST.get(point, 20))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_the_orchestrator_ends_at(field: Field, ledger: Callable[[Trial], None], point: str, seed: int) -> None:
    """The one that works is replaced by one that ends at the point; the next one is whole."""
    orchestrator = field["orchestrator"]

    async def make(chance: random.Random) -> None:
        before = len(orchestrator.codes)
        after = times(point, chance)
        field.expected["orchestrator"] += 2
        await field.restart("orchestrator", altered(), {"EXIT_AT": point, "EXIT_AFTER": str(after)})
        await eventually(lambda: EXIT_CODE in orchestrator.codes[before:], 30)

    ledger(await field.trial(f"exit-{point}", seed, make))


@pytest.mark.parametrize("point", AT_THE_SERVER)
@pytest.mark.parametrize("seed", SEEDS)
async def test_the_server_is_killed_at(field: Field, ledger: Callable[[Trial], None], point: str, seed: int) -> None:
    """F5, at the worst moments: in the middle of a batch, between a batch and its answer."""

    async def make(chance: random.Random) -> None:
        victim, after = field.server.pid, times(point, chance)
        field.expected["orchestrator"] += 1
        await field.restart("orchestrator", altered(), {"EXIT_AT": point, "EXIT_AFTER": str(after), "VICTIM": str(victim)})
        await eventually(lambda: not psutil.pid_exists(victim) or psutil.Process(victim).status() == psutil.STATUS_ZOMBIE, 30)
        await field.kill_server(chance.uniform(0, 1))

    try:
        found = await field.trial(f"kill-nats-{point}", seed, make, repeats=3)
    finally:
        field.expected["orchestrator"] += 1  # the shipped one takes its place again
        await field.restart("orchestrator", shipped("orchestrator"), {})
    ledger(found)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_zombie_is_fenced(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """F2: stopped, replaced, let go: what it still held is refused, and it leaves."""
    zombie = field["orchestrator"]

    async def make(chance: random.Random) -> None:
        zombie.signal(signal.SIGSTOP)
        ended = len(zombie.codes)
        second = await field.add("second", like="orchestrator")
        second.start(shipped("orchestrator"))
        await eventually(lambda: b"log.taken_over" in second.log_since_start(), 30)
        await asyncio.sleep(chance.uniform(0, 1))
        field.expected["orchestrator"] += 1
        zombie.stay_away()
        zombie.signal(signal.SIGCONT)
        await eventually(lambda: len(zombie.codes) > ended, 30)

    try:
        found = await field.trial("zombie", seed, make)
    finally:
        await field.remove("second")
        await field.restart("orchestrator", shipped("orchestrator"), {})
    ledger(found)


@pytest.mark.parametrize("seed", SEEDS)
async def test_of_two_orchestrators_one_stays(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """A second one comes while the first is well: the later one goes on, the earlier one ends and stays away."""
    first = field["orchestrator"]

    async def make(chance: random.Random) -> None:
        ended = len(first.codes)
        field.expected["orchestrator"] += 1
        first.stay_away()
        second = await field.add("second", like="orchestrator")
        second.start(shipped("orchestrator"))
        await eventually(lambda: len(first.codes) > ended, 30)

    try:
        found = await field.trial("two-orchestrators", seed, make)
    finally:
        await field.remove("second")
        await field.restart("orchestrator", shipped("orchestrator"), {})
    ledger(found)
