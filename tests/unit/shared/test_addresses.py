"""An address of NATS may hold a password, which reaches no log."""

import asyncio

import pytest
import structlog

from shared.bus import connect
from shared.connection import CREDENTIALS
from tests.conftest import eventually


async def test_a_password_in_the_address_is_not_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        connecting = asyncio.ensure_future(connect("nats://user:geheim@127.0.0.1:1", "test"))
        await eventually(lambda: logs)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)

    assert "geheim" not in str(logs)
    assert logs[0]["url"] == "nats://…@127.0.0.1:1"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("nats://user:pass@word@host:4222", "nats://…@host:4222"),
        ("user:word@host:4222,nats://other:word@two:4222", "…@host:4222,nats://…@two:4222"),
        ("nats://host:4222", "nats://host:4222"),
    ],
)
def test_every_password_of_every_address_is_hidden(address: str, shown: str) -> None:
    assert CREDENTIALS.sub(r"\1…@", address) == shown
