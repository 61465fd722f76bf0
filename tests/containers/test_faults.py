"""A run on containers goes to its end whatever is killed, paused, restarted or cut off; nothing is lost or doubled."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.tester import invariants
from services.tester.trial import END_SECONDS, RUN
from shared.bus import Bus
from tests.containers.stack import Stack, crash

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(1800),  # the first test waits for the images
    # The test's own NATS client leaves half a connection behind when Docker's proxy answers for a server that is away.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

AWAY_SECONDS = 6.0
"""How long something is paused or cut off: longer than a request is waited for."""

HURT_AFTER = 40
"""Attributes."""

Fault = Callable[[Stack], Awaitable[None]]


def crashes(service: str) -> Fault:
    async def fault(stack: Stack) -> None:
        await asyncio.to_thread(crash, stack.container(service))

    return fault


def restarts(service: str) -> Fault:
    async def fault(stack: Stack) -> None:
        await asyncio.to_thread(stack.container(service).restart, timeout=20)

    return fault


def pauses(service: str) -> Fault:
    async def fault(stack: Stack) -> None:
        container = stack.container(service)
        container.pause()
        await asyncio.sleep(AWAY_SECONDS)
        container.unpause()

    return fault


def cuts_off(service: str) -> Fault:
    """Take a container off the network, with its name, and put it back."""

    async def fault(stack: Stack) -> None:
        container, network = stack.container(service), stack.network()
        network.disconnect(container)
        await asyncio.sleep(AWAY_SECONDS)
        network.connect(container, aliases=[service])

    return fault


async def run_through(stack: Stack, bus: Bus, fault: Fault | None, **spec: object) -> int:
    """Have a run made, break something in its middle, and check what is left at its end; gives what was accepted."""
    watched = await stack.begin(bus, **{**RUN, **spec})
    try:
        if fault is not None:
            await watched.until_accepted(HURT_AFTER)
            await fault(stack)
        evidence = await watched.verdict(2 * END_SECONDS, [])
    finally:
        await watched.close()
    assert not [str(broken) for broken in invariants.check(evidence)]
    assert invariants.lost(evidence) == invariants.doubled(evidence) == 0
    return len(evidence.accepted)


async def test_a_topic_goes_to_its_end(stack: Stack, stack_bus: Bus) -> None:
    """With all of deduplication, so the weights are in the image."""
    accepted = await run_through(stack, stack_bus, None, topic="To the end", dedupe="semantic")
    assert accepted > 100


@pytest.mark.parametrize("service", ["nats", "orchestrator", "recorder", "producer-random"])
async def test_a_crash_is_survived(stack: Stack, stack_bus: Bus, service: str) -> None:
    before = stack.container(service).attrs["State"]["StartedAt"]
    await run_through(stack, stack_bus, crashes(service), topic=f"A crash of {service}")
    stack.wait_healthy()
    assert stack.container(service).attrs["State"]["StartedAt"] != before, "it was not killed, or not started again"


@pytest.mark.parametrize("service", ["nats", "orchestrator", "producer-random"])
async def test_a_pause_is_survived(stack: Stack, stack_bus: Bus, service: str) -> None:
    await run_through(stack, stack_bus, pauses(service), topic=f"A pause of {service}")


@pytest.mark.parametrize("service", ["nats", "orchestrator", "gateway"])
async def test_a_restart_is_survived(stack: Stack, stack_bus: Bus, service: str) -> None:
    await run_through(stack, stack_bus, restarts(service), topic=f"A restart of {service}")
    stack.wait_healthy()


@pytest.mark.parametrize("service", ["orchestrator", "producer-random", "recorder"])
async def test_a_cut_network_is_survived(stack: Stack, stack_bus: Bus, service: str) -> None:
    await run_through(stack, stack_bus, cuts_off(service), topic=f"A cut to {service}")
    stack.wait_healthy()
