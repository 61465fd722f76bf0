"""Producers of the three vendors in the test's own process, asking the vendor server, and what they leave on the bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from services.producer.adapters import anthropic, gemini, openai
from services.producer.adapters.contract import Patience
from services.producer.adapters.registry import Build
from services.producer.key import Key, fingerprint
from services.producer.limits import Limits
from services.producer.loop import Loop
from services.producer.producer import Producer
from services.producer.slots import Slots
from shared import streams, subjects
from shared.bus import Bus, decode
from shared.messages import Candidate, Task, Usage
from shared.providers import KEY_VARIABLES
from shared.service import end
from tests.conftest import eventually
from tests.vendors.vendor import Vendor

KEYS = {
    "openai": "sk-MARKED-0123456789abcdef",
    "anthropic": "sk-ant-MARKED-0123456789abcdef",
    "gemini": "AIzaMARKED-0123456789abcdef",
}
BUILDS: dict[str, Build] = {"openai": openai.build, "anthropic": anthropic.build, "gemini": gemini.build}
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}

PATIENT = Patience(connect=5.0, first=8.0, between=8.0)

RUN = "run-1"

COUNT = 20
"""Attributes asked for."""


@asynccontextmanager
async def at(
    bus: Bus,
    provider: str,
    url: str,
    *,
    name: str = "one",
    key: str = "",
    models: tuple[str, ...] = (),
    limits: Limits | None = None,
    slots: int = 4,
    patience: Patience = PATIENT,
) -> AsyncIterator[Producer]:
    """Run a producer that asks the server at `url` until the block ends; one that broke fails the test."""
    key = key or KEYS[provider]
    variables = {KEY_VARIABLES[provider][0]: key, f"{provider.upper()}_BASE_URL": url}
    models = models or (MODELS[provider],)
    adapter = BUILDS[provider](variables, models, patience)
    own = f"{provider}-{name}"
    shared_key = Key(bus, provider, own, fingerprint(key), limits or Limits())
    producer = Producer(own, provider, models, bus, adapter, shared_key, Slots(slots))
    loop = Loop(producer)
    running = [asyncio.ensure_future(loop.run()), asyncio.ensure_future(loop.announcer.run())]
    try:
        yield producer
        for one in running:
            assert not one.done(), one
    finally:
        await end(running)
        await adapter.close()


def producing(bus: Bus, vendor: Vendor, **choices: Any) -> AbstractAsyncContextManager[Producer]:
    """Run a producer of a vendor (see `at`)."""
    return at(bus, vendor.wire.provider, vendor.url, **choices)


def a_task(provider: str, number: int = 0, **changes: object) -> Task:
    task = Task(
        id=f"{provider}-{number}",
        run=RUN,
        provider=provider,
        topic="Test topic",
        ordinal=number,
        count=COUNT,
        deadline_seconds=10,
    )
    return msgspec.structs.replace(task, **changes)


async def give(bus: Bus, *tasks: Task) -> None:
    for task in tasks:
        await bus.publish(subjects.task(task.provider, task.run), task, id=task.id)


async def usages(bus: Bus, provider: str, run: str = RUN) -> list[Usage]:
    subject = subjects.usage(run, provider)
    return [decode(Usage, m.data) async for batch in bus.history(streams.reports(provider), [subject]) for m in batch]


async def texts(bus: Bus, provider: str, run: str = RUN) -> list[str]:
    subject = subjects.candidate(run, provider)
    return [decode(Candidate, m.data).text async for batch in bus.history(streams.reports(provider), [subject]) for m in batch]


async def reported(bus: Bus, provider: str, number: int = 1, *, run: str = RUN, seconds: float = 20) -> list[Usage]:
    """The reports of so many calls."""
    read = 0

    async def enough() -> list[Usage]:
        nonlocal read
        last = (await bus.head(streams.reports(provider))).last
        if last == read:  # reading anew each time would keep the server busier than what is tested
            return []
        read = last
        found = await usages(bus, provider, run)
        return found if len(found) >= number else []

    found: list[Usage] = await eventually(enough, seconds)
    return found
