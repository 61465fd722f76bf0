"""Budgets that hold for ever: whatever happens, no vendor is asked for more than a run may have."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from shared import roles, streams, subjects
from shared.bus import Bus, encode
from shared.messages import Task, Usage
from tests.conftest import eventually
from tests.integration.trust.attempts import Tried
from tests.integration.trust.stage import HONEST, HOSTILE, Producers, Stage, joined, shout

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SEEDS = range(20)

CALLS, TOKENS, USD = 5, 20_000, 0.02

LIMITS: dict[str, dict[str, Any]] = {
    "max_calls": {"max_calls": CALLS},
    "max_tokens": {"max_tokens": TOKENS},
    "max_usd": {"max_usd": USD},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Room for the runs of all seeds at once; a silent producer's task is handed out again within a second."""
    async with Stage(tmp_path_factory.mktemp("budgets"), hasty=True, MAX_RUNS="200") as set_up:
        yield set_up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor(stage: Stage) -> AsyncIterator[Producers]:
    """Ten that can each make a call, at a price of chance within what was set aside for it."""
    async with joined(Producers(stage.honest, slots=40)) as at_work:
        at_work.costs = cost
        yield at_work


def chance(task: Task, what: str) -> random.Random:
    return random.Random(f"{task.id} {what}")  # noqa: S311  # must repeat, need not be secret


def cost(task: Task) -> tuple[int, int]:
    """Sometimes all that was set aside, mostly less."""
    most = task.reserved_tokens - task.max_output_tokens
    draw = chance(task, "cost")
    if draw.random() < 0.3:
        return most, task.max_output_tokens
    return draw.randint(1, most), draw.randint(1, task.max_output_tokens)


def names(about: str) -> list[str]:
    return [f"{about}-{limit}-{seed}" for limit in LIMITS for seed in SEEDS]


async def begin(stage: Stage, about: str) -> list[str]:
    """One run for each limit and seed."""
    wishes = [(f"{about}-{limit}-{seed}", fields) for limit, fields in LIMITS.items() for seed in SEEDS]
    for name, fields in wishes:
        answer = await stage.begin(name, **fields, max_wait=1000, seed=int(name.rsplit("-", 1)[1]))
        assert "error" not in answer, answer
    return [name for name, _ in wishes]


async def hold(stage: Stage, vendor: Producers, runs: list[str], *, all_ended: bool = True) -> None:
    """Wait for the ends of the runs, and hold what the vendor wants to be paid against their limits."""
    if all_ended:
        for run in runs:
            await stage.ended(run, 90)
    assert stage.alive
    over = []
    for run in runs:
        bill = vendor.bill(run)
        passed = {"max_calls": bill.calls > CALLS, "max_tokens": bill.tokens > TOKENS, "max_usd": bill.usd > USD + 1e-9}
        if passed[run.split("-")[1]]:
            over.append((run, bill.calls, bill.tokens, bill.usd))
    assert over == []
    assert sum(vendor.bill(run).calls for run in runs) > len(runs)


async def test_a_pause_longer_than_every_retention(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """What goes by age is taken away, and the server forgets which ids it has seen."""
    tried("a budget holds for ever", "paused for longer than any retention", len(names("")))
    runs = await begin(stage, "pause")
    await eventually(lambda: sum(vendor.bill(run).calls for run in runs) > 2 * len(runs), 60)
    for run in runs:
        await stage.change(subjects.PAUSE_RUN, run)
    await forget(stage)
    before = {run: vendor.bill(run).calls for run in runs}
    stage.restart()
    await stage.begin("pause-barrier", max_calls=1)
    await stage.ended("pause-barrier")
    assert {run: vendor.bill(run).calls for run in runs} == before
    for run in runs:
        await stage.change(subjects.RESUME_RUN, run)
    await hold(stage, vendor, runs)


async def forget(stage: Stage) -> None:
    """As after weeks: the queue and the streams of reports are empty, no id is known any more."""
    async with stage.server.connected(roles.PROVISION) as bus:
        for stream in (streams.TASKS, *streams.REPORTS.values()):
            await _purge(bus, stream.name or "")


async def _purge(bus: Bus, stream: str) -> None:
    """With every id that is known in the window, which is made as short as a server takes it."""
    config = (await bus.client.jetstream().stream_info(stream)).config
    await bus.client.jetstream().update_stream(config.evolve(duplicate_window=0.1))
    await bus.client.jetstream().purge_stream(stream)
    await asyncio.sleep(0.3)
    await bus.client.jetstream().update_stream(config)


async def test_all_producers_absent_for_longer_than_a_task_lives(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """They announce themselves and take nothing, until their tasks are written off, twice over; then they take all there is."""
    tried("a budget holds for ever", "producers that take nothing until every task is written off", len(names("")))
    vendor.takes = False
    await asyncio.sleep(1.5)  # longer than a pull waits: one that was made before must not take a task
    runs = await begin(stage, "absent")

    async def written_off() -> bool:
        kinds = [kind for run in (runs[0], runs[-1]) for kind, data in await stage.entries(run) if kind == "spent"]
        return len(kinds) >= 4

    try:
        await eventually(written_off, 60)
    finally:
        vendor.takes = True
    await hold(stage, vendor, runs)


async def test_producers_die_after_the_vendor_has_answered(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """The vendor is to be paid, nobody reports it, and the queue hands the task to the next."""
    tried("a budget holds for ever", "killed between the vendor's answer and the report", len(names("")))
    vendor.vanishes = lambda task: chance(task, "death").random() < 0.3
    try:
        runs = await begin(stage, "killed")
        await hold(stage, vendor, runs)
    finally:
        vendor.vanishes = lambda _: False


async def test_reports_are_forged_all_the_while(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """For every id that the runs have and will have: done for nothing, given back, lost, given up."""
    tried("a budget holds for ever", "every call reported as done for nothing, lost, or given back, by another", len(names("")))
    runs = await begin(stage, "forged")
    ways: list[dict[str, Any]] = [
        {"outcome": "ok"},
        {"outcome": "cancelled", "error_kind": "rate_limit"},
        {"outcome": "failed", "error_kind": "lost"},
        {"outcome": "failed", "gives_up": True},
    ]
    for n in range(12):
        for run in runs:
            said = Usage(run=run, task=f"{run}-{n}", provider=HOSTILE, model="m", producer="p", **ways[n % 4])
            await shout(stage.hostile, subjects.usage(run, HOSTILE), encode(said))
            other = msgspec.structs.replace(said, provider=HONEST)
            await shout(stage.hostile, subjects.usage(run, HOSTILE), encode(other))
            await shout(stage.hostile, subjects.usage(run, HONEST), encode(other))
        await stage.hostile.client.flush()
    await hold(stage, vendor, runs)


async def test_the_orchestrator_dies_and_runs_are_paused_at_random(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """With producers that die as well: everything at once."""
    tried("a budget holds for ever", "orchestrator killed again and again, pauses, dead producers", len(names("")))
    draw = random.Random(1)  # noqa: S311  # must repeat, need not be secret
    vendor.vanishes = lambda task: chance(task, "death").random() < 0.15
    try:
        runs = await begin(stage, "deaths")
        for _ in range(5):
            for run in draw.sample(runs, 6):
                await stage.change(subjects.PAUSE_RUN, run)
            await asyncio.sleep(draw.uniform(0.1, 0.6))
            stage.restart()
        for run in runs:
            await stage.change(subjects.RESUME_RUN, run)
        await hold(stage, vendor, runs)
    finally:
        vendor.vanishes = lambda _: False
