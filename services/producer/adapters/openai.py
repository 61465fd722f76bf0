"""OpenAI, and any server that speaks its chat completions, through the official SDK."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
from openai import APIError, APIStatusError, AsyncOpenAI, AsyncStream, OpenAIError
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk

from services.producer.adapters.contract import End, Opened, Patience
from services.producer.adapters.options import Options
from services.producer.adapters.schema import SCHEMA
from services.producer.errors import SILENT, Reply, Vendor, broken, cut_off
from services.producer.http_client import client
from services.producer.prompt import chat
from shared.messages import Task
from shared.providers import base_url_of, key_of

REASONS = re.compile(r"o\d|gpt-[5-9]")
"""How models begin that think before they answer; a list needs little thought, and thoughts cost."""

FORMAT = {"type": "json_schema", "json_schema": {"name": "list", "strict": True, "schema": SCHEMA}}

ENDS = {"length": "the model reached its limit of tokens", "content_filter": "the vendor's filter ended the answer"}
"""Reasons to finish that leave an answer unfinished."""


class Chat:
    """Streams chat completions."""

    def __init__(self, client: AsyncOpenAI, vendor: Vendor, limit: str) -> None:
        self._client = client
        self._vendor = vendor
        self._limits = (limit, *({"max_tokens", "max_completion_tokens"} - {limit}))
        """The names of the limit of output tokens, the one to try first."""
        self._options = Options(
            vendor,
            "response_format",
            "temperature",
            "seed",
            "reasoning_effort",
            "stream_options",
            limit,
            schema="response_format",
        )

    async def complete(self, task: Task) -> AsyncGenerator[str | Opened | End, None]:
        """See Adapter."""
        options = self._options.of(task.model, self._wanted(task))
        try:
            async with await self._ask(task, options) as stream, aclosing(_read(stream)) as answer:
                self._options.took(task.model, options)
                yield Opened(stream.response.headers)
                async for piece in answer:
                    yield piece
        except APIStatusError as error:
            reply = Reply(error.status_code, error.body, error.response.headers)
            raise self._options.refusal(task.model, options, reply) from None
        except (OpenAIError, httpx2.HTTPError, ValueError) as error:
            if isinstance(error, APIError) and error.body:  # an error event in the middle of the stream
                raise self._vendor.refused(Reply(200, error.body), task.model) from None
            raise broken(error) from None

    def _wanted(self, task: Task) -> dict[str, Any]:
        wanted = {
            "temperature": task.temperature,
            "seed": task.seed + task.ordinal,
            "response_format": FORMAT,
            "stream_options": {"include_usage": True},
            self._limits[0]: task.max_output_tokens,
        }
        return wanted | ({"reasoning_effort": "low"} if REASONS.match(task.model) else {})

    async def close(self) -> None:
        """See Adapter."""
        await self._client.close()

    async def _ask(self, task: Task, options: dict[str, Any]) -> AsyncStream[ChatCompletionChunk]:
        first, other = self._limits
        limited = options if first in options else {**options, other: task.max_output_tokens}
        prompt = chat(task, as_json="response_format" in options)
        stream: AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
            model=task.model, messages=[{"role": "user", "content": prompt}], stream=True, **limited
        )
        return stream


async def _read(stream: AsyncStream[ChatCompletionChunk]) -> AsyncGenerator[str | End, None]:
    """The text of the answer, then its tokens."""
    usage: CompletionUsage | None = None
    model, reason, said = "", "", False
    async for chunk in stream:
        usage, model = chunk.usage or usage, chunk.model or model
        for choice in chunk.choices or []:
            reason = choice.finish_reason or reason
            if choice.delta and choice.delta.content:
                said = True
                yield choice.delta.content
    if not reason:
        raise cut_off()
    yield _end(model, reason, usage, ENDS.get(reason, "" if said else SILENT))


def _end(model: str, reason: str, usage: CompletionUsage | None, error: str) -> End:
    input_details = usage.prompt_tokens_details if usage else None
    output_details = usage.completion_tokens_details if usage else None
    return End(
        input_tokens=(usage.prompt_tokens or 0) if usage else 0,
        output_tokens=(usage.completion_tokens or 0) if usage else 0,
        whole=reason not in ENDS,
        cached_tokens=(input_details.cached_tokens or 0) if input_details else 0,
        reasoning_tokens=(output_details.reasoning_tokens or 0) if output_details else 0,
        told=bool(usage and usage.prompt_tokens),
        model=model,
        error=error,
    )


def build(variables: Mapping[str, str], models: tuple[str, ...], patience: Patience) -> Chat:
    """The adapter, set by OPENAI_API_KEY and OPENAI_BASE_URL (a server of one's own)."""
    key, base_url = key_of("openai", variables), base_url_of("openai", variables)
    sdk = AsyncOpenAI(api_key=key or "none", base_url=base_url or None, max_retries=0, http_client=client(patience))
    # OpenAI's reasoning models know only the new name of the limit; many other servers only the old one, and ignore the new.
    return Chat(sdk, Vendor("openai", key), "max_tokens" if base_url else "max_completion_tokens")
