"""A run's life in its user's hands: a pause is a pause, every run can be ended, and it ends as it was to end."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.orchestrator.decisions import Arrival
from services.orchestrator.dedupe import Deduper
from services.orchestrator.run import Run
from shared import roles, streams, subjects
from shared.bus import encode
from shared.messages import Candidate, Spent, candidate_id
from shared.wire import decode
from tests.conftest import eventually
from tests.faults.mains import EXIT_CODE
from tests.integration.test_orchestrator import spec
from tests.integration.trust.attempts import Tried
from tests.integration.trust.stage import HONEST, HOSTILE, Producers, Stage, joined, shout

pytestmark = pytest.mark.asyncio(loop_scope="module")

TASKS = streams.TASKS.name or ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Stage(tmp_path_factory.mktemp("life"), hasty=True) as set_up:
        yield set_up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor(stage: Stage) -> AsyncIterator[Producers]:
    async with joined(Producers(stage.honest, slots=50)) as at_work:
        yield at_work


async def issued(stage: Stage, run: str) -> int:
    return sum(kind == "issued" for kind, _ in await stage.entries(run))


async def barrier(stage: Stage, vendor: Producers, run: str) -> None:
    """Let a run of its own begin and end: whatever another would do meanwhile, it has had the time for it."""
    await stage.begin(run, max_calls=5, producers=1)
    await stage.verdict(run, vendor)


async def test_pausing_while_tasks_are_handed_out_hands_out_no_more(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """50 slots are free: the pause comes while their tasks are on their way."""
    tried("pause means pause", "paused during the first hand-out, ten times", 10)
    for n in range(10):
        run = f"pause{n}"
        await stage.begin(run, producers=50, max_calls=500)
        answer = await stage.change(subjects.PAUSE_RUN, run)
        assert answer["status"] == "paused", answer
        handed_out = await issued(stage, run)
        begun = len([task for task in vendor.tasks if task.run == run])
        assert handed_out < 500
        await barrier(stage, vendor, f"pause{n}-beside")
        state = await stage.state(run)
        assert state is not None
        assert (state.status, state.reason) == ("paused", "paused by the user")
        assert await issued(stage, run) == handed_out
        assert await stage.reader.waiting(TASKS, subjects.tasks_of_run(run)) == []
        assert len([task for task in vendor.tasks if task.run == run]) <= begun + 50
        await stage.change(subjects.STOP_RUN, run)
        end = await stage.ended(run)  # a call that was taken back as it was begun may be counted, though it was not made
        assert {a.text for a in await stage.accepted(run)} == set(vendor.bill(run).said)
        assert end.calls >= vendor.bill(run).calls
        assert await issued(stage, run) == handed_out
    stage.unharmed()


async def test_a_paused_run_is_ended_after_everything_that_goes_by_age_has_gone(
    stage: Stage, vendor: Producers, tried: Tried
) -> None:
    tried("a run can always be ended", "paused, its streams emptied by age, another run after it, a restart", 1)
    run = "aged"
    await stage.begin(run, max_calls=1000)
    await eventually(lambda: vendor.bill(run).calls >= 4)
    await stage.change(subjects.PAUSE_RUN, run)
    await barrier(stage, vendor, "aged-beside")
    async with stage.server.connected(roles.PROVISION) as bus:
        for stream in (streams.TASKS, *streams.REPORTS.values()):
            await bus.client.jetstream().purge_stream(stream.name or "")
    stage.restart()
    await stage.change(subjects.STOP_RUN, run)
    end = await stage.verdict(run, vendor, seconds=15)
    assert end.status == "stopped"


async def test_a_run_ends_though_its_calls_are_never_reported(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """What was begun and is not reported is counted at its worst when it is stopped."""
    tried("a run can always be ended", "stopped while every call is silent", 1)
    run = "silent"
    vendor.vanishes = lambda task: task.run == run
    try:
        await stage.begin(run, max_calls=1000, max_usd=1)
        await eventually(lambda: vendor.bill(run).calls >= 2)
        await stage.change(subjects.STOP_RUN, run)
        end = await stage.ended(run, 20)
    finally:
        vendor.vanishes = lambda _: False
    assert end.status == "stopped"
    assert end.calls >= vendor.bill(run).calls
    assert (end.usd or 0) >= vendor.bill(run).usd
    assert end.tokens >= vendor.bill(run).tokens


async def test_a_failed_run_whose_orchestrator_dies_while_it_ends_still_ends_as_failed(
    stage: Stage, vendor: Producers, tried: Tried
) -> None:
    tried("a run ends as it was to end", "the orchestrator killed before the last entry of a failed run", 1)
    run = "failing"
    vendor.fails = "auth"
    try:
        stage.restart(EXIT_AT="before_finished")
        await stage.begin(run, max_calls=10)
        await stage.exited()
        assert stage.exit_code == EXIT_CODE
        stage.restart()
        end = await stage.ended(run)
    finally:
        vendor.fails = ""
    assert end.status == "failed", end
    assert "no more today" in end.reason


async def test_a_report_that_cannot_be_read_is_paid_at_its_worst(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """Of a model that names itself in 15,000 characters, as its producer passes it on: no call is counted as nothing."""
    tried("a budget holds for ever", "reports that the gate cannot read, of calls that were made", 3)
    run = "unreadable"
    honest = vendor.report

    async def report(task: object, outcome: object, **more: object) -> None:
        if task.run != run:  # type: ignore[attr-defined]  # a task
            await honest(task, outcome, **more)  # type: ignore[arg-type]  # as they came
            return
        data = json.loads(encode(vendor.usage(task, **more))) | {"gen_ai.response.model": "m" * 15_000}  # type: ignore[arg-type]
        await shout(stage.honest, subjects.usage(run, HONEST), json.dumps(data).encode())

    vendor.report = report  # type: ignore[method-assign]  # a producer of an earlier version
    try:
        await stage.begin(run, max_calls=3, producers=1)
        end = await stage.ended(run, 40)
    finally:
        vendor.report = honest  # type: ignore[method-assign]
    assert vendor.bill(run).calls == end.calls == 3
    assert end.tokens >= vendor.bill(run).tokens
    outcomes = [decode(Spent, data).outcome for kind, data in await stage.entries(run) if kind == "spent"]
    assert outcomes == ["lost"] * 3


async def test_what_the_operator_allows_in_a_day_holds_over_runs_and_restarts(
    stage: Stage, vendor: Producers, tried: Tried
) -> None:
    tried("an operator's ceiling holds", "three runs and a restart against a ceiling of a day; a dear run", 4)
    spent = sum(bill.usd for bill in vendor.bills.values())
    ceiling = round(spent + 0.2, 4)  # what a call may cost at worst is a hundredth of a dollar
    vendor.costs = lambda task: (100, task.max_output_tokens)
    stage.restart(MAX_USD_PER_DAY=str(ceiling), MAX_USD_PER_RUN="2")
    try:
        answer = await stage.begin("dear", max_usd=3)
        assert "MAX_USD_PER_RUN" in answer["error"]
        for n in range(3):
            await stage.begin(f"day{n}", max_calls=400)
        await eventually(lambda: sum(vendor.bill(f"day{n}").calls for n in range(3)) > 10, 20)
        stage.restart(MAX_USD_PER_DAY=str(ceiling), MAX_USD_PER_RUN="2")

        async def reached() -> bool:
            states = [await stage.state(f"day{n}") for n in range(3)]
            return all(state is not None and "MAX_USD_PER_DAY" in state.reason for state in states)

        await eventually(reached, 40)
        assert sum(bill.usd for bill in vendor.bills.values()) <= ceiling
        for n in range(3):
            await stage.change(subjects.STOP_RUN, f"day{n}")
            await stage.verdict(f"day{n}", vendor)
    finally:
        vendor.costs = lambda _: (100, 50)
        stage.restart()
    assert sum(bill.usd for bill in vendor.bills.values()) <= ceiling


async def test_runs_that_wait_for_nobody_are_refused_a_place_beyond_the_ceiling(stage: Stage, tried: Tried) -> None:
    """And each of them can be ended, which frees its place."""
    tried("an operator's ceiling holds", "more runs than there are places", 4)
    stage.restart(MAX_RUNS="2")
    try:
        answers = [await stage.begin(f"place{n}", providers=["gemini"]) for n in range(3)]
        assert ["error" in answer for answer in answers] == [False, False, True]
        assert "MAX_RUNS" in answers[2]["error"]
        for n in range(2):
            await stage.change(subjects.STOP_RUN, f"place{n}")
            assert (await stage.ended(f"place{n}")).status == "stopped"
        assert "error" not in await stage.begin("place3", providers=["gemini"])
        await stage.change(subjects.STOP_RUN, "place3")
    finally:
        stage.restart()


async def test_a_text_on_which_deduplication_fails_is_left_out_alone(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: live and on replay the others are decided, and ordinals have no gap."""
    tried("one bad message is passed over, live and on replay", "a text on which deduplication fails, among others", 3)
    offer = Deduper.offer

    def failing(self: Deduper, texts: list[str]) -> object:
        if any("poison" in text for text in texts):
            raise ZeroDivisionError
        return offer(self, texts)

    monkeypatch.setattr(Deduper, "offer", failing)
    run = Run("r1", spec(providers=[HOSTILE]), "")
    texts = ["one", "poison a", "two", "poison b", "three", "poison c", "four"]
    arrivals = [
        Arrival(
            n,
            Candidate(
                id=candidate_id("t", t), run="r1", task="t", ordinal=n, text=t, provider=HOSTILE, model="m", producer="p"
            ),
            "",
        )
        for n, t in enumerate(texts)
    ]
    entries = run.decide(arrivals)
    assert [(e.message.text, e.message.ordinal) for e in entries] == [  # type: ignore[union-attr]  # accepted ones
        ("one", 1), ("two", 2), ("three", 3), ("four", 4)
    ]  # fmt: skip
    assert run.undecidable == 3
    await asyncio.sleep(0)
