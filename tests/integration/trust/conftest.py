"""A stage that the tests of a module share: all that they try happens to one orchestrator."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.trust.stage import Insider, Producers, Stage, joined


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Stage(tmp_path_factory.mktemp("trust")) as set_up:
        yield set_up


# Who leaves while he waits for a task takes the next one along, until it is handed out again: so these stay.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor(stage: Stage) -> AsyncIterator[Producers]:
    """Honest producers, at work."""
    async with joined(Producers(stage.honest)) as at_work:
        yield at_work


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def insider(stage: Stage) -> AsyncIterator[Insider]:
    """Hostile producers that are given tasks; a test says what they make of them."""
    async with joined(Insider(stage.hostile)) as at_work:
        yield at_work
