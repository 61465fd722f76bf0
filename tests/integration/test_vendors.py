"""Each vendor's real SDK against a server that misbehaves, through the real loop and a real bus: what comes of each fault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import pytest

from services.producer.adapters import anthropic, gemini, openai
from services.producer.adapters.contract import Patience
from services.producer.adapters.registry import Build
from services.producer.key import Key, fingerprint
from services.producer.limits import Limits
from services.producer.loop import Loop
from services.producer.producer import Producer
from services.producer.slots import Slots
from shared import subjects
from shared.bus import Bus, decode
from shared.messages import Candidate, Task, Usage
from shared.providers import KEY_VARIABLES
from tests.conftest import eventually
from tests.vendors.answers import WORLD
from tests.vendors.faults import Fault
from tests.vendors.server import VendorServer, vendors
from tests.vendors.vendor import Vendor

KEYS = {
    "openai": "sk-MARKED-0123456789abcdef",
    "anthropic": "sk-ant-MARKED-0123456789abcdef",
    "gemini": "AIzaMARKED-0123456789abcdef",
}
BUILDS: dict[str, Build] = {"openai": openai.build, "anthropic": anthropic.build, "gemini": gemini.build}
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}

PATIENT = Patience(connect=5.0, first=8.0, between=8.0)
IMPATIENT = Patience(connect=5.0, first=0.7, between=0.7)
HANGS = {Fault.HANG_BEFORE_FIRST_BYTE, Fault.HANG_AFTER_HEADERS, Fault.HANG_BETWEEN_CHUNKS}

COUNT = 20
"""Attributes asked for."""


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with vendors(seed=7) as running:
        yield running


@asynccontextmanager
async def producing(
    bus: Bus, vendor: Vendor, *, name: str = "one", limits: Limits | None = None, slots: int = 4, patience: Patience = PATIENT
) -> AsyncIterator[Producer]:
    """Run a producer of a vendor in this process until the block ends."""
    provider = vendor.wire.provider
    variables = {KEY_VARIABLES[provider][0]: KEYS[provider], f"{provider.upper()}_BASE_URL": vendor.url}
    models = (MODELS[provider],)
    adapter = BUILDS[provider](variables, models, patience)
    own = f"{provider}-{name}"
    key = Key(bus, provider, own, fingerprint(KEYS[provider]), limits or Limits())
    producer = Producer(own, provider, models, bus, adapter, key, Slots(slots))
    loop = Loop(producer)
    running = [asyncio.ensure_future(loop.run()), asyncio.ensure_future(loop.announcer.run())]
    try:
        yield producer
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await adapter.close()


def a_task(provider: str, number: int = 0, **changes: object) -> Task:
    task = Task(
        id=f"{provider}-{number}",
        run="run-1",
        provider=provider,
        topic="Test topic",
        ordinal=number,
        count=COUNT,
        deadline_seconds=10,
    )
    return msgspec.structs.replace(task, **changes)


async def give(bus: Bus, task: Task) -> None:
    await bus.publish(subjects.task(task.provider, task.run), task, id=task.id)


async def usages(bus: Bus, provider: str) -> list[Usage]:
    subject = subjects.usage("run-1", provider)
    return [decode(Usage, m.data) async for batch in bus.history("USAGE", [subject]) for m in batch]


async def texts(bus: Bus, provider: str) -> list[str]:
    subject = subjects.candidate("run-1", provider)
    return [decode(Candidate, m.data).text async for batch in bus.history("CANDIDATES", [subject]) for m in batch]


async def reported(bus: Bus, provider: str, number: int = 1, seconds: float = 15) -> list[Usage]:
    async def enough() -> list[Usage]:
        found = await usages(bus, provider)
        return found if len(found) >= number else []

    found: list[Usage] = await eventually(enough, seconds)
    return found


@dataclass(frozen=True)
class Row:
    """A fault and what is to come of it."""

    fault: Fault
    outcome: str = "ok"
    kind: str = ""
    attempts: int = 1
    gives_up: bool = False
    gets: str = "all"
    """Of the attributes: all, some or none."""
    times: int = 1
    seconds: float | None = None
    size: int | None = None
    deadline: float = 10
    estimated: bool = False


TABLE = [
    Row(Fault.RATE_LIMITED, attempts=2),
    Row(Fault.RATE_LIMITED_SECONDS, attempts=2, seconds=1),
    Row(Fault.RATE_LIMITED_DATE, attempts=2, seconds=1),
    Row(Fault.RATE_LIMITED_HINT, attempts=2, seconds=0.3),
    Row(Fault.SERVER_ERROR, attempts=2),
    Row(Fault.UNAVAILABLE, attempts=2),
    Row(Fault.OVERLOADED, attempts=2),
    Row(Fault.QUOTA, "failed", "quota", gives_up=True, gets="none"),
    Row(Fault.BILLING, "failed", "quota", gives_up=True, gets="none"),
    Row(Fault.UNAUTHORIZED, "failed", "auth", gives_up=True, gets="none"),
    Row(Fault.BAD_KEY, "failed", "auth", gives_up=True, gets="none"),
    Row(Fault.FORBIDDEN, "failed", "auth", gives_up=True, gets="none"),
    Row(Fault.NO_MODEL, "failed", "invalid_request", gives_up=True, gets="none"),
    Row(Fault.INVALID_REQUEST, "failed", "invalid_request", attempts=0, gives_up=True, gets="none", times=9),
    Row(Fault.HANG_BEFORE_FIRST_BYTE, attempts=2, estimated=True),
    Row(Fault.HANG_AFTER_HEADERS, attempts=2, estimated=True),
    Row(Fault.HANG_BETWEEN_CHUNKS, kind="timeout", gets="some", estimated=True),
    Row(Fault.DRIP, "failed", "timeout", gets="none", seconds=0.02, deadline=1.0, estimated=True),
    Row(Fault.RESET, kind="connection", gets="some", estimated=True),
    Row(Fault.ENDS_EARLY, kind="connection", gets="some", estimated=True),
    Row(Fault.ERROR_MIDWAY, kind="server", gets="some", estimated=True),
    Row(Fault.HTML, "failed", "malformed", gets="none", estimated=True),
    Row(Fault.CUT, kind="malformed", gets="some"),
    Row(Fault.FILTERED, kind="malformed", gets="some"),
    Row(Fault.WRONG_SCHEMA),
    Row(Fault.EMPTY, "failed", "malformed", gets="none"),
    Row(Fault.HUGE, "failed", "malformed", gets="none", estimated=True),
    Row(Fault.CHATTY),
    Row(Fault.FENCED),
    Row(Fault.REPEATS, kind="malformed", gets="some", size=100_000, estimated=True),
    Row(Fault.HOSTILE),
    Row(Fault.NO_USAGE, estimated=True),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault.value)
async def test_each_vendor_and_fault_ends_as_it_should(bus: Bus, server: VendorServer, row: Row) -> None:
    await asyncio.gather(*(suffer(bus, server, vendor, row) for vendor in server.all))


async def suffer(bus: Bus, server: VendorServer, vendor: Vendor, row: Row) -> None:
    """One task that meets the fault; then one more, which must be as good as ever."""
    provider = vendor.wire.provider
    vendor.next(row.fault, row.times, seconds=row.seconds, size=row.size)
    async with producing(bus, vendor, patience=IMPATIENT if row.fault in HANGS else PATIENT):
        await give(bus, a_task(provider, deadline_seconds=row.deadline))
        (usage,) = await reported(bus, provider)
        found = await texts(bus, provider)
    sent = set(server.ledger.attributes(provider)) & set(WORLD)
    assert (usage.outcome, usage.error_kind, usage.gives_up) == (row.outcome, row.kind, row.gives_up), (provider, usage)
    assert bool(usage.error) == bool(row.kind), usage
    assert usage.attempts == (row.attempts or usage.attempts) == len(server.ledger.of(provider)), usage
    assert usage.estimated == row.estimated, (provider, usage)
    assert len(found) == len(set(found)) == usage.candidates, (provider, usage)
    assert set(found) >= sent, (provider, sent - set(found))
    assert (len(found) >= COUNT, bool(found)) == {"all": (True, True), "some": (False, True), "none": (False, False)}[
        row.gets
    ], (provider, len(found), usage)
    billed = server.ledger.billed(provider)
    exact = (usage.input_tokens, usage.output_tokens) == (billed.input, billed.output)
    assert exact or (usage.estimated and usage.input_tokens >= billed.input and usage.output_tokens >= billed.output), (
        provider,
        billed,
        usage,
    )
    assert "MARKED" not in usage.error
