"""The listening socket and the HTTP server on it."""

import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from services.gateway.access import SHORTEST_TOKEN
from services.gateway.audit import Audit
from services.gateway.connection import Connection
from services.gateway.hosts import is_loopback
from services.gateway.places import Limits, Places

BACKLOG = 512
"""Connections waiting to be taken: all clients of a restarted gateway come back within seconds."""

STALLED_SECONDS = 8
"""Unacknowledged bytes close a connection after this long. Without it a stalled client keeps its socket for ever. Longer than
`clients.SEND_SECONDS`: the kernel ends all that stalled together at one moment, and what is left of them must be little."""

SEND_BUFFER = 64 * 1024
"""Bytes the kernel holds for one client: enough for any burst, small when a thousand clients stall."""

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


def make_server(app: ASGIApp, audit: Audit, limits: Limits | None = None) -> Server:
    """A server for `serve(sockets=[listener])`."""
    return Server(
        uvicorn.Config(
            app,
            http=partial(Connection, Places(limits), audit),  # type: ignore[arg-type]  # called as the class would be
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",  # what fails is logged by guard, with its request
            access_log=False,
            server_header=False,
            proxy_headers=False,  # see app: only those of the proxies that a setting names
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
