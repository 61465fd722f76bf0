"""An address of NATS may hold a password, which reaches no log."""

import asyncio

import structlog

from shared.bus import connect
from tests.conftest import eventually


async def test_a_password_in_the_address_is_not_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        connecting = asyncio.ensure_future(connect("nats://user:geheim@127.0.0.1:1", "test"))
        await eventually(lambda: logs)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)

    assert "geheim" not in str(logs)
    assert logs[0]["url"] == "nats://…@127.0.0.1:1"
