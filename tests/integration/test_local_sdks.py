"""The SDKs of OpenAI and Anthropic against a real model: the one that is bundled, whose server speaks both protocols."""

import pytest

from shared.bus import Bus
from tests.integration.test_local_model import MODEL, local_model
from tests.integration.vendor_producer import a_task, at, give, reported, texts


@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1"), ("anthropic", "")])
async def test_a_real_model_is_asked_through_each_sdk(bus: Bus, nats_url: str, provider: str, path: str) -> None:
    """How good its list is, is not the point: it is far too small to follow instructions."""
    async with local_model(nats_url) as (_, address), at(bus, provider, f"{address}{path}", models=(MODEL,)):
        task = a_task(provider, topic="Paris attractions", count=5, max_output_tokens=60, temperature=0.2, deadline_seconds=60)
        await give(bus, task)
        (usage,) = await reported(bus, provider, seconds=80)
        found = await texts(bus, provider)
    assert (usage.model, usage.attempts, usage.gives_up) == (MODEL, 1, False)
    assert usage.error_kind in ("", "malformed"), usage
    assert usage.first_seconds > 0
    assert usage.input_tokens > 50
    assert 0 < usage.output_tokens <= 60
    assert usage.candidates == len(set(found))
    assert found or usage.rejected
