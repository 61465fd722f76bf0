"""The local model, a small one that continues text: the same SDK, the completion endpoint, and a few-shot prompt."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from openai import AsyncOpenAI, OpenAIError

from services.producer.adapters.contract import End, ModelError
from services.producer.adapters.openai import SILENCE_SECONDS
from services.producer.adapters.openai_errors import in_words
from services.producer.prompt import completion, tokens
from shared.messages import Task

DEFAULT_URL = "http://127.0.0.1:8084/v1"
DEFAULT_MODEL = "SmolLM2-135M-Instruct"

CONTEXT = 2048
"""Tokens of prompt and answer together, as `services/local_model` serves it."""

ANSWER = 700
"""At most of them for the answer."""

TOKENS_PER_ATTRIBUTE = 8

SAMPLING = {"min_p": 0.05, "repeat_penalty": 1.1, "repeat_last_n": 256}
"""What llama.cpp offers beyond OpenAI's parameters."""


class Completion:
    """Streams completions of a list."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client = client
        self.model = model

    async def complete(self, task: Task) -> AsyncGenerator[str | End, None]:
        """See Adapter."""
        answer = min(ANSWER, task.count * TOKENS_PER_ATTRIBUTE)
        prompt = completion(task, CONTEXT - answer - tokens(task.topic))
        try:
            stream = await self._client.completions.create(
                model=task.model or self.model,
                prompt=prompt,
                max_tokens=answer,
                temperature=task.temperature,
                seed=task.seed + task.ordinal,
                stop=["\n\n"],
                stream=True,
                stream_options={"include_usage": True},
                extra_body=SAMPLING,
            )
            input_tokens = output_tokens = 0
            finish = ""
            async with aclosing(stream):
                async for chunk in stream:
                    if chunk.usage:
                        input_tokens, output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
                    for choice in chunk.choices:
                        finish = choice.finish_reason or finish
                        if choice.text:
                            yield choice.text
            yield End(input_tokens, output_tokens, whole=finish == "stop")
        except OpenAIError as error:
            raise ModelError(in_words(error, task.model or self.model, "LOCAL_MODEL_URL")) from error


def build(variables: Mapping[str, str], model: str) -> Completion:
    """The adapter, set by LOCAL_MODEL_URL."""
    url = variables.get("LOCAL_MODEL_URL") or DEFAULT_URL
    client = AsyncOpenAI(api_key="none", base_url=url, max_retries=0, timeout=SILENCE_SECONDS)
    return Completion(client, model or DEFAULT_MODEL)
