"""More producers by a number, and producers on another machine."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from services.tester import invariants
from services.tester.trial import END_SECONDS, RUN
from shared.bus import Bus
from shared.service import VERSION
from tests.conftest import eventually
from tests.containers.stack import Stack

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]  # the first test waits for the images

MANY = 8

SEED = "producer-random.nk"


async def producers(stack: Stack) -> list[str]:
    """The producers that the gateway knows of."""
    async with httpx.AsyncClient(base_url=stack.url, headers=stack.authorization, trust_env=False) as http:
        return [presence["producer"] for presence in (await http.get("/api/producers")).raise_for_status().json()]


async def run_with(stack: Stack, bus: Bus, topic: str, iterations: int) -> set[str]:
    """Have a run made, check what is left at its end, and give the producers that took part."""
    watched = await stack.begin(bus, **{**RUN, "topic": topic, "producers": MANY, "iterations": iterations})
    try:
        evidence = await watched.verdict(2 * END_SECONDS, [])
    finally:
        await watched.close()
    assert not [str(broken) for broken in invariants.check(evidence)]
    return {usage.producer for usage in evidence.usages}


async def test_eight_producers_share_a_run(stack: Stack, stack_bus: Bus) -> None:
    stack.up("--scale", f"producer-random={MANY}")
    known = await eventually(lambda: all_known(stack, MANY), 30)
    assert await run_with(stack, stack_bus, "Eight", 6) == set(known)


async def all_known(stack: Stack, number: int) -> list[str]:
    found = await producers(stack)
    return found if len(found) == number else []


@contextlib.contextmanager
def elsewhere(stack: Stack) -> Iterator[None]:
    """A producer in a network of its own, which has the address of the bus and its credentials, and nothing else."""
    network = stack.client.networks.create(f"{stack.name}_elsewhere")
    container = stack.client.containers.run(
        f"chorus-producer-random:{VERSION}",
        detach=True,
        read_only=True,
        tmpfs={"/tmp": ""},  # noqa: S108  # a container's own
        network=network.name,
        user="{0.st_uid}:{0.st_gid}".format((stack.keys / SEED).stat()),
        environment={
            "NATS_URL": stack.nats_url,
            "NATS_NKEY": f"/keys/{SEED}",
            "ORCHESTRATOR_KEY": "/keys/orchestrator.pub",
            "RANDOM_LATENCY_SECONDS": "0.1",
        },
        volumes=[f"{stack.keys / name}:/keys/{name}:ro" for name in (SEED, "orchestrator.pub")],
    )
    try:
        yield
    finally:
        container.remove(force=True)
        network.remove()


async def test_a_producer_elsewhere_does_it_alone(stack: Stack, stack_bus: Bus) -> None:
    stack.up("--scale", "producer-random=0")
    with elsewhere(stack):
        known = await eventually(lambda: all_known(stack, 1), 60)
        assert await run_with(stack, stack_bus, "Elsewhere", 1) == set(known)
