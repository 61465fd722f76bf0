"""Anthropic, and any server that speaks its messages, through the official SDK."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
from anthropic import AnthropicError, APIStatusError, AsyncAnthropic, AsyncStream
from anthropic.types import MessageDeltaUsage, RawMessageStreamEvent, Usage

from services.producer.adapters.contract import End, Opened, Patience
from services.producer.adapters.options import Options
from services.producer.adapters.schema import SCHEMA
from services.producer.errors import SILENT, Reply, Vendor, broken, cut_off
from services.producer.http_client import client
from services.producer.prompt import chat
from shared.messages import Task
from shared.providers import base_url_of, key_of

ENDS = {
    "max_tokens": "the model reached its limit of tokens",
    "model_context_window_exceeded": "the model reached its limit of tokens",
    "refusal": "the model refused to go on",
}
"""Reasons to stop that leave an answer unfinished."""


class Messages:
    """Streams messages."""

    def __init__(self, client: AsyncAnthropic, vendor: Vendor) -> None:
        self._client = client
        self._options = Options(vendor, "output_config", "extra_body", schema="output_config")

    async def complete(self, task: Task) -> AsyncGenerator[str | Opened | End, None]:
        """See Adapter."""
        wanted: dict[str, Any] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
        if task.temperature < 1.0:  # 1 is the vendor's default and the end of its scale; the SDK knows the option no longer
            wanted["extra_body"] = {"temperature": task.temperature}
        options = self._options.of(task.model, wanted)
        try:
            async with await self._ask(task, options) as stream, aclosing(_read(stream)) as answer:
                self._options.took(task.model, options)
                yield Opened(stream.response.headers)
                async for piece in answer:
                    yield piece
        except APIStatusError as error:
            reply = Reply(error.status_code, error.body, error.response.headers)
            raise self._options.refusal(task.model, options, reply) from None
        except (AnthropicError, httpx2.HTTPError, ValueError) as error:
            raise broken(error) from None

    async def close(self) -> None:
        """See Adapter."""
        await self._client.close()

    async def _ask(self, task: Task, options: dict[str, Any]) -> AsyncStream[RawMessageStreamEvent]:
        prompt = chat(task, as_json="output_config" in options)
        stream: AsyncStream[RawMessageStreamEvent] = await self._client.messages.create(
            model=task.model,
            max_tokens=task.max_output_tokens,
            messages=[{"role": "user", "content": prompt}],
            stream=True,
            **options,
        )
        return stream


async def _read(stream: AsyncStream[RawMessageStreamEvent]) -> AsyncGenerator[str | End, None]:
    """The text of the answer, then its tokens. What it cost is told in two parts, before and after."""
    model, reason, said = "", "", False
    before: Usage | None = None
    after: MessageDeltaUsage | None = None
    async for event in stream:
        match event.type:
            case "message_start":
                model, before = event.message.model, event.message.usage
            case "content_block_delta" if event.delta.type == "text_delta":
                said = True
                yield event.delta.text
            case "content_block_start" if event.index:
                yield "\n"  # what stood before was a foreword, and its last line is whole
            case "message_delta":
                reason, after = event.delta.stop_reason or "", event.usage
    if not reason:
        raise cut_off()
    yield _end(model, reason, before, after, ENDS.get(reason, "" if said else SILENT))


def _end(model: str, reason: str, before: Usage | None, after: MessageDeltaUsage | None, error: str) -> End:
    cached = (before.cache_read_input_tokens or 0) if before else 0
    written = (before.cache_creation_input_tokens or 0) if before else 0
    input_tokens = ((before.input_tokens or 0) + cached + written) if before else 0
    output_tokens = (after.output_tokens or 0) if after else 0
    details = after.output_tokens_details if after else None
    return End(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        whole=reason not in ENDS,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=(details.thinking_tokens or 0) if details else 0,
        told=bool(input_tokens and output_tokens),
        model=model,
        error=error,
    )


def build(variables: Mapping[str, str], models: tuple[str, ...], patience: Patience) -> Messages:
    """The adapter, set by ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL (a server of one's own)."""
    key = key_of("anthropic", variables)
    sdk = AsyncAnthropic(
        api_key=key or "none",
        base_url=base_url_of("anthropic", variables) or None,
        max_retries=0,
        http_client=client(patience),
    )
    return Messages(sdk, Vendor("anthropic", key))
