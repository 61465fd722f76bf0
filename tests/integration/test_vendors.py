"""Each vendor's real SDK against a server that misbehaves, through the real loop and a real bus: what comes of each fault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from services.producer.adapters.contract import Patience
from shared.bus import Bus, connect
from shared.messages import Usage
from tests.conftest import NatsServer
from tests.integration.vendor_producer import COUNT, MODELS, PATIENT, a_task, give, producing, reported, texts
from tests.vendors.answers import WORLD
from tests.vendors.faults import Fault
from tests.vendors.ledger import Entry
from tests.vendors.server import VendorServer, vendors
from tests.vendors.vendor import Vendor
from tests.vendors.wire import Tokens


@dataclass(frozen=True)
class Row:
    """A fault and what is to come of it."""

    fault: Fault
    outcome: str = "ok"
    kind: str = ""
    attempts: int = 1
    """0: as many as it takes to find out."""
    gives_up: bool = False
    gets: str = "all"
    """Of the attributes: all, some or none."""
    share: float = 0
    """Of the requests that meet the fault; 0 is the first one alone."""
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
    Row(Fault.INVALID_REQUEST, "failed", "invalid_request", attempts=0, gives_up=True, gets="none", share=1),
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

HANGS = [
    Row(Fault.HANG_BEFORE_FIRST_BYTE, attempts=2, estimated=True),
    Row(Fault.HANG_AFTER_HEADERS, attempts=2, estimated=True),
    Row(Fault.HANG_BETWEEN_CHUNKS, kind="timeout", gets="some", estimated=True),
]

IMPATIENT = Patience(connect=5.0, first=0.7, between=0.7)

AMOUNT = {"all": (True, True), "some": (False, True), "none": (False, False)}
"""Whether there are as many attributes as were asked for, and whether there are any."""


@dataclass(frozen=True)
class Stage:
    """A bus, the vendors, and a producer of each that goes on from one fault to the next."""

    bus: Bus
    server: VendorServer


@asynccontextmanager
async def staged(folder: Path, patience: Patience) -> AsyncIterator[Stage]:
    nats = NatsServer(folder)
    nats.start()
    bus = await connect(nats.url, "test")
    await bus.provision()
    async with vendors(seed=7) as server, AsyncExitStack() as producers:
        for vendor in server.all:
            # Each fault has a model of its own, which has no past.
            models = (MODELS[vendor.wire.provider], *(row.fault.value for row in (*TABLE, *HANGS)))
            await producers.enter_async_context(producing(bus, vendor, patience=patience, models=models))
        yield Stage(bus, server)
    await bus.close()
    nats.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("nats"), PATIENT) as ready:
        yield ready


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("nats"), IMPATIENT) as ready:
        yield ready


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault.value)
async def test_each_fault_of_each_vendor_ends_as_it_should(stage: Stage, row: Row) -> None:
    await asyncio.gather(*(suffer(stage.bus, stage.server, vendor, row) for vendor in stage.server.all))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", HANGS, ids=lambda row: row.fault.value)
async def test_each_vendor_that_hangs_is_waited_for_only_so_long(impatient_stage: Stage, row: Row) -> None:
    stage = impatient_stage
    await asyncio.gather(*(suffer(stage.bus, stage.server, vendor, row) for vendor in stage.server.all))


async def suffer(bus: Bus, server: VendorServer, vendor: Vendor, row: Row) -> None:
    """One task that meets the fault."""
    provider, name = vendor.wire.provider, row.fault.value  # the model of that name has no past
    if row.share:
        vendor.rate(row.share, row.fault)
    else:
        vendor.next(row.fault, seconds=row.seconds, size=row.size)
    task = a_task(provider, run=name, id=f"{provider}-{name}", model=name, deadline_seconds=row.deadline)
    await give(bus, task)
    (usage,) = await reported(bus, provider, run=name)
    vendor.rate(0)
    entries = [entry for entry in server.ledger.of(provider) if entry.model == name]
    check_outcome(row, usage, entries)
    check_attributes(row, usage, entries, await texts(bus, provider, name))
    check_bill(row, usage, sum((entry.billed for entry in entries), Tokens()))


def check_outcome(row: Row, usage: Usage, entries: list[Entry]) -> None:
    assert (usage.outcome, usage.error_kind, usage.gives_up) == (row.outcome, row.kind, row.gives_up), usage
    assert bool(usage.error) == bool(row.kind), usage
    assert usage.attempts == (row.attempts or usage.attempts) == len(entries), usage


def check_attributes(row: Row, usage: Usage, entries: list[Entry], found: list[str]) -> None:
    """Nothing that was sent completely is lost, nothing comes twice."""
    sent = {text for entry in entries for text in entry.attributes} & set(WORLD)
    assert set(found) >= sent, (usage, sent - set(found))
    assert len(found) == len(set(found)) == usage.candidates, usage
    assert (len(found) >= COUNT, bool(found)) == AMOUNT[row.gets], usage


def check_bill(row: Row, usage: Usage, billed: Tokens) -> None:
    """What the vendor told is what is reported; what it did not tell is estimated, and never too low."""
    assert usage.estimated == row.estimated, usage
    if usage.estimated:
        assert usage.input_tokens >= billed.input, usage
        assert usage.output_tokens >= billed.output, usage
    else:
        assert (usage.input_tokens, usage.output_tokens) == (billed.input, billed.output), usage
