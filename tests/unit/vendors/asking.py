"""Asking a vendor through its real SDK, with one signature for all three."""

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from anthropic import AsyncAnthropic
from google import genai
from openai import AsyncOpenAI

from tests.vendors.vendor import Vendor
from tests.vendors.wire import Form, Tokens

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"attributes": {"type": "array", "items": {"type": "string"}}},
    "required": ["attributes"],
    "additionalProperties": False,
}

TLS = ssl.create_default_context()
"""Loaded once: each client would read all certificates of the machine again, and none is needed on loopback."""

PROMPT = "Topic: Paris attractions\n\nGive 12 items that belong on the list."


@dataclass
class Heard:
    """What a client gets to know of an answer."""

    text: str = ""
    finish: str = ""
    tokens: Tokens | None = None
    pieces: int = 0
    foreword: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def add(self, piece: str | None) -> None:
        if piece:
            self.text += piece
            self.pieces += 1


@dataclass(frozen=True)
class Question:
    """How to ask."""

    streams: bool = True
    form: Form = Form.LINES
    prompt: str = PROMPT
    most_tokens: int = 1_000_000
    timeout: float = 10.0
    """Seconds of silence that the SDK bears."""
    key: str = "sk-test-0123456789"


async def ask(vendor: Vendor, question: Question) -> Heard:
    """The answer, or whatever the SDK raises."""
    heard = Heard()
    async for _ in listen(vendor, question, heard):
        pass
    return heard


def listen(vendor: Vendor, question: Question, heard: Heard) -> AsyncGenerator[None, None]:
    """Step by step, so that a test sees what had come before an error."""
    return {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}[vendor.wire.provider](vendor, question, heard)


def _options(vendor: Vendor, question: Question) -> Any:
    return {
        "api_key": question.key,
        "base_url": vendor.url,
        "max_retries": 0,
        "timeout": question.timeout,
        "http_client": httpx2.AsyncClient(verify=TLS),
    }


async def _openai(vendor: Vendor, question: Question, heard: Heard) -> AsyncGenerator[None, None]:
    options: dict[str, Any] = {"model": "gpt-4o-mini", "max_tokens": question.most_tokens, "stream": question.streams}
    if question.streams:
        options["stream_options"] = {"include_usage": True}
    if question.form is Form.JSON:
        options["response_format"] = {"type": "json_schema", "json_schema": {"name": "list", "strict": True, "schema": SCHEMA}}
    async with AsyncOpenAI(**_options(vendor, question)) as client:
        if question.form is Form.CONTINUED:
            raw: Any = await client.completions.with_raw_response.create(prompt=question.prompt, **options)
        else:
            messages: Any = [{"role": "user", "content": question.prompt}]
            raw = await client.chat.completions.with_raw_response.create(messages=messages, **options)
        heard.headers = dict(raw.headers)
        answer = raw.parse()
        async for part in answer if question.streams else _one(answer):
            heard.tokens = _openai_tokens(part.usage) if part.usage else heard.tokens
            for choice in part.choices:
                heard.finish = choice.finish_reason or heard.finish
                heard.add(choice.text if question.form is Form.CONTINUED else _said(choice))
            yield


def _said(choice: Any) -> str | None:
    content: str | None = (choice.delta if hasattr(choice, "delta") else choice.message).content
    return content


def _openai_tokens(usage: Any) -> Tokens:
    return Tokens(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens,
        0,
        usage.completion_tokens_details.reasoning_tokens,
    )


async def _anthropic(vendor: Vendor, question: Question, heard: Heard) -> AsyncGenerator[None, None]:
    async with AsyncAnthropic(**_options(vendor, question)) as client:
        options: dict[str, Any] = {}
        if question.form is Form.JSON:
            options["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if question.form is Form.TOOL:
            options["tools"] = [{"name": "list", "description": "Takes the list.", "input_schema": SCHEMA}]
            options["tool_choice"] = {"type": "tool", "name": "list"}
        raw = await client.messages.with_raw_response.create(
            model="claude-haiku-4-5",
            max_tokens=question.most_tokens,
            messages=[{"role": "user", "content": question.prompt}],
            stream=question.streams,
            **options,
        )
        heard.headers = dict(raw.headers)
        answer: Any = await raw.parse()
        if not question.streams:
            for block in answer.content:
                heard.add(block.text if block.type == "text" else json.dumps(block.input, ensure_ascii=False))
            heard.finish, heard.tokens = answer.stop_reason, _anthropic_tokens(answer.usage, answer.usage)
            yield
            return
        start = None
        async for event in answer:
            match event.type:
                case "message_start":
                    start = event.message.usage
                case "content_block_delta" if event.delta.type == "text_delta":
                    heard.add(event.delta.text)
                case "content_block_delta":
                    heard.add(event.delta.partial_json)
                case "message_delta":
                    heard.finish, heard.tokens = event.delta.stop_reason, _anthropic_tokens(start, event.usage)
            yield


def _anthropic_tokens(start: Any, end: Any) -> Tokens | None:
    if start.input_tokens is None:
        return None
    cached, written = start.cache_read_input_tokens, start.cache_creation_input_tokens
    thought = end.output_tokens_details.thinking_tokens if end.output_tokens_details else 0
    return Tokens(start.input_tokens + cached + written, end.output_tokens, cached, written, thought)


async def _gemini(vendor: Vendor, question: Question, heard: Heard) -> AsyncGenerator[None, None]:
    config: dict[str, Any] = {"max_output_tokens": question.most_tokens}
    if question.form is Form.JSON:
        config |= {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
    async with _gemini_client(vendor, question) as client:
        ask = client.models.generate_content_stream if question.streams else client.models.generate_content
        answer: Any = await ask(model="gemini-2.5-flash", contents=question.prompt, config=config)
        async for part in answer if question.streams else _one(answer):
            heard.headers = dict(part.sdk_http_response.headers)
            if usage := part.usage_metadata:
                thought = usage.thoughts_token_count or 0
                said = (usage.candidates_token_count or 0) + thought
                heard.tokens = Tokens(usage.prompt_token_count, said, usage.cached_content_token_count or 0, 0, thought)
            for candidate in part.candidates or []:
                heard.finish = candidate.finish_reason.value if candidate.finish_reason else heard.finish
                for text in candidate.content.parts or []:
                    heard.add(text.text)
            yield


@asynccontextmanager
async def _gemini_client(vendor: Vendor, question: Question) -> AsyncIterator[Any]:
    options = genai.types.HttpOptions(
        base_url=vendor.url,
        timeout=int(question.timeout * 1000),  # milliseconds
        client_args={"verify": TLS},
        async_client_args={"verify": TLS},
    )
    client = genai.Client(api_key=question.key, http_options=options)
    try:
        yield client.aio
    finally:
        await client.aio.aclose()
        client.close()


async def _one(answer: Any) -> AsyncIterator[Any]:
    yield answer
