"""Three adapters against a real model: the bundled one, whose server speaks the protocols of OpenAI and Anthropic."""

import msgspec
import pytest

from services.producer.adapters import local
from services.producer.adapters.contract import End, Patience
from services.producer.parse import Parser
from shared.bus import Bus
from shared.messages import Task
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


async def test_the_local_adapter_gives_real_attributes_and_takes_no_more_than_is_set_aside() -> None:
    """It asks again and again; the budget bounds how often."""
    task = a_task("local", topic="Paris attractions", model=MODEL, seed=7)
    async with local_model("nats://127.0.0.1:1") as (_, address):
        adapter = local.build({"LOCAL_MODEL_URL": f"{address}/v1"}, (MODEL,), Patience())
        plenty, _ = await listed(adapter, msgspec.structs.replace(task, count=5))
        few, end = await listed(adapter, msgspec.structs.replace(task, reserved_tokens=600))
        await adapter.close()
    assert len(plenty) >= 3
    assert all(len(text.split()) <= 12 for text in plenty)
    assert 0 < len(few) < task.count
    assert 200 < end.input_tokens + end.output_tokens <= 600


async def listed(adapter: local.LocalModel, task: Task) -> tuple[list[str], End]:
    parser, end = Parser(task.count), End()
    found: list[str] = []
    async for piece in adapter.complete(task):
        if isinstance(piece, End):
            end = piece
        else:
            found += parser.feed(piece)
    return found + parser.end(whole=end.whole), end
