"""A gateway on a real bus, with a stand-in for the orchestrator."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.bus import Bus
from tests.integration.gateway.kit import Orchestrator, gateway, ready


@pytest.fixture
async def orchestrator(bus: Bus) -> Orchestrator:
    """It answers."""
    return await Orchestrator(bus).answer()


@pytest.fixture
async def client(nats_url: str, orchestrator: Orchestrator) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that has found bus, log and orchestrator."""
    async with gateway(nats_url) as ready_client:
        await ready(ready_client)
        yield ready_client
