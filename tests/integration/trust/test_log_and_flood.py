"""What reaches the log of decisions from outside, and who fills a stream: each costs nobody but himself."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.orchestrator.decision_log import DecisionLog, Unwritten
from services.orchestrator.dedupe import key
from shared import roles, streams, subjects
from shared.bus import Entry, encode
from shared.messages import Candidate, Settled, candidate_id
from tests.conftest import eventually
from tests.integration.trust.attempts import Tried
from tests.integration.trust.stage import HOSTILE, RESULTS, Producers, Stage, joined, shout

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def aim(stage: Stage, subject: str) -> None:
    """Have the server put its answer to publishes and requests of ours on a subject of the log: none of them arrives there."""
    candidate = Candidate(id="aim", run="x", task="x", ordinal=0, text="x", provider=HOSTILE, model="m", producer="p")
    for asked, data in (
        (subjects.candidate("x", HOSTILE), encode(candidate)),
        (f"$JS.API.CONSUMER.MSG.NEXT.TASKS.producer-{HOSTILE}", b'{"no_wait":true}'),
        ("$JS.API.STREAM.INFO.RESULTS", b""),
    ):
        await shout(stage.hostile, asked, data, reply=subject)
    for _ in range(2):
        await stage.hostile.client.flush()
        await stage.reader.client.flush()
    assert await stage.reader.last(RESULTS, subject) is None


async def spoil(stage: Stage, subject: str) -> None:
    """Put what is no entry into the log all the same, as the server would where producers have no account of their own."""
    await shout(stage.reader, subject, b'{"stream":"REPORTS_random","seq":112}')
    await stage.reader.client.flush()
    assert await eventually(lambda: stage.reader.last(RESULTS, subject))


AIMS = {
    "a start": "attributes.started.made-up",
    "an attribute": "attributes.accepted.{run}.0123456789abcdef0123456789abcdef",
    "a repeat": "attributes.duplicate.{run}.made-up",
    "a settled pair": "attributes.settled.{run}.1",
    "a call that was issued": "attributes.issued.{run}.made-up",
    "a call that is over": "attributes.spent.{run}.made-up",
    "the next call to be issued": "attributes.issued.{run}.{run}-11",
    "the end of the next call": "attributes.spent.{run}.{run}-11",
    "an epoch": "attributes.epoch.77",
    "an epoch that is no number": "attributes.epoch.made-up",
    "the end of another run": "attributes.finished.made-up",
}


@pytest.mark.parametrize("what", AIMS)
async def test_an_answer_of_the_server_in_the_log_is_passed_over(
    stage: Stage, vendor: Producers, tried: Tried, what: str
) -> None:
    run = f"aim{list(AIMS).index(what)}"
    subject = AIMS[what].format(run=run)
    tried("what stands in the log and is no entry costs nothing", f"an answer aimed at {what}", 4)
    await stage.begin(run, max_calls=12)
    await eventually(lambda: vendor.bill(run).calls >= 2)
    await aim(stage, subject)
    await spoil(stage, subject)
    await stage.verdict(run, vendor)


async def test_answers_without_end_in_the_log_stall_nobody(stage: Stage, vendor: Producers, tried: Tried) -> None:
    tried("what stands in the log and is no entry costs nothing", "a hundred answers beside a run", 100)
    await stage.begin("many", max_calls=20)
    for n in range(100):
        await shout(stage.reader, f"attributes.accepted.elsewhere.made-up-{n}", b"{}")
    await stage.verdict("many", vendor)


async def test_the_place_of_an_attribute_to_come_is_taken(stage: Stage, vendor: Producers, tried: Tried) -> None:
    """That one attribute is lost; the others, bill and end are as they would be, also for the next orchestrator."""
    run = "squatted"
    tried("what stands in the log and is no entry costs nothing", "the keys of attributes to come", 3)
    await stage.begin(run, max_calls=12)
    taken = {f"place a{n}b0" for n in (6, 8, 10)}
    for text in taken:
        await spoil(stage, subjects.accepted(run, key(text)))
    await eventually(lambda: vendor.bill(run).calls >= 9)
    stage.restart()
    end = await stage.ended(run)
    accepted = await stage.accepted(run)
    stage.unharmed()
    assert {a.text for a in accepted} >= set(vendor.bill(run).said) - taken
    assert (end.calls, end.tokens) == (vendor.bill(run).calls, vendor.bill(run).tokens) == (12, 1800)


@pytest.mark.parametrize("kind", ["issued", "spent"])
async def test_a_budget_holds_where_the_places_of_its_account_are_taken(tmp_path: Path, tried: Tried, kind: str) -> None:
    """The account is the log's; whoever keeps entries of it from being written gets no call more, over a restart as well."""
    run = f"account-{kind}"
    tried("a budget holds for ever", f"the places of {kind} calls to come, taken, and a restart", 5)
    async with Stage(tmp_path) as stage, joined(Producers(stage.honest)) as vendor:
        for n in range(3, 8):
            await spoil(stage, f"attributes.{kind}.{run}.{run}-{n}")
        await stage.begin(run, max_calls=10)
        await eventually(lambda: vendor.bill(run).calls >= 5, 30)
        stage.restart()
        await stage.ended(run)
        stage.unharmed()
        assert vendor.bill(run).calls <= 10


