"""`launcher provision`: makes the streams where no launcher runs the stack."""

import asyncio
import sys

from services.launcher import durability
from services.launcher.connection import StreamSettings, make_streams, reach
from services.launcher.errors import StartError
from shared.roles import PROVISION
from shared.service import environment, load


def provision(replicas: int | None, *, accept_unsynced: bool | None = None) -> int:
    """Make the streams, consumers and buckets on the NATS at NATS_URL; harmless when they are there."""
    try:
        wanted = load(StreamSettings, environment(), stream_replicas=replicas, accept_unsynced=accept_unsynced)
        asyncio.run(_provision(wanted))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _provision(settings: StreamSettings) -> None:
    bus = await reach(settings.nats_url, settings.access(PROVISION))
    try:
        await durability.require(settings.nats_url, settings.nats_monitor_url, None, accept_unsynced=settings.accept_unsynced)
        await make_streams(bus, settings.stream_replicas)
    finally:
        await bus.close()
