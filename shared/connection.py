"""The connection to NATS: opened, watched, and closed."""

import asyncio
import contextlib
import re

import nats.errors
import structlog
from nats.aio.client import Client

from shared import metrics, waits

CREDENTIALS = re.compile(r"//[^@/]*@")
"""User and password in an address: they reach no log."""

log = structlog.get_logger()


class _Client(Client):
    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """As the client's own, without asking of each character of each name whether it is a space: twice as many a second."""
        parts = (line.partition(":") for line in raw.decode(errors="replace").split("\r\n"))
        return {name.strip(): value.strip() for name, colon, value in parts if colon}


async def open_client(url: str, name: str, closed: asyncio.Event) -> Client:
    """Connect to NATS, waiting for as long as it takes and saying so once; `closed` is set when it is lost for good."""
    shown = CREDENTIALS.sub("//…@", url)
    client = _Client()
    waiting = False

    async def on_error(error: Exception) -> None:
        nonlocal waiting
        reason = str(error) or type(error).__name__
        if client.is_connected:
            log.warning("bus.error", error=reason)
        elif not waiting and not client.is_reconnecting:
            waiting = True  # say it once, not at every attempt
            hint = "start NATS or set NATS_URL; trying again until it answers"
            log.warning("bus.waiting", url=shown, reason=reason, hint=hint)

    async def on_closed() -> None:
        closed.set()

    async def on_disconnected() -> None:
        if not client.is_closed:
            log.warning("bus.disconnected", url=shown)

    async def on_reconnected() -> None:
        metrics.RECONNECTS.add()
        log.info("bus.reconnected", url=shown)

    try:
        await client.connect(
            [server.strip() for server in url.split(",")],
            name=name,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=waits.RECONNECT_SECONDS,  # type: ignore[arg-type]  # annotated int, used as any number of seconds
            ping_interval=10,
            max_outstanding_pings=2,
            error_cb=on_error,
            closed_cb=on_closed,
            disconnected_cb=on_disconnected,
            reconnected_cb=on_reconnected,
        )
    except BaseException:  # told to stop meanwhile: the half-made connection would stay open for ever
        await close_client(client)
        raise
    return client


async def close_client(client: Client) -> None:
    """Send what is buffered and close the connection.

    Not the client's `drain`: it waits for ever on a subscription whose reader was cancelled.
    """
    with contextlib.suppress(nats.errors.Error, TimeoutError):
        if client.is_connected:
            await client.flush(timeout=2)
    with contextlib.suppress(nats.errors.Error, TimeoutError):
        await asyncio.wait_for(client.close(), 2)
