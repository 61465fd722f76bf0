"""The bundled model in a container of its own."""

import pytest

from services.tester import invariants
from shared.bus import Bus
from tests.containers.stack import Stack

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]  # the first test waits for the images

END_SECONDS = 300.0
"""Two calls of about 200 tokens at 5 tokens a second, which is what a busy machine gives."""


async def test_the_local_model_makes_a_list(stack: Stack, stack_bus: Bus) -> None:
    stack.up(COMPOSE_PROFILES="random,local")
    spec = {"topic": "Fruit", "providers": ["local"], "producers": 1, "iterations": 2, "request_size": 10, "dedupe": "exact"}
    watched = await stack.begin(stack_bus, **spec)
    try:
        evidence = await watched.verdict(END_SECONDS, [])
    finally:
        await watched.close()
    assert not [str(broken) for broken in invariants.check(evidence)]
    assert evidence.accepted
    assert {usage.provider for usage in evidence.usages} == {"local"}


def test_nobody_outside_reaches_the_model(stack: Stack) -> None:
    """It knows no keys, so it has no port on the host."""
    stack.up(COMPOSE_PROFILES="random,local")
    assert not any(stack.container("local-model").attrs["NetworkSettings"]["Ports"].values())
