"""Many clients of an event stream in one process: bare sockets that count and time what comes."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator

PER_ADDRESS = 50
"""Clients of one loopback address, below the gateway's cap."""

SENT = re.compile(rb"sent=(\d+)")


class Watcher(asyncio.Protocol):
    """One client. Events carry the time they were published in their text, as `sent=<nanoseconds>`."""

    def __init__(self) -> None:
        self.events = 0
        self.delays: list[float] = []
        self.timing = False
        self.began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a stream; uvloop's own class derives from nothing

    def ask(self, path: str, host: str, last_id: str = "") -> None:
        """Send the request."""
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{resume}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data = self._rest + data
        whole = data.rfind(b"\n\n") + 2
        data, self._rest = data[:whole], data[whole:]
        self.events += data.count(b"event: accepted\n")
        if self.timing:
            self.delays += [(now - int(sent)) / 1e6 for sent in SENT.findall(data)]
        if not self.began.done() and b"event: hello\n" in data:
            self.began.set_result(None)
        if not self.done.done() and b"event: done\n" in data:
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        for waiting in (self.began, self.done):
            if not waiting.done():
                waiting.set_exception(error or ConnectionError("the server closed the stream"))
                waiting.exception()  # looked at, so that nobody complains of those who do not wait


@contextlib.asynccontextmanager
async def watchers(port: int, number: int) -> AsyncIterator[list[Watcher]]:
    """That many connected clients, which have asked for nothing yet."""
    loop = asyncio.get_running_loop()
    found: list[Watcher] = []
    try:
        for n in range(number):
            source = (f"127.0.1.{1 + n // PER_ADDRESS}", 0)
            _, watcher = await loop.create_connection(Watcher, "127.0.0.1", port, local_addr=source)
            found.append(watcher)
        yield found
    finally:
        for watcher in found:
            watcher.transport.abort()
