"""A TCP proxy on the loopback that hurts what passes: the network's faults, made to order and without privileges.

async with Proxy(port) as link:
    link.latency = 0.05        # each piece that many seconds late, `jitter` more at random
    link.bandwidth = 8000      # bytes a second, each way
    link.cut_after(1234)       # break the connection off once so many more bytes have passed
    link.inject(b"-ERR\\r\\n")  # say something to the client that the server did not say
    link.reset()               # RST every connection
    link.hold(); link.flow()   # nothing passes in either direction, and then again
    link.refuse = True         # new connections are closed at once
"""

import asyncio
import contextlib
import random
import socket
import struct

PIECE = 16 * 1024
"""Bytes passed on at once."""

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST, as a crashed host would."""


class Proxy:
    """One link between a service and its server."""

    def __init__(self, port: int, host: str = "127.0.0.1", seed: int = 0) -> None:
        self.latency = 0.0
        self.jitter = 0.0
        self.bandwidth = 0.0
        self.refuse = False
        self.connections = 0
        """So far."""
        self._target = port
        self.host = host
        self._chance = random.Random(seed)  # noqa: S311  # must repeat, need not be secret
        self._left: int | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._connected, self.host, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    # ---- what can be done to it ------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Let nothing pass; connections stay open, as when a cable is pulled."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything pass again, what was held first."""
        self._flowing.set()

    def reset(self) -> None:
        """Break every connection off. What was on its way is gone."""
        for writer in list(self._open):
            self._abort(writer)

    def cut_after(self, count: int) -> None:
        """Break every connection off once so many more bytes have passed, wherever in a message that is."""
        self._left = count

    def inject(self, data: bytes) -> None:
        """Send something to every client."""
        for writer in list(self._clients):
            with contextlib.suppress(OSError, RuntimeError):
                writer.write(data)

    def heal(self) -> None:
        """Be an ordinary wire again."""
        self.latency = self.jitter = self.bandwidth = 0.0
        self.refuse = False
        self._left = None
        self.flow()

    # ---- the wire --------------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            await self._flowing.wait()
            if not self.refuse:
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            return  # the proxy is closing; the server would log it as an error of ours
        finally:
            self._abort(writer)
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        self.connections += 1
        self._open.add(server_writer)
        self._clients.add(writer)
        ways = [
            asyncio.ensure_future(self._pass_on(reader, server_writer)),
            asyncio.ensure_future(self._pass_on(server_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._clients.discard(writer)
            self._abort(server_writer)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                if wait := self._delay(len(data)):
                    await asyncio.sleep(wait)
                await self._flowing.wait()
                if self._left is not None:
                    data, self._left = data[: self._left], self._left - len(data)
                writer.write(data)
                await writer.drain()
                if self._left is not None and self._left <= 0:
                    self._left = None
                    self.reset()

    def _delay(self, count: int) -> float:
        slow = count / self.bandwidth if self.bandwidth else 0.0
        return self.latency + self._chance.uniform(0, self.jitter) + slow

    def _abort(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        found = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        with contextlib.suppress(RuntimeError):
            writer.transport.abort()
