"""Calls that are begun and not reported, issued and not published, and runs that are paused or ended at the worst moment."""

import asyncio
import random
import sys
from collections.abc import Callable

import pytest

from services.tester.invariants import Broken
from services.tester.trial import Trial, chance_of, run_spec
from services.tester.watch import Watched, ask
from shared import streams, subjects
from shared.bus import decode
from shared.messages import Begun, Task, claim_id
from tests.conftest import eventually
from tests.faults.dying_producer import POINTS
from tests.faults.field import Field, altered
from tests.faults.mains import EXIT_CODE
from tests.faults.seeds import SEEDS
from tests.integration.trust.stage import Producers, joined

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

RESULTS = streams.RESULTS.name or ""
TASKS = streams.TASKS.name or ""

FULL_SECONDS = 2.0
"""How long the stream of reports takes nothing."""

DYING = (sys.executable, "-m", "tests.faults.dying_producer", "--provider", "random")


async def newest_run(field: Field) -> str:
    """The run of this trial: the others have ended."""
    stored = await field.bus.last(RESULTS, subjects.ALL_STARTED)
    assert stored is not None
    return subjects.decision(stored.subject)[1]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_producer_ends_at(field: Field, ledger: Callable[[Trial], None], point: str, seed: int) -> None:
    """Its call was begun, so it is not made again; it counts for what it may have cost."""
    producer = field["producer-1"]

    async def make(chance: random.Random) -> None:
        before = len(producer.codes)
        field.expected["producer-1"] += 2
        await field.restart("producer-1", DYING, {"EXIT_AT": point, "EXIT_AFTER": str(chance.randint(1, 2))})
        await eventually(lambda: EXIT_CODE in producer.codes[before:], 30)

    ledger(await field.trial(f"producer-{point}", seed, make, repeats=2))  # one is killed to be replaced


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_call_is_claimed_by_who_then_is_silent(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """Neither acknowledged nor reported: the next to be given the task says that it was lost."""

    async def make(_: random.Random) -> None:
        queue = field.bus.queue("random")
        delivery = await eventually(queue.take, 20)
        task = decode(Task, delivery.data)
        claim = Begun(run=task.run, task=task.id, provider="random", producer="silent")
        assert await field.bus.claim(subjects.begun(task.run, "random", task.id), claim, claim_id(task.id))

    ledger(await field.trial("claimed-and-silent", seed, make, repeats=1))


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_stream_of_reports_is_full(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """Producers wait with what they have until there is room."""
    js = field.bus.client.jetstream()
    name = streams.reports("random")

    async def make(_: random.Random) -> None:
        info = await js.stream_info(name)
        try:
            await js.update_stream(info.config.evolve(max_msgs=max(1, info.state.messages)))
            await asyncio.sleep(FULL_SECONDS)
        finally:
            await js.update_stream(info.config)

    ledger(await field.trial("reports-full", seed, make))


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_is_paused_while_tasks_are_handed_out(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """Nothing is issued until it is resumed."""
    issued: list[int] = []

    async def made(run: str) -> int:
        return sum([len(b) async for b in field.bus.history(RESULTS, [f"attributes.issued.{run}.*"])])

    async def make(chance: random.Random) -> None:
        run = await newest_run(field)
        await asyncio.sleep(chance.uniform(0, 0.6))
        await ask(field.url, f"/api/runs/{run}/pause", {})
        issued.append(await made(run))
        assert await field.bus.waiting(TASKS, subjects.tasks_of_run(run)) == [] or await _all_begun(field, run)
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        issued.append(await made(run))
        await ask(field.url, f"/api/runs/{run}/resume", {})

    found = await field.trial("paused-in-hand-out", seed, make)
    if issued[:1] != issued[1:]:
        found.broken.append(Broken("I5", f"{issued[1] - issued[0]} calls were issued while the run was paused"))
    ledger(found)


async def _all_begun(field: Field, run: str) -> bool:
    """Whether every task that still is in the queue is a call under way."""
    waiting = [decode(Task, stored.data) for stored in await field.bus.waiting(TASKS, subjects.tasks_of_run(run))]
    return all([await field.bus.claimant("random", subjects.begun(run, "random", task.id)) for task in waiting])


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_orchestrator_dies_while_a_failed_run_ends(field: Field, ledger: Callable[[Trial], None], seed: int) -> None:
    """The next one ends it as it was to end."""
    chance = chance_of("ending-failed", seed)
    found = Trial("ending-failed", seed)
    orchestrator = field["orchestrator"]
    before = len(orchestrator.codes)
    async with joined(Producers(field.bus, slots=chance.randint(1, 3))) as producers:
        producers.fails = "auth"
        field.expected["orchestrator"] += 2
        await field.restart("orchestrator", altered(), {"EXIT_AT": "before_finished"})
        spec = run_spec("ending-failed", seed, providers=["openai"])
        watched = await Watched.begin(field.url, field.bus, field.output, **spec)
        await eventually(lambda: EXIT_CODE in orchestrator.codes[before:], 30)
        evidence = await watched.verdict(30, field.producer_logs())
    if evidence.finished is None or evidence.finished.status != "failed" or "no more today" not in evidence.finished.reason:
        found.broken.append(Broken("I3", f"a failed run ended as {evidence.finished}"))
    ledger(found)
