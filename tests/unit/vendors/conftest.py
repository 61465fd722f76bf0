"""The server, for the tests of the server."""

from collections.abc import AsyncIterator

import pytest

from tests.vendors.server import VendorServer, vendors


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with vendors() as running:
        yield running
