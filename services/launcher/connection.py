"""Reaching a NATS that somebody else runs, or not for long."""

import asyncio

from services.launcher.errors import StartError
from shared.bus import Bus, BusError, connect

CONNECT_SECONDS = 10.0


async def reach(url: str) -> Bus:
    """Connect to NATS. Raises StartError when it does not let us in within `CONNECT_SECONDS`."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await connect(url, "launcher")
    except TimeoutError as error:
        hint = "Start it, or leave NATS_URL out to have one started"
        raise StartError(f"No NATS lets us in at the address in NATS_URL within {CONNECT_SECONDS:g} s. {hint}") from error


async def make_streams(bus: Bus) -> None:
    """Make the streams, or bring them up to date. Raises StartError when NATS does not let us."""
    try:
        await bus.provision()
    except BusError as error:
        raise StartError(f"NATS does not let us make our streams: {error}") from error
