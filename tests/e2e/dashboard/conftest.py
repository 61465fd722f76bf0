"""A browser, and a gateway with a stand-in for the orchestrator behind it."""

import os
import shutil
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser

from shared.bus import Bus
from tests.conftest import eventually
from tests.e2e.chromium import CHROMIUM, chromium
from tests.integration.gateway.kit import Orchestrator, gateway, ready, status_of


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if shutil.which(CHROMIUM) is None and not os.environ.get("CI"):
        pytest.skip(f"there is no browser at {CHROMIUM}")
    async with chromium() as started:
        yield started


@pytest.fixture
async def orchestrator(bus: Bus) -> Orchestrator:
    return await Orchestrator(bus).answer()


@pytest.fixture
async def client(nats_url: str, orchestrator: Orchestrator) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(nats_url) as served:
        await ready(served)
        await orchestrator.write()
        await eventually(lambda: status_of(served))
        yield served
