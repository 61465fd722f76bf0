"""Each vendor's real SDK against a server that misbehaves, through the real loop and a real bus: what comes of each fault."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from services.producer.adapters.contract import Patience
from shared.bus import Bus
from tests.integration.vendor_producer import COUNT, PATIENT, a_task, give, producing, reported, texts
from tests.vendors.answers import WORLD
from tests.vendors.faults import Fault
from tests.vendors.server import VendorServer, vendors
from tests.vendors.vendor import Vendor

IMPATIENT = Patience(connect=5.0, first=0.7, between=0.7)
HANGS = {Fault.HANG_BEFORE_FIRST_BYTE, Fault.HANG_AFTER_HEADERS, Fault.HANG_BETWEEN_CHUNKS}


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with vendors(seed=7) as running:
        yield running


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
