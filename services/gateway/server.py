"""The listening socket and the HTTP server on it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from services.gateway.access import SHORTEST_TOKEN
from services.gateway.clients import MAX_CLIENTS
from services.gateway.hosts import is_loopback

BACKLOG = 512
"""Connections waiting to be taken: all clients of a restarted gateway come back within seconds."""

STALLED_SECONDS = 8
"""Unacknowledged bytes close a connection after this long. Without it a stalled client keeps its socket for ever. Longer than
`clients.SEND_SECONDS`: the kernel ends all that stalled together at one moment, and what is left of them must be little."""

SEND_BUFFER = 64 * 1024
"""Bytes the kernel holds for one client: enough for any burst, small when a thousand clients stall."""

HEAD_SECONDS = 10.0
"""For a connection to bring a whole request head: a person's browser takes a millisecond, a hundred idle sockets for ever."""

MAX_CONNECTIONS = MAX_CLIENTS + 500
"""All event streams, and as many pages and tools besides; whoever comes then gets a 503 at once."""

GRACE_SECONDS = 3
"""For clients to take their last events once the gateway stops; then they are cut off."""


def listen(host: str, port: int, *, guarded: bool = False) -> socket.socket:
    """Take the address; port 0 takes a free one.

    Exits with one line if it cannot be had, or if others than this machine could reach it and nothing guards it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if not (guarded or is_loopback(str(address[0]))):
            raise SystemExit(
                f"HOST is {host}, which other machines can reach. Set GATEWAY_TOKEN to a secret of at least {SHORTEST_TOKEN}"
                " characters, or leave HOST at 127.0.0.1."
            )
        with contextlib.ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the kernel's own, longer time applies
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_SECONDS * 1000)
            listener.bind(address)
            listener.listen(BACKLOG)
            on_failure.pop_all()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SystemExit(f"Cannot serve on {host} port {port}: {reason}. Free it, or choose another with PORT.") from error
    return listener


def address(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn, ended by `should_exit` alone: its own signal handlers would take the place of the service's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Connection(H11Protocol):
    """One connection, closed when no request comes: uvicorn waits for ever for the rest of a head that was begun."""

    _last: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        super().connection_made(transport)
        self._checking = self.loop.call_later(HEAD_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._checking.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if answered and self.cycle is self._last:
            self.transport.close()
            return
        self._last = self.cycle
        self._checking = self.loop.call_later(HEAD_SECONDS, self._close_if_silent)


def make_server(app: ASGIApp) -> Server:
    """A server for `serve(sockets=[listener])`."""
    return Server(
        uvicorn.Config(
            app,
            http=Connection,
            limit_concurrency=MAX_CONNECTIONS,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",  # what fails is logged by guard, with its request
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
