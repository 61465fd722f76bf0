"""OpenAI, and any server that speaks its chat completions, through the official SDK."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from openai import AsyncOpenAI, OpenAIError

from services.producer.adapters.contract import End, ModelError
from services.producer.adapters.openai_errors import in_words
from services.producer.prompt import chat
from shared.messages import Task

DEFAULT_MODEL = "gpt-4o-mini"

SILENCE_SECONDS = 30.0
"""How long the server may stay silent within a call; the task's own deadline bounds the whole."""


class Chat:
    """Streams chat completions."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client = client
        self.model = model

    async def complete(self, task: Task) -> AsyncGenerator[str | End, None]:
        """See Adapter."""
        model = task.model or self.model
        try:
            stream = await self._client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": chat(task)}],
                temperature=task.temperature,
                seed=task.seed + task.ordinal,
                stream=True,
                stream_options={"include_usage": True},
            )
            input_tokens = output_tokens = 0
            finish = ""
            async with aclosing(stream):
                async for chunk in stream:
                    if chunk.usage:
                        input_tokens, output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
                    for choice in chunk.choices:
                        finish = choice.finish_reason or finish
                        if choice.delta.content:
                            yield choice.delta.content
            yield End(input_tokens, output_tokens, whole=finish == "stop")
        except OpenAIError as error:
            raise ModelError(in_words(error, model, "OPENAI_API_KEY")) from error


def build(variables: Mapping[str, str], model: str) -> Chat:
    """The adapter, set by OPENAI_API_KEY, OPENAI_BASE_URL (a server of one's own) and OPENAI_MODEL."""
    key, base_url = variables.get("OPENAI_API_KEY", ""), variables.get("OPENAI_BASE_URL") or None
    if base_url is None:
        if not key:
            raise SystemExit("No OpenAI API key: set OPENAI_API_KEY, in the environment or in .env.")
        if not key.startswith("sk-"):
            raise SystemExit(
                "OpenAI API key should start with 'sk-'. "
                "Correct OPENAI_API_KEY, or set OPENAI_BASE_URL for a server of your own."
            )
    client = AsyncOpenAI(api_key=key or "none", base_url=base_url, max_retries=0, timeout=SILENCE_SECONDS)
    return Chat(client, model or variables.get("OPENAI_MODEL") or DEFAULT_MODEL)
