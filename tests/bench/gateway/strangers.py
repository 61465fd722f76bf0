"""Clients without a token that hold on to a gateway, from one address and all at once: a process of its own.

`python -m tests.bench.gateway.strangers PORT`: prints a line once all are there, and goes on until it is ended.
"""

import asyncio
import contextlib
import sys

IDLE = 1_500
"""Connections that ask for something now and then, so that none is silent."""

EVERY_SECONDS = 3.5
"""Between two requests of each of those; one that was dropped comes back then."""

SLOW = 50
"""Connections that send a body, a byte a second."""

FLOOD = b"1\r\nx\r\n" * (20 * 1024 * 1024 // 6)
"""20 MB of chunks of one byte."""

PART = 64 * 1024

ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class Idle(asyncio.Protocol):
    """A connection that takes what comes."""

    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a stream

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None


async def hold(port: int, first_after: float) -> None:
    """Keep a connection, and keep it from being silent."""
    idle = Idle()
    await asyncio.sleep(first_after)
    while True:
        if idle.transport is None:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().create_connection(lambda: idle, "127.0.0.1", port)
        if idle.transport is not None:
            idle.transport.write(ASK)
        await asyncio.sleep(EVERY_SECONDS)


async def drip(port: int) -> None:
    """Send a body as slowly as can be."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST)
            while not writer.is_closing():
                writer.write(b"1\r\nx\r\n")
                await asyncio.sleep(1)
        await asyncio.sleep(1)


async def flood(port: int) -> None:
    """Send tiny chunks as fast as they are taken, 20 MB a second at most, beginning anew whenever that is ended."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST)
            for first in range(0, len(FLOOD), PART):
                writer.write(FLOOD[first : first + PART])
                await writer.drain()
                await asyncio.sleep(0.003)
        await asyncio.sleep(0.05)


async def main(port: int) -> None:
    everyone = [hold(port, EVERY_SECONDS * number / IDLE) for number in range(IDLE)]
    everyone += [drip(port) for _ in range(SLOW)] + [flood(port)]
    tasks = [asyncio.ensure_future(one) for one in everyone]
    await asyncio.sleep(EVERY_SECONDS)
    sys.stderr.write("all are there\n")
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
