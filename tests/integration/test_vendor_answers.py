"""What the three vendors' models are asked besides attributes, through the real SDKs."""

from collections.abc import AsyncIterator

import pytest

from shared.bus import Bus
from shared.messages import Judgement, Pair
from tests.integration.vendor_producer import MODELS, a_task, give, producing, reported, texts
from tests.vendors.server import VendorServer, vendors

PAIRS = [
    Pair(ordinal=7, text="The Louvre", of=2, of_text="Louvre Museum"),
    Pair(ordinal=9, text="Paris Metro", of=4, of_text="Gare du Nord"),
]


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with vendors(seed=7) as running:
        yield running


@pytest.mark.parametrize("provider", MODELS)
async def test_pairs_are_judged_and_nothing_becomes_a_candidate(bus: Bus, server: VendorServer, provider: str) -> None:
    vendor = next(v for v in server.all if v.wire.provider == provider)
    vendor.say('{"attributes": ["1 sa', 'me", "2 diff', 'erent"]}')
    async with producing(bus, vendor):
        await give(bus, a_task(provider, kind="adjudicate", pairs=PAIRS))
        (usage,) = await reported(bus, provider)
    assert '"The Louvre", "Louvre Museum"' in server.ledger.of(provider)[0].prompt
    assert (usage.outcome, usage.candidates, usage.error, usage.estimated) == ("ok", 0, "", False)
    assert usage.judgements == [Judgement(ordinal=7, same=True), Judgement(ordinal=9, same=False)]
    assert not await texts(bus, provider)


async def test_an_answer_without_a_verdict_is_a_failed_call(bus: Bus, server: VendorServer) -> None:
    server.openai.say("I cannot tell.\n")
    async with producing(bus, server.openai):
        await give(bus, a_task("openai", kind="adjudicate", pairs=PAIRS))
        (usage,) = await reported(bus, "openai")
    assert (usage.outcome, usage.error_kind, usage.judgements) == ("failed", "malformed", [])
