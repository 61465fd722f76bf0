"""`launcher provision`: makes the streams where no launcher runs the stack."""

import asyncio
import sys

from services.launcher.connection import make_streams, reach
from services.launcher.errors import StartError
from shared.service import Settings, environment, load


def provision() -> int:
    """Make the streams, consumers and buckets on the NATS at NATS_URL; harmless when they are there."""
    try:
        asyncio.run(_provision(load(Settings, environment()).nats_url))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _provision(url: str) -> None:
    bus = await reach(url)
    try:
        await make_streams(bus)
    finally:
        await bus.close()
