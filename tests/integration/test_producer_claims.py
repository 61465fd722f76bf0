"""A call is made once at most: it is claimed before it is made, and reported whatever a vendor says. Real SDKs, a real bus."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from shared import streams, subjects
from shared.bus import Bus
from shared.messages import MAX_ERROR, Begun, claim_id
from tests.conftest import eventually
from tests.integration.vendor_producer import COUNT, MODELS, RUN, a_task, give, producing, reported, texts
from tests.vendors.faults import Fault
from tests.vendors.server import VendorServer, vendors


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with vendors(seed=7) as running:
        yield running


async def claimed(bus: Bus, task: str, producer: str = "another") -> bool:
    claim = Begun(run=RUN, task=task, provider="openai", producer=producer)
    return await bus.claim(subjects.begun(RUN, "openai", task), claim, claim_id(task))


async def no_tasks(bus: Bus) -> bool:
    return await bus.waiting("TASKS", subjects.ALL_TASKS) == []


async def test_a_call_is_claimed_before_it_is_made(bus: Bus, server: VendorServer) -> None:
    async with producing(bus, server.openai) as one:
        await give(bus, a_task("openai"))
        await reported(bus, "openai")
    assert not await claimed(bus, "openai-0")
    holder = await bus.claimant("openai", subjects.begun(RUN, "openai", "openai-0"))
    assert holder is not None
    assert holder.producer == one.id
    async for batch in bus.history(streams.reports("openai"), subjects.reports_of_provider("openai")):
        kinds = [stored.subject.split(".")[0] for stored in batch]
        assert kinds == ["begun", *["attributes"] * COUNT, "usage"]


async def test_a_call_that_another_has_claimed_is_not_made_and_said_to_be_lost(bus: Bus, server: VendorServer) -> None:
    assert await claimed(bus, "openai-0")
    async with producing(bus, server.openai):
        await give(bus, a_task("openai"))
        (usage,) = await reported(bus, "openai")
        await eventually(lambda: no_tasks(bus))
    assert (usage.outcome, usage.error_kind, usage.attempts, usage.input_tokens) == ("failed", "lost", 0, 0)
    assert server.ledger.of("openai") == []


async def test_a_call_that_fails_and_is_asked_for_again_is_claimed_once(bus: Bus, server: VendorServer) -> None:
    server.openai.next(Fault.SERVER_ERROR, 2)
    async with producing(bus, server.openai):
        await give(bus, a_task("openai"))
        (usage,) = await reported(bus, "openai")
    assert (usage.outcome, usage.attempts) == ("ok", 3)


@pytest.mark.parametrize("provider", MODELS)
async def test_a_server_that_names_itself_at_length_is_asked_once_and_counted(
    bus: Bus, server: VendorServer, provider: str
) -> None:
    """A report that no stream takes would have the call made again, and never counted."""
    vendor = next(v for v in server.all if v.wire.provider == provider)
    vendor.calls_itself = "m" * 20_000
    async with producing(bus, vendor):
        await give(bus, a_task(provider))
        (usage,) = await reported(bus, provider)
        await eventually(lambda: no_tasks(bus))
    assert len(server.ledger.of(provider)) == 1
    assert usage.outcome == "ok"
    assert usage.input_tokens > 0
    assert usage.response_model == "m" * 200
    assert len(await texts(bus, provider)) == COUNT


async def test_a_model_that_a_producer_does_not_offer_is_never_asked(bus: Bus, server: VendorServer) -> None:
    """A task names it because somebody announced it in the provider's name; the key is this producer's."""
    async with producing(bus, server.openai):
        await give(bus, a_task("openai", model="o1-pro-very-dear"), a_task("openai", 1))
        refused, made = sorted(await reported(bus, "openai", 2), key=lambda usage: usage.task)
    assert (refused.outcome, refused.error_kind, refused.gives_up) == ("failed", "invalid_request", True)
    assert "does not offer the model o1-pro-very-dear" in refused.error
    assert made.outcome == "ok"
    assert [entry.model for entry in server.ledger.of("openai")] == [MODELS["openai"]]


async def test_words_of_a_vendor_are_cut_and_made_printable(bus: Bus, server: VendorServer) -> None:
    server.openai.next(Fault.NO_MODEL)
    async with producing(bus, server.openai):
        await give(bus, a_task("openai"))
        (usage,) = await reported(bus, "openai")
    assert 0 < len(usage.error.encode()) <= MAX_ERROR
    assert usage.error.isprintable()


async def test_a_report_that_is_too_large_is_cut_and_not_the_end_of_its_call(bus: Bus, server: VendorServer) -> None:
    """As many lines of as many kinds as the parser can tell, and facets in a script of four bytes a character."""
    server.openai.say("\n".join("\U00020000" * 75 + str(number) for number in range(300)))
    async with producing(bus, server.openai):
        await give(bus, a_task("openai", kind="facets", count=300))
        (usage,) = await reported(bus, "openai")
    assert len(msgspec.json.encode(usage)) <= streams.REPORTS["openai"].max_msg_size  # type: ignore[operator]  # it has one
    assert len(server.ledger.of("openai")) == 1
