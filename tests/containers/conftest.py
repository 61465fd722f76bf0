"""A Docker engine, the images, and one stack for the tests of a module."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import NoReturn

import docker
import pytest

from shared.bus import Bus
from shared.service import VERSION
from tests.containers.engine import engine, fetch_wheels, wheels_for, why_not
from tests.containers.stack import Stack

SERVICES = ("orchestrator", "gateway", "recorder", "launcher", "local-model")
PROVIDERS = ("openai", "anthropic", "gemini", "local", "random")
IMAGES = tuple(f"chorus-{name}:{VERSION}" for name in (*SERVICES, *(f"producer-{provider}" for provider in PROVIDERS)))


def leave_out(reason: str) -> NoReturn:
    """Skip the test, or fail it where REQUIRE_DOCKER says that all must run."""
    if os.environ.get("REQUIRE_DOCKER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The engine. Without one the tests are left out, unless REQUIRE_DOCKER says that they must run."""
    if reason := why_not():
        leave_out(reason)
    return engine()


@pytest.fixture(scope="session")
def images(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Every image, built from what is in the working tree."""
    fetch_wheels()
    with wheels_for(client) as pip:
        stack = Stack(client, tmp_path_factory.mktemp("build"), pip)
        stack.compose("build", "--parallel", seconds=1500, COMPOSE_PROFILES=",".join(PROVIDERS))
    return IMAGES


@pytest.fixture(scope="module")
def stack(client: docker.DockerClient, images: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with three producers of `random`, healthy."""
    variables = {"COMPOSE_PROFILES": "random", "RANDOM_LATENCY_SECONDS": "0.6", "PIP_FIND_LINKS": ""}
    with Stack(client, tmp_path_factory.mktemp("stack"), variables).running("--scale", "producer-random=3") as stack:
        yield stack


@pytest.fixture
async def stack_bus(stack: Stack) -> AsyncIterator[Bus]:
    """A connection of the test's own to the stack's NATS."""
    bus = await stack.connect()
    yield bus
    await bus.close()