@pytest.mark.parametrize("way", ["max_calls", "stopped"])
async def test_a_run_whose_end_has_its_place_taken_ends(stage: Stage, vendor: Producers, tried: Tried, way: str) -> None:
    """And does not begin again with the next orchestrator: no call is made for it, and its state stays what it was."""
    run = f"endless-{way}"
    tried("a run can always be ended", f"an answer aimed at its end, then a restart: {way}", 1)
    await stage.begin(run, max_calls=6 if way == "max_calls" else 100_000)
    await spoil(stage, subjects.finished(run))
    await eventually(lambda: vendor.bill(run).calls >= 3)
    if way == "stopped":
        await stage.change(subjects.STOP_RUN, run)

    async def over() -> bool:
        state = await stage.state(run)
        return state is not None and state.status == ("finished" if way == "max_calls" else "stopped")

    await eventually(over, 30)
    before = vendor.bill(run).calls
    stage.restart()
    await stage.begin(f"{run}-after", max_calls=20)
    await stage.verdict(f"{run}-after", vendor)
    assert await over()
    assert vendor.bill(run).calls == before


async def test_an_entry_that_is_too_large_fails_alone(stage: Stage, tried: Tried) -> None:
    """The writer goes on: what comes with it and after it is stored."""
    tried("an entry that the log cannot take fails alone", "one of 70 KB among others", 1)
    settled = [
        Settled(run="z", ordinal=n, text="a", of=1, of_text="b", same=True, task="t", provider="random", model="m")
        for n in (1, 2, 3)
    ]
    large = dataclasses.replace(Entry(subjects.settled("z", 9), settled[0]), message=_large(settled[0]))
    entries = [Entry(subjects.settled("z", s.ordinal), s) for s in settled]
    stage.kill()
    try:
        log = await DecisionLog.take_over(stage.reader, "test")
        with pytest.raises(Unwritten):
            async with asyncio.timeout(5):
                await log.append([entries[0], large, entries[1]])
        async with asyncio.timeout(5):
            await log.append([entries[2]])
        for entry in entries:
            assert await stage.reader.last(RESULTS, entry.subject)
    finally:
        stage.start()


def _large(settled: Settled) -> Settled:
    return Settled(run="z", ordinal=9, text="x" * 70_000, of=1, of_text="b", same=True, task="t", provider="random", model="m")


@pytest_asyncio.fixture(loop_scope="module")
async def small(stage: Stage) -> AsyncIterator[None]:
    """The stream of the hostile provider takes a megabyte, so that it can be filled within a test."""
    async with stage.server.connected(roles.PROVISION) as bus:
        await bus.client.jetstream().update_stream(streams.REPORTS[HOSTILE].evolve(max_bytes=1024 * 1024))
        yield
        await bus.client.jetstream().update_stream(streams.REPORTS[HOSTILE])


async def test_who_fills_his_stream_fills_it_alone(stage: Stage, vendor: Producers, tried: Tried, small: None) -> None:
    """As fast as one connection sends, for seconds: the other provider's run goes on and ends as it would."""
    tried("nobody floods another", "a stream filled over and over with what looks true", 4000)
    await stage.begin("filled", max_calls=25)
    junk = encode(
        Candidate(
            id="x", run="filled", task="filled-3", ordinal=0, text="x" * 200, provider=HOSTILE, model="m" * 200, producer="p"
        )
    )

    async def flood() -> None:
        for n in range(4000):
            await shout(stage.hostile, subjects.candidate("filled", HOSTILE), junk, f"flood-{n}")
            if n % 100 == 0:
                await asyncio.sleep(0.02)

    await asyncio.gather(flood(), stage.verdict("filled", vendor))
    await stage.begin("filled-after", max_calls=4)
    await stage.verdict("filled-after", vendor)


async def test_a_stream_that_is_full_takes_reports_again_once_they_are_worked_off(
    stage: Stage, vendor: Producers, tried: Tried, small: None
) -> None:
    tried("nobody floods another", "room in a stream that was full", 1)

    async def takes() -> bool:
        text = "room"
        candidate = Candidate(
            id=candidate_id("room-1", text),
            run="room",
            task="room-1",
            ordinal=0,
            text=text,
            provider=HOSTILE,
            model="m",
            producer="p",
        )
        answer = await stage.hostile.client.request(subjects.candidate("room", HOSTILE), encode(candidate), timeout=5)
        return b"error" not in answer.data

    await eventually(takes, 20)
