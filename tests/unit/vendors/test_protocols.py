"""The real SDKs get whole answers, in every form, and hear what the ledger says."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google.genai import errors

from tests.unit.vendors.asking import SCHEMA, Heard, Question, ask
from tests.vendors.server import VendorServer, vendors
from tests.vendors.vendor import Vendor
from tests.vendors.wire import Form, Limits, Tokens

FORMS = [
    ("openai", Form.LINES),
    ("openai", Form.CONTINUED),
    ("openai", Form.JSON),
    ("anthropic", Form.LINES),
    ("anthropic", Form.JSON),
    ("anthropic", Form.TOOL),
    ("gemini", Form.LINES),
    ("gemini", Form.JSON),
]

NORMAL = {"openai": "stop", "anthropic": "end_turn", "gemini": "STOP"}
CUT_OFF = {"openai": "length", "anthropic": "max_tokens", "gemini": "MAX_TOKENS"}


def of(server: VendorServer, provider: str) -> Vendor:
    return next(vendor for vendor in server.all if vendor.wire.provider == provider)


def read(heard: Heard, form: Form) -> list[str]:
    if form is Form.LINES:
        return heard.text.split("\n")
    if form is Form.CONTINUED:
        return [line.removeprefix("-").strip() for line in heard.text.strip().split("\n")]
    answer: dict[str, list[str]] = json.loads(heard.text)
    return answer["attributes"]


@pytest.mark.parametrize(("provider", "form"), FORMS)
async def test_an_answer_arrives_whole_and_as_a_stream(server: VendorServer, provider: str, form: Form) -> None:
    for number, streams in enumerate((False, True)):
        heard = await ask(of(server, provider), Question(streams=streams, form=form))
        entry = server.ledger.entries[number]
        assert read(heard, form) == entry.attributes
        assert len(set(entry.attributes)) == 12
        assert heard.finish == ("tool_use" if form is Form.TOOL else NORMAL[provider])
        assert heard.pieces == (5 if streams else 1)
        assert heard.tokens == entry.billed
        assert entry.billed.input > 10
        assert (entry.outcome, entry.status, entry.reported, entry.streams) == ("ok", 200, True, streams)
        assert entry.key == "sk-test-0123456789"
        assert "Paris attractions" in entry.prompt


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
async def test_cached_and_thought_tokens_are_told_in_the_vendors_own_sense(
    server: VendorServer, provider: str, streams: bool
) -> None:
    vendor = of(server, provider)
    plain = await ask(vendor, Question(streams=streams))
    vendor.cached_tokens, vendor.cache_written_tokens, vendor.reasoning_tokens = 7, 3, 40
    heard = await ask(vendor, Question(streams=streams))
    (first, second) = server.ledger.entries
    assert plain.tokens == first.billed == Tokens(first.billed.input, first.billed.output)
    assert heard.tokens is not None
    assert heard.tokens == second.billed
    assert second.billed.input == first.billed.input
    assert second.billed.cached == 7
    assert second.billed.cache_written == (3 if provider == "anthropic" else 0)
    assert second.billed.reasoning == 40
    assert server.ledger.billed(provider).output == first.billed.output + second.billed.output


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
async def test_the_token_limit_cuts_an_answer(server: VendorServer, provider: str) -> None:
    heard = await ask(of(server, provider), Question(most_tokens=10))
    (entry,) = server.ledger.entries
    assert heard.finish == CUT_OFF[provider]
    assert entry.billed.output == 10
    assert heard.text.startswith("\n".join(entry.attributes))
    assert len(entry.attributes) < 5


async def test_the_same_seed_gives_the_same_lists_and_another_gives_others() -> None:
    lists = []
    for seed in (1, 1, 2):
        async with vendors(seed) as server:
            for vendor in server.all:
                await ask(vendor, Question())
            lists.append([entry.attributes for entry in server.ledger.entries])
    assert lists[0] == lists[1] != lists[2]
    assert len({tuple(made) for made in lists[0]}) == 3


async def test_an_obedient_model_leaves_out_what_the_prompt_names(server: VendorServer) -> None:
    vendor = server.openai
    vendor.obedient, vendor.items = True, 300
    named: list[str] = []
    for _ in range(4):
        prompt = "Give 300 items. Do not repeat any of these:\n" + "\n".join(named)
        heard = await ask(vendor, Question(prompt=prompt))
        assert not set(heard.text.split("\n")) & set(named)
        named += heard.text.split("\n")
    assert len(named) == len(set(named)) == 1200


async def test_limits_are_announced_in_each_vendors_headers(server: VendorServer) -> None:
    for vendor in server.all:
        vendor.limits = Limits(60, 59, 1.5, 9000, 8000, 360.0)
    said, its, none = [(await ask(vendor, Question())).headers for vendor in server.all]
    assert said["x-ratelimit-limit-requests"] == "60"
    assert said["x-ratelimit-remaining-tokens"] == "8000"
    assert (said["x-ratelimit-reset-requests"], said["x-ratelimit-reset-tokens"]) == ("1.5s", "6m0s")
    assert its["anthropic-ratelimit-requests-remaining"] == "59"
    assert its["anthropic-ratelimit-input-tokens-limit"] == "9000"
    assert its["anthropic-ratelimit-output-tokens-reset"].endswith("Z")
    assert not [name for name in none if "limit" in name]


async def test_anthropics_events_come_in_their_order(server: VendorServer) -> None:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=server.anthropic.url, max_retries=0) as client:
        answer = await client.messages.with_raw_response.create(
            model="claude-haiku-4-5", max_tokens=500, messages=[{"role": "user", "content": "Give 3 items"}], stream=True
        )
        events = [line.removeprefix("event: ") async for line in answer.http_response.aiter_lines() if line.startswith("event")]
    middle = ["content_block_start", *["content_block_delta"] * 5, "content_block_stop"]
    assert events == ["message_start", "ping", *middle, "message_delta", "message_stop"]


async def test_openai_lists_its_models(server: VendorServer) -> None:
    async with openai.AsyncOpenAI(api_key="k", base_url=server.openai.url, max_retries=0) as client:
        assert "gpt-4o-mini" in [model.id async for model in client.models.list()]


async def test_usage_is_told_in_a_stream_only_to_who_asks(server: VendorServer) -> None:
    async with openai.AsyncOpenAI(api_key="k", base_url=server.openai.url, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Give 3 items"}], stream=True
        )
        assert [chunk.usage async for chunk in stream if chunk.usage] == []
    assert not server.ledger.entries[0].reported
    assert server.ledger.entries[0].billed.output > 0


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
async def test_an_unknown_key_is_refused(server: VendorServer, provider: str) -> None:
    vendor = of(server, provider)
    vendor.keys = {"sk-right"}
    with pytest.raises((openai.AuthenticationError, anthropic.AuthenticationError, errors.ClientError)) as raised:
        await ask(vendor, Question(key="sk-wrong-0123456789"))
    assert getattr(raised.value, "status_code", getattr(raised.value, "code", 0)) == (400 if provider == "gemini" else 401)
    await ask(vendor, Question(key="sk-right"))
    assert [entry.outcome for entry in server.ledger.entries] == ["refused", "ok"]
    assert server.ledger.entries[0].billed == Tokens()


OPEN_SCHEMA = {"type": "object", "properties": {"attributes": {"type": "array", "items": {"type": "string"}}}}
BOUNDED_SCHEMA = {**SCHEMA, "properties": {"attributes": {"type": "array", "items": {"type": "string"}, "maxItems": 5}}}
MESSAGES = [{"role": "user", "content": "Give 3 items"}]


def openai_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "list", "strict": True, "schema": schema}}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/openai/v1/chat/completions", {"model": "gpt-4o-mini"}, "messages"),
        ("/openai/v1/chat/completions", {"messages": MESSAGES}, "model"),
        ("/openai/v1/chat/completions", {"model": "gpt-5-mini", "messages": MESSAGES, "temperature": 0.5}, "temperature"),
        ("/openai/v1/chat/completions", {"model": "gpt-5", "messages": MESSAGES, "max_tokens": 5}, "max_completion_tokens"),
        ("/openai/v1/chat/completions", {"model": "gpt-4o", "messages": MESSAGES, "temperature": 2.5}, "temperature"),
        (
            "/openai/v1/chat/completions",
            {"model": "gpt-4o", "messages": MESSAGES, "response_format": openai_format(OPEN_SCHEMA)},
            "additionalProperties",
        ),
        ("/anthropic/v1/messages", {"model": "claude", "messages": MESSAGES}, "max_tokens"),
        (
            "/anthropic/v1/messages",
            {"model": "claude", "messages": MESSAGES, "max_tokens": 9, "temperature": 1.2},
            "temperature",
        ),
        (
            "/anthropic/v1/messages",
            {
                "model": "claude",
                "messages": MESSAGES,
                "max_tokens": 9,
                "output_config": {"format": {"type": "json_schema", "schema": BOUNDED_SCHEMA}},
            },
            "maxItems",
        ),
        (
            "/anthropic/v1/messages",
            {
                "model": "claude",
                "messages": MESSAGES,
                "max_tokens": 9,
                "output_config": {"format": {"type": "json_schema", "schema": OPEN_SCHEMA}},
            },
            "additionalProperties",
        ),
        ("/gemini/v1beta/models/g:generateContent", {}, "contents"),
        (
            "/gemini/v1beta/models/g:generateContent",
            {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"responseJsonSchema": SCHEMA}},
            "application/json",
        ),
    ],
)
async def test_what_the_vendors_do_not_take_is_refused(
    server: VendorServer, path: str, body: dict[str, Any], words: str
) -> None:
    root = server.openai.url.removesuffix("/openai/v1")
    headers = {"authorization": "Bearer k", "x-goog-api-key": "k", "anthropic-version": "2023-06-01"}
    async with httpx2.AsyncClient() as client:
        response = await client.post(root + path, json=body, headers=headers)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]
    assert server.ledger.entries[0].outcome == "refused"
