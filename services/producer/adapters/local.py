"""The local model: so small that a long list leads it astray. It is asked for a few items at a time, again and again."""

import random
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise

import httpx2
from openai import APIStatusError, AsyncOpenAI, AsyncStream, OpenAIError
from openai.types import Completion, CompletionChoice

from services.producer.adapters.contract import End, Patience
from services.producer.errors import Reply, Vendor, broken
from services.producer.http_client import client
from services.producer.prompt import completion, tokens
from shared.messages import Task

DEFAULT_URL = "http://127.0.0.1:8084/v1"

CONTEXT = 2048
"""Tokens of prompt and answer together, as `services/local_model` serves it."""

ROUND_TOKENS = 32
"""Of one answer: three or four items; further ones repeat the first or leave the topic."""

LISTED = 3
"""Items that a prompt shows as the list so far, others in each round: with more of them the model copies or strays."""

FREE_ROUNDS = 2
"""Rounds of a call that may begin with any letter."""

INITIALS = "ABCDEFGHIJKLMNOPRSTUVW"
"""Letters that the other rounds begin with: left to itself the model names the same dozen things for ever."""

TEMPERATURE = 0.75
"""Share of the task's temperature: beyond it, words fall apart."""

ABSURD = -8.0
"""Logarithm of a token's probability: the model was forced there by the initial, and what follows is no word."""


SAME_START = 3
"""Items of one call that begin with the same two words ("Notre Dame de …"): a small model goes on so for ever."""


class _Sieve:
    """What the list holds already. The model cannot heed a long list of what to avoid, so it is heeded here."""

    def __init__(self, avoid: list[str]) -> None:
        self.known = list(avoid)
        self.found = 0
        self._avoided = {text.casefold() for text in avoid}
        self._starts: Counter[str] = Counter()

    def passes(self, line: str) -> bool:
        """Whether a line brings something new."""
        text = line.strip(" -\n")
        plain = text.casefold()
        words = plain.split()
        stutters = any(a == b for a, b in pairwise(words))  # "AI ethics ethics"
        if stutters or plain in self._avoided or self._starts[_start(text)] >= SAME_START:
            return False
        self._avoided.add(plain)
        self._starts[_start(text)] += 1
        self.known.append(text)
        self.found += 1
        return True


def _start(text: str) -> str:
    return " ".join(text.casefold().split()[:2])


@dataclass(slots=True)
class _Line:
    """The line that is being written."""

    text: str = ""
    least: float = 0.0

    def take(self, choice: CompletionChoice) -> str:
        """Add a token; returns what has become complete with it, unless the model itself found it absurd."""
        content = getattr(choice.logprobs, "content", None) or [{}]  # llama.cpp answers as chat completions do
        head, newline, rest = choice.text.partition("\n")
        self.text += head
        if not newline:
            self.least = min(self.least, content[0].get("logprob", 0.0))
            return ""
        done = self.end()
        self.text, self.least = rest, 0.0
        return done

    def end(self) -> str:
        return f"{self.text}\n" if self.least > ABSURD else ""


class LocalModel:
    """Streams short completions of a list until there are as many items as asked for."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client
        self._vendor = Vendor("local", "")

    async def complete(self, task: Task) -> AsyncGenerator[str | End, None]:
        """See Adapter."""
        rng = random.Random(f"{task.seed} {task.ordinal}")  # noqa: S311 (must repeat, need not be secret)
        sieve = _Sieve(task.avoid)
        input_tokens = output_tokens = 0
        for number in range(FREE_ROUNDS + task.count // 2):
            if sieve.found >= task.count:
                break
            initial = rng.choice(INITIALS) if number >= FREE_ROUNDS and task.topic.isascii() else ""
            listed = rng.sample(sieve.known, min(LISTED, len(sieve.known)))
            prompt = completion(task, listed, CONTEXT - ROUND_TOKENS)
            if 0 < task.reserved_tokens < input_tokens + output_tokens + tokens(prompt) + ROUND_TOKENS:
                break  # the budget has set aside no more for this call
            async with aclosing(self._round(task, prompt, initial, rng.getrandbits(31))) as lines:
                async for piece in lines:
                    if isinstance(piece, End):
                        input_tokens += piece.input_tokens
                        output_tokens += piece.output_tokens
                    elif sieve.passes(piece):
                        yield piece
        yield End(input_tokens, output_tokens)

    async def close(self) -> None:
        """See Adapter."""
        await self._client.close()

    async def _round(self, task: Task, prompt: str, initial: str, seed: int) -> AsyncGenerator[str | End, None]:
        """One short answer: its complete lines, then its tokens."""
        line = _Line()
        finish = ""
        try:
            async with aclosing(await self._ask(task, prompt, initial, seed)) as stream:
                async for chunk in stream:
                    if chunk.usage:
                        yield End(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                    for choice in chunk.choices:
                        finish = choice.finish_reason or finish
                        if done := line.take(choice):
                            yield done
        except APIStatusError as error:
            raise self._vendor.refused(Reply(error.status_code, error.body, error.response.headers), task.model) from None
        except (OpenAIError, httpx2.HTTPError, ValueError) as error:
            raise broken(error) from None
        if finish == "stop" and (last := line.end()):  # else it was cut off within the line
            yield last

    async def _ask(self, task: Task, prompt: str, initial: str, seed: int) -> AsyncStream[Completion]:
        grammar = f'root ::= " {initial}" [a-zà-ÿ] [^\\n]* ("\\n" [^\\n]+)*' if initial else ""
        return await self._client.completions.create(
            model=task.model,
            prompt=prompt,
            max_tokens=ROUND_TOKENS,
            temperature=TEMPERATURE * task.temperature,
            seed=seed,
            logprobs=1,
            stop=["\n\n"],
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"min_p": 0.1, "grammar": grammar},
        )


def build(variables: Mapping[str, str], models: tuple[str, ...], patience: Patience) -> LocalModel:
    """The adapter, set by LOCAL_MODEL_URL."""
    sdk = AsyncOpenAI(
        api_key="none",
        base_url=variables.get("LOCAL_MODEL_URL") or DEFAULT_URL,
        max_retries=0,
        http_client=client(patience),
        default_headers={"Connection": "close"},  # llama.cpp at times closes a connection that it said it would keep
    )
    return LocalModel(sdk)
