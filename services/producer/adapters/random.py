"""The test provider: no key, no network, a finite world with popular and rare things, and the habits of a real model."""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated

from msgspec import Meta

from services.producer.adapters.contract import End, ModelError, Patience
from services.producer.vocabulary import LEAST, MOST, vocabulary
from shared.messages import Task
from shared.service import Settings, load

MODELS = re.compile(r"random(?:-(\d{1,6}))?")
"""`random`, or `random-200` for one that knows so many things."""

EXPONENT = 1.0
"""Of the Zipf law: the thing of rank r is named with a weight of 1 / r."""

PARAPHRASED = 0.2
"""Share of answers written in another way that means the same."""

PIECES = 12
"""Into which an answer is cut, wherever that is in a line, as a model's stream is."""

Share = Annotated[float, Meta(ge=0, le=1)]


class RandomSettings(Settings, frozen=True, kw_only=True):
    """How the random provider behaves."""

    random_latency_seconds: Annotated[float, Meta(ge=0, le=600)] = 0.05
    """Of one call, spread over its answer."""
    random_error_rate: Share = 0.0
    random_obedience: Share = 0.9
    """Chance that a thing in the avoid list is not named again."""
    random_vocabulary: Annotated[int, Meta(ge=LEAST, le=MOST)] = 6000
    """Things that the model `random` knows; a call for more than it has left to say brings fewer."""


class RandomModel:
    """Draws from the vocabulary, seeded by the task's seed and ordinal alone."""

    def __init__(self, settings: RandomSettings) -> None:
        self._settings = settings
        self._things: dict[str, list[str]] = {}

    async def complete(self, task: Task) -> AsyncGenerator[str | End, None]:
        """See Adapter."""
        rng, whim = (_seeded(task, purpose) for purpose in ("answer", "obedience"))
        if rng.random() < self._settings.random_error_rate:
            raise ModelError("the random provider failed, as RANDOM_ERROR_RATE asks it to", billed=False)
        lines = [_written(thing, rng) for thing in self._drawn(task, rng, whim)]
        text = "\n".join(lines) + "\n"
        step = max(1, -(-len(text) // PIECES))
        for start in range(0, len(text), step):
            await asyncio.sleep(self._settings.random_latency_seconds / PIECES)
            yield text[start : start + step]
        yield End(input_tokens=20 + 3 * len(task.avoid), output_tokens=3 * len(lines))

    async def close(self) -> None:
        """See Adapter."""

    def _drawn(self, task: Task, rng: random.Random, whim: random.Random) -> list[str]:
        """As many things as asked for, without repeats, the popular ones more often and sooner (Efraimidis and Spirakis)."""
        draws = [(rng.expovariate(1.0) * rank**EXPONENT, thing) for rank, thing in enumerate(self._known(task.model), start=1)]
        obeyed = {bare(text) for text in task.avoid if whim.random() < self._settings.random_obedience}
        return [thing for _, thing in sorted(draws) if thing not in obeyed][: task.count]

    def _known(self, model: str) -> list[str]:
        """What a model knows."""
        if model not in self._things:
            self._things[model] = vocabulary(_size(model) or self._settings.random_vocabulary)
        return self._things[model]


def _size(model: str) -> int:
    """How many things the name of a model says that it knows; 0 if it does not say."""
    named = MODELS.fullmatch(model)
    return int(named[1] or 0) if named else 0


def _seeded(task: Task, purpose: str) -> random.Random:
    return random.Random(f"{task.seed} {task.ordinal} {purpose}")  # noqa: S311 (must repeat, need not be secret)


def bare(text: str) -> str:
    """The thing that one of its paraphrases means."""
    plain = text.casefold().replace("-", " ").removeprefix("the ")
    return plain[:-1] if plain.endswith("s") else plain


def _written(thing: str, rng: random.Random) -> str:
    """A thing as this answer writes it: mostly plain, sometimes in another way that means the same."""
    if rng.random() >= PARAPHRASED:
        return thing[0].upper() + thing[1:]
    ways = (thing, thing.upper(), thing.title(), f"the {thing}", f"The {thing.title()}", f"{thing}s", thing.replace(" ", "-"))
    return rng.choice(ways)


def build(variables: Mapping[str, str], models: tuple[str, ...], patience: Patience) -> RandomModel:
    """The adapter, set by RANDOM_LATENCY_SECONDS, RANDOM_ERROR_RATE, RANDOM_OBEDIENCE and RANDOM_VOCABULARY."""
    for model in models:
        if not MODELS.fullmatch(model) or (_size(model) and not LEAST <= _size(model) <= MOST):
            raise SystemExit(f"The random provider has the models random and random-{LEAST} to random-{MOST}, and not {model}.")
    return RandomModel(load(RandomSettings, variables))
