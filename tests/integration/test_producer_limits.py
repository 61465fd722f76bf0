"""Rate limits, pauses, concurrency and what a model does not take: producers of one key act together."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from services.producer.limits import Limits
from shared import subjects
from shared.bus import Bus
from shared.messages import Pause, Presence, RunControl
from tests.conftest import eventually
from tests.integration.vendor_producer import COUNT, MODELS, a_task, give, producing, reported, texts, usages
from tests.vendors import wire
from tests.vendors.faults import Fault
from tests.vendors.server import VendorServer, vendors


class Hasty(random.Random):
    """Draws short waits."""

    def random(self) -> float:
        return 0.05


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with vendors(seed=7) as running:
        yield running


@pytest.fixture
async def presences(bus: Bus) -> list[Presence]:
    """Every announcement, in order."""
    heard: list[Presence] = []

    async def on_presence(presence: Presence) -> None:
        heard.append(presence)

    await bus.listen(subjects.ALL_PRESENCE, Presence, on_presence)
    return heard


def last(heard: list[Presence], producer: str) -> Presence:
    return next((p for p in reversed(heard) if p.producer == producer), Presence(producer=producer, provider="none"))


def paused(heard: list[Presence], producer: str) -> Callable[[], bool]:
    return lambda: last(heard, producer).state == "paused"


async def test_a_rate_limit_pauses_every_producer_of_the_key_and_no_other(
    bus: Bus, server: VendorServer, presences: list[Presence]
) -> None:
    pauses: list[Pause] = []

    async def on_pause(pause: Pause) -> None:
        pauses.append(pause)

    await bus.listen(subjects.pause("openai"), Pause, on_pause)
    server.openai.next(Fault.RATE_LIMITED_SECONDS, seconds=3)
    async with producing(bus, server.openai) as one:
        await give(bus, a_task("openai"))
        async with producing(bus, server.openai, name="two") as two:
            await eventually(lambda: pauses)
            await eventually(lambda: one.key.limits.paused and two.key.limits.paused)
            async with producing(bus, server.openai, name="other", key="sk-another") as other:
                await give(bus, a_task("openai", 1))
                (usage,) = await reported(bus, "openai")  # by the one whose key has no pause, while the others wait
                assert (usage.producer, usage.task) == (other.id, "openai-1")
                assert not other.key.limits.paused
                await eventually(lambda: all(paused(presences, p.id)() for p in (one, two)))
                assert {last(presences, p.id).slots for p in (one, two)} == {0}
                assert 0 < last(presences, two.id).paused_seconds <= 3
                assert await reported(bus, "openai", 2)
                await eventually(lambda: {last(presences, p.id).slots for p in (one, two)} == {2, 4}, 3)
    first, between, second = server.ledger.of("openai")
    assert second.started - first.started >= 3
    assert between.key == "sk-another"
    (pause,) = pauses
    assert (pause.producer, pause.key, pause.seconds) == (one.id, one.key.mark, 3)
    assert one.key.mark == two.key.mark != other.key.mark
    assert len(one.key.mark) == 32


async def test_a_call_whose_deadline_is_before_the_end_of_a_pause_is_said_to_be_not_made_and_the_next_is_made_later(
    bus: Bus, server: VendorServer
) -> None:
    """The orchestrator takes such a call as returned: nothing is charged, and it asks once more."""
    server.anthropic.next(Fault.RATE_LIMITED_SECONDS, seconds=2)
    async with producing(bus, server.anthropic):
        await give(bus, a_task("anthropic", deadline_seconds=1.5))
        (usage,) = await reported(bus, "anthropic")
        assert (usage.outcome, usage.error_kind, usage.input_tokens) == ("cancelled", "rate_limit", 0)
        await give(bus, a_task("anthropic", 1, deadline_seconds=5))
        _, usage = await reported(bus, "anthropic", 2)
    refused, answered = server.ledger.of("anthropic")
    assert answered.started - refused.started >= 2
    assert (usage.outcome, usage.attempts, usage.candidates) == ("ok", 1, COUNT)


async def test_a_task_that_would_be_done_far_too_late_is_reported_as_not_done(bus: Bus, server: VendorServer) -> None:
    """Its provider does not fail by that, and the money set aside for it is free again."""
    server.gemini.next(Fault.RATE_LIMITED_SECONDS, seconds=200)
    async with producing(bus, server.gemini) as one:
        await give(bus, a_task("gemini", deadline_seconds=100))
        (usage,) = await reported(bus, "gemini", seconds=5)
        assert one.key.limits.paused > 190
    assert (usage.outcome, usage.error_kind, usage.attempts, usage.gives_up) == ("cancelled", "rate_limit", 1, False)
    assert (usage.input_tokens, usage.estimated) == (0, False)


async def test_a_limit_that_the_headers_say_is_used_up_is_waited_for(bus: Bus, server: VendorServer) -> None:
    server.openai.limits = wire.Limits(requests_left=0, requests_reset=0.8)
    async with producing(bus, server.openai, slots=1):
        await give(bus, a_task("openai"), a_task("openai", 1))
        await reported(bus, "openai", 2)
    first, second = server.ledger.of("openai")
    assert second.started - first.started >= 0.8


async def test_producers_of_a_key_divide_its_limit(bus: Bus, server: VendorServer) -> None:
    minute = 4.0
    limits = [Limits(6, minute=minute) for _ in range(2)]
    async with (
        producing(bus, server.gemini, limits=limits[0]),
        producing(bus, server.gemini, name="two", limits=limits[1]),
    ):
        await eventually(lambda: [part.sharers for part in limits] == [2, 2])
        await give(bus, *(a_task("gemini", number, count=1) for number in range(12)))
        done = await reported(bus, "gemini", 12)
    # A producer counts when it sends and the ledger when it hears: requests held up on a busy machine come closer together.
    assert server.ledger.most_within(minute * 0.8, "gemini") <= 6
    assert {usage.producer for usage in done} == {"gemini-one", "gemini-two"}
    assert {usage.attempts for usage in done} == {1}


async def test_a_producer_works_on_as_many_tasks_at_once_as_it_has_slots(
    bus: Bus, server: VendorServer, presences: list[Presence]
) -> None:
    server.openai.delay = 0.1
    async with producing(bus, server.openai, slots=3) as one:
        await give(bus, *(a_task("openai", number) for number in range(9)))
        await eventually(lambda: last(presences, one.id).busy == 3)
        assert (last(presences, one.id).state, last(presences, one.id).run) == ("working", "run-1")
        await reported(bus, "openai", 9)
        await eventually(lambda: last(presences, one.id).state == "idle")
    assert server.ledger.most_at_once("openai") == 3
    assert len(await texts(bus, "openai")) == 9 * COUNT


async def test_a_vendor_that_takes_fewer_at_once_is_asked_for_fewer_and_nothing_is_lost(bus: Bus, server: VendorServer) -> None:
    server.openai.delay = 0.02
    server.openai.most_at_once = 2
    async with producing(bus, server.openai, slots=8) as one:
        await give(bus, *(a_task("openai", number) for number in range(24)))
        done = await reported(bus, "openai", 24)
        assert one.slots.now < 8
    assert [usage.outcome for usage in done] == ["ok"] * 24
    assert len(await texts(bus, "openai")) == 24 * COUNT
    refused = [entry for entry in server.ledger.of("openai") if entry.status == 429]
    assert 1 <= len(refused) < 24


async def test_a_server_that_never_refuses_but_slows_down_is_asked_for_fewer_at_once(bus: Bus, server: VendorServer) -> None:
    server.openai.delay = 0.03
    async with producing(bus, server.openai, slots=6) as one:
        await give(bus, *(a_task("openai", number) for number in range(12)))
        await reported(bus, "openai", 12)
        assert one.slots.now == 6
        server.openai.gate = asyncio.Semaphore(1)
        await give(bus, *(a_task("openai", number) for number in range(12, 26)))
        await eventually(lambda: one.slots.now <= 3, 20)
        await reported(bus, "openai", 26)


async def test_each_task_names_its_model_and_the_first_is_the_default(
    bus: Bus, server: VendorServer, presences: list[Presence]
) -> None:
    async with producing(bus, server.openai, models=("gpt-4o", "gpt-4.1-mini")) as one:
        await give(bus, a_task("openai"), a_task("openai", 1, model="gpt-4.1-mini"))
        done = await reported(bus, "openai", 2)
        assert last(presences, one.id).models == ["gpt-4o", "gpt-4.1-mini"]
    assert {entry.model for entry in server.ledger.of("openai")} == {"gpt-4o", "gpt-4.1-mini"}
    assert {(usage.task, usage.model, usage.response_model) for usage in done} == {
        ("openai-0", "gpt-4o", "gpt-4o"),
        ("openai-1", "gpt-4.1-mini", "gpt-4.1-mini"),
    }


REFUSED = {
    "openai": {"response_format", "seed", "max_tokens", "stream_options"},
    "anthropic": {"output_config", "temperature"},
    "gemini": {"responseJsonSchema", "thinkingConfig", "seed"},
}


@pytest.mark.parametrize("provider", REFUSED)
async def test_what_a_model_does_not_take_is_left_out_from_then_on(bus: Bus, server: VendorServer, provider: str) -> None:
    vendor = next(v for v in server.all if v.wire.provider == provider)
    vendor.refuses = REFUSED[provider]
    async with producing(bus, vendor):
        await give(bus, a_task(provider, temperature=0.5))
        (first,) = await reported(bus, provider)
        await give(bus, a_task(provider, 1, temperature=0.5))
        second = (await reported(bus, provider, 2))[1]
    assert (first.outcome, second.outcome) == ("ok", "ok")
    assert first.attempts == len(REFUSED[provider]) + 1
    assert second.attempts == 1
    assert len(await texts(bus, provider)) == 2 * COUNT


async def test_a_reasoning_model_is_asked_as_it_wants_to_be(bus: Bus, server: VendorServer) -> None:
    async with producing(bus, server.openai, models=("gpt-5-mini",)):
        await give(bus, a_task("openai", temperature=0.5, max_output_tokens=2000))
        (usage,) = await reported(bus, "openai")
    assert usage.outcome == "ok"
    body = server.ledger.of("openai")[-1].body
    assert body["max_completion_tokens"] == 2000
    assert not {"max_tokens", "temperature"} & set(body)


@pytest.mark.parametrize("provider", MODELS)
async def test_the_limit_of_output_tokens_is_kept_and_told(bus: Bus, server: VendorServer, provider: str) -> None:
    vendor = next(v for v in server.all if v.wire.provider == provider)
    vendor.reasoning_tokens, vendor.cached_tokens = 30, 10
    async with producing(bus, vendor):
        await give(bus, a_task(provider, max_output_tokens=20))
        (usage,) = await reported(bus, provider)
    assert usage.outcome == "ok"
    assert "limit of tokens" in usage.error
    assert 0 < usage.candidates < COUNT
    assert (usage.reasoning_tokens, usage.cached_tokens) == (30, 10)
    assert not usage.estimated


async def test_a_stopped_run_ends_its_calls_and_their_tokens_are_an_upper_bound(bus: Bus, server: VendorServer) -> None:
    server.anthropic.next(Fault.HANG_BETWEEN_CHUNKS, 2)
    async with producing(bus, server.anthropic):
        await give(bus, a_task("anthropic"), a_task("anthropic", 1))
        await eventually(lambda: server.ledger.most_at_once("anthropic") == 2)
        await eventually(lambda: texts(bus, "anthropic"))
        await bus.tell(subjects.run_control("run-1"), RunControl(run="run-1", action="stopping"))
        done = await reported(bus, "anthropic", 2)
    await eventually(lambda: all(entry.outcome == "left" for entry in server.ledger.of("anthropic")))
    assert {(usage.outcome, usage.estimated) for usage in done} == {("cancelled", True)}
    billed = server.ledger.billed("anthropic")
    assert sum(u.input_tokens for u in done) >= billed.input
    assert sum(u.output_tokens for u in done) >= billed.output
    assert sum(u.candidates for u in done) == len(await texts(bus, "anthropic"))


async def test_a_retry_that_the_budget_has_no_room_for_is_left_to_the_orchestrator(bus: Bus, server: VendorServer) -> None:
    server.openai.next(Fault.HTML)
    server.openai.next(Fault.ENDS_EARLY)
    async with producing(bus, server.openai):
        await give(bus, a_task("openai", max_output_tokens=1000, reserved_tokens=3000))
        (usage,) = await reported(bus, "openai")
        assert (usage.outcome, usage.attempts) == ("failed", 1)
        assert usage.input_tokens + usage.output_tokens <= 3000
        assert not [u for u in await usages(bus, "openai") if u.candidates]


async def test_a_vendor_that_is_not_there_is_tried_again_and_costs_nothing(bus: Bus, server: VendorServer) -> None:
    server.openai.url = "http://127.0.0.1:9/v1"
    async with producing(bus, server.openai) as one:
        one.rng = Hasty()
        await give(bus, a_task("openai"))
        (usage,) = await reported(bus, "openai")
    assert (usage.outcome, usage.error_kind, usage.attempts, usage.gives_up) == ("failed", "connection", 5, False)
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (0, 0, False)
