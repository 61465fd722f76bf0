"""Gemini, through Google's official SDK."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
from google import genai
from google.genai.errors import APIError
from google.genai.types import (
    GenerateContentConfig,
    GenerateContentResponse,
    GenerateContentResponseUsageMetadata,
    HttpOptions,
)

from services.producer.adapters.contract import End, Opened, Patience
from services.producer.adapters.options import Options
from services.producer.adapters.schema import SCHEMA
from services.producer.errors import SILENT, Reply, Vendor, broken, cut_off
from services.producer.http_client import client
from services.producer.prompt import chat
from shared.messages import Task
from shared.providers import base_url_of, key_of

THOUGHTS = 512
"""Tokens of thought: the least that all models take which can be told at all. A list needs none."""

FINISHED = "STOP"
ENDS = {FINISHED: "", "MAX_TOKENS": "the model reached its limit of tokens"}


class Content:
    """Streams generated content."""

    def __init__(self, client: genai.Client, http: httpx2.AsyncClient, vendor: Vendor) -> None:
        self._client = client
        self._http = http
        self._options = Options(
            vendor, "response_json_schema", "thinking_config", "temperature", "seed", schema="response_json_schema"
        )

    async def complete(self, task: Task) -> AsyncGenerator[str | Opened | End, None]:
        """See Adapter. The vendor has no headers that tell limits."""
        options = self._options.of(
            task.model,
            {
                "temperature": task.temperature,
                "seed": (task.seed + task.ordinal) % 2**31,  # 32 bits with a sign
                "response_json_schema": SCHEMA,
                "thinking_config": {"thinking_budget": THOUGHTS},
            },
        )
        try:
            async with aclosing(await self._ask(task, options)) as stream, aclosing(_read(stream)) as answer:
                self._options.took(task.model, options)
                async for piece in answer:
                    yield piece
        except APIError as error:
            reply = Reply(error.code or 0, error.details, getattr(error.response, "headers", {}))
            raise self._options.refusal(task.model, options, reply) from None
        except (httpx2.HTTPError, ValueError) as error:
            raise broken(error) from None

    async def close(self) -> None:
        """See Adapter."""
        await self._client.aio.aclose()
        await self._http.aclose()  # a client that it was given is not its own to close

    async def _ask(self, task: Task, options: dict[str, Any]) -> Any:
        as_json = "response_json_schema" in options
        config = {**options, "max_output_tokens": task.max_output_tokens}
        if as_json:
            config["response_mime_type"] = "application/json"
        return await self._client.aio.models.generate_content_stream(
            model=task.model, contents=chat(task, as_json=as_json), config=GenerateContentConfig(**config)
        )


async def _read(stream: AsyncIterator[GenerateContentResponse]) -> AsyncGenerator[str | End, None]:
    """The text of the answer, then its tokens, which every piece tells as far as it goes."""
    usage: GenerateContentResponseUsageMetadata | None = None
    model, reason, said = "", "", False
    async for piece in stream:
        usage, model = piece.usage_metadata or usage, piece.model_version or model
        if piece.prompt_feedback and piece.prompt_feedback.block_reason:
            reason = piece.prompt_feedback.block_reason.value
        for candidate in piece.candidates or []:
            reason = candidate.finish_reason.value if candidate.finish_reason else reason
            for part in (candidate.content and candidate.content.parts) or []:
                if part.text and not part.thought:
                    said = True
                    yield part.text
    if not reason:
        raise cut_off()
    yield _end(model, reason, usage or GenerateContentResponseUsageMetadata(), said=said)


def _end(model: str, reason: str, usage: GenerateContentResponseUsageMetadata, *, said: bool) -> End:
    thoughts = usage.thoughts_token_count or 0
    ended = ENDS.get(reason, f"the vendor ended the answer ({reason})")
    return End(
        input_tokens=usage.prompt_token_count or 0,
        output_tokens=(usage.candidates_token_count or 0) + thoughts,
        whole=reason == FINISHED,
        cached_tokens=usage.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
        told=bool(usage.prompt_token_count),
        model=model,
        error=ended or ("" if said else SILENT),
    )


def build(variables: Mapping[str, str], models: tuple[str, ...], patience: Patience) -> Content:
    """The adapter, set by GEMINI_API_KEY (or GOOGLE_API_KEY) and GEMINI_BASE_URL (a server of one's own)."""
    key = key_of("gemini", variables)
    http = client(patience)
    options = HttpOptions(base_url=base_url_of("gemini", variables) or None, httpx_async_client=http)
    return Content(genai.Client(api_key=key or "none", vertexai=False, http_options=options), http, Vendor("gemini", key))
