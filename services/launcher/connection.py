"""Reaching a NATS that somebody else runs, or not for long."""

import asyncio
from dataclasses import replace
from typing import Annotated

from msgspec import Meta

from services.launcher.errors import StartError
from shared.bus import Access, Bus, BusError, Denied, connect
from shared.service import Settings

CONNECT_SECONDS = 10.0


class StreamSettings(Settings, frozen=True, kw_only=True):
    """What whoever makes the streams may be told."""

    stream_replicas: Annotated[int, Meta(ge=1, le=5)] | None = None
    """On how many servers of a cluster each stream is kept; by default as many as it is now, and 1 when it is new."""
    nats_monitor_url: str = ""
    """HTTP monitoring address of a NATS that is joined, to see that it writes through to disk."""
    accept_unsynced: bool = False
    """Join it even if it may not: a power cut may then lose what was acknowledged."""


async def reach(url: str, access: Access) -> Bus:
    """Connect to NATS. Raises StartError when it does not let us in, or does not answer within `CONNECT_SECONDS`."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await connect(url, "launcher", replace(access, patient=False))
    except TimeoutError as error:
        hint = "Start it, or leave NATS_URL out to have one started"
        raise StartError(f"No NATS answers at the address in NATS_URL within {CONNECT_SECONDS:g} s. {hint}") from error
    except Denied as error:
        raise StartError(f"The NATS at the address in NATS_URL does not let us in: {error}") from error


async def make_streams(bus: Bus, replicas: int | None = None) -> None:
    """Make the streams, or bring them up to date. Raises StartError when NATS does not let us."""
    try:
        await bus.provision(replicas)
    except (BusError, Denied) as error:
        raise StartError(f"NATS does not let us make our streams: {error}") from error
