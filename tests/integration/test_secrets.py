"""A key is nowhere but in the request: not in a log at any level, not on the bus, not in the words for the user."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg

from shared.bus import Bus
from shared.providers import KEY_VARIABLES
from tests.integration.test_producer import producer
from tests.integration.vendor_producer import a_task, give, reported
from tests.vendors.faults import Fault
from tests.vendors.server import VendorServer, vendors
from tests.vendors.vendor import Vendor

KEYS = {
    "openai": "sk-MARKED-0123456789-QTAIL",
    "anthropic": "sk-ant-MARKED-0123456789-QTAIL",
    "gemini": "MARKED-0123456789-QTAIL",
}
PARTS = ("MARKE", "0123456789", "TAIL")
"""Of the keys; vendors quote some of their letters."""

SLOW = {Fault.HANG_BEFORE_FIRST_BYTE, Fault.HANG_AFTER_HEADERS, Fault.HANG_BETWEEN_CHUNKS, Fault.DRIP}
FAULTS = [fault for fault in Fault if fault not in SLOW]


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with vendors(seed=7) as running:
        yield running


async def test_no_fault_brings_a_key_to_light(bus: Bus, nats_url: str, server: VendorServer) -> None:
    seen: list[bytes] = []

    async def on_message(message: Msg) -> None:
        seen.append(message.subject.encode() + str(message.headers).encode() + message.data)

    await bus.client.subscribe(">", cb=on_message)
    outputs = await asyncio.gather(*(suffer(bus, nats_url, server, vendor) for vendor in server.all))
    await asyncio.wait_for(bus.client.flush(), 5)
    assert min(len(seen), *(len(output) for output in outputs)) > len(FAULTS)
    everything = "".join(line for output in outputs for line in output).encode() + b"".join(seen)
    for part in PARTS:
        assert part.encode() not in everything


async def suffer(bus: Bus, nats_url: str, server: VendorServer, vendor: Vendor) -> list[str]:
    """What a producer's process writes while it meets one fault after the other, its SDK told to log all."""
    provider = vendor.wire.provider
    variables = {
        KEY_VARIABLES[provider][0]: KEYS[provider],
        f"{provider.upper()}_BASE_URL": vendor.url,
        "OPENAI_LOG": "debug",
        "ANTHROPIC_LOG": "debug",
    }
    async with producer(nats_url, "--provider", provider, "--log-level", "trace", **variables) as process:
        for number, fault in enumerate(FAULTS):
            vendor.next(fault, seconds=0.01, size=1_000_000)
            await give(bus, a_task(provider, number))
            usages = await reported(bus, provider, number + 1)
    assert {entry.key for entry in server.ledger.of(provider)} == {KEYS[provider]}
    assert {usage.error_kind for usage in usages} >= {"auth", "quota", "invalid_request", "malformed"}
    return process.output
