"""One HTTP connection: what it may send, for how long, and how it is closed."""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from services.gateway.addresses import origin
from services.gateway.audit import Audit
from services.gateway.places import Places
from services.gateway.problems import respond

HEAD_SECONDS = 10.0
"""For a connection to bring a whole request head: a person's browser takes a millisecond, a hundred idle sockets for ever."""

MAX_BODY = 8 * 1024
"""Bytes of a request's body: a topic has at most 200 characters, the rest is numbers."""

TOO_LONG = f"The body is longer than {MAX_BODY} bytes."

MAX_PIECES = 256
"""Parts in which a body may come: `MAX_BODY` is five packets or one chunk; of one byte each, parsing them takes seconds."""

LINGER_SECONDS = 2.0
"""For a client that was answered before it had sent everything to read the answer and to stop."""

LINGER_BYTES = 1024 * 1024
"""That it may send meanwhile. They are dropped as they come, and looked at by nobody."""


class Connection(H11Protocol):
    """One connection.

    A body is parsed only for a route that reads it, and then within `MAX_BODY` and `MAX_PIECES`. A request that is answered
    without it is the connection's last: the rest of the body could be told from a next request only by parsing all of it.
    A connection that brings no request is closed: uvicorn waits for ever for the rest of a head that was begun.
    """

    def __init__(
        self, places: Places, audit: Audit, config: Config, server_state: ServerState, app_state: dict[str, Any], **more: Any
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, **more)
        self.conn: _Parser = _Parser(self._begin_discarding)
        self.origin = ""
        self._places = places
        self._audit = audit
        self._last: RequestResponseCycle | None = None
        self._discarded: int | None = None
        """Bytes dropped since nothing is parsed any more; None before."""
        self._ending = False
        self._socket: asyncio.Transport

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def know(self) -> bool:
        """Note that the token or a session was shown; False when there are too many such connections."""
        return self._places.know(self)

    def drop(self) -> None:
        """Close without a word."""
        self._socket.abort()

    def begin_body(self) -> None:
        """Parse the body of the request that is under way, from now on."""
        if self.conn.holds and not self.transport.is_closing():
            self.conn.holding = False
            self.handle_events()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        self._socket = transport
        super().connection_made(_Lingering(transport, self._end))  # type: ignore[arg-type]  # it has all that uvicorn uses
        self.origin = origin(self.client[0]) if self.client else ""
        self._places.take(self)
        self._checking = self.loop.call_later(HEAD_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._checking.cancel()
        self._places.leave(self)
        self.app_state = {}  # names this connection, which would wait for the collector of cycles
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._discarded is None:
            super().data_received(data)
            return
        self._discarded += len(data)
        if self._discarded > LINGER_BYTES:
            self.drop()

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.holds and not self.transport.is_closing():
            self.flow.pause_reading()  # until a route asks for the body, or the answer has begun

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed, or is more than may be sent; uvicorn fails when the answer has begun already."""
        self._begin_discarding()
        self._audit.cut_off(self.client[0] if self.client else "", self.conn.refusal[0])
        if not self.idle:
            self.cycle.disconnected = True  # its route is told, and what it answers is not sent
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = respond(self.conn.refusal[0], self.conn.refusal[1], {"Connection": "close"})
            head = h11.Response(status_code=answer.status_code, headers=answer.raw_headers)
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self._socket.write(self.conn.send(event) or b"")
        self.transport.close()

    def shutdown(self) -> None:
        if self._ending or self.conn.our_state is h11.ERROR:
            self.drop()
        else:
            super().shutdown()

    def _begin_discarding(self) -> None:
        if self._discarded is None:
            self._discarded = 0
            self.flow.resume_reading()  # that the client goes away is seen only by reading

    def _end(self) -> None:
        """Close. A socket that is closed with bytes unread takes the answer back from the client: it sees a reset instead."""
        if self._discarded is None or self._socket.is_closing():
            self._socket.close()
        elif not self._ending:
            self._ending = True
            self._socket.resume_reading()
            self._socket.write_eof()
            self._checking.cancel()
            self._checking = self.loop.call_later(LINGER_SECONDS, self.drop)

    def _close_if_silent(self) -> None:
        if self.idle and self.cycle is self._last:
            self._socket.close()
            return
        self._last = self.cycle
        self._checking = self.loop.call_later(HEAD_SECONDS, self._close_if_silent)


def connection_of(scope: Scope) -> Connection | None:
    """The connection that a request came on; None in an application that another server runs."""
    connection: Connection | None = scope.get("state", {}).get("connection")
    return connection


class _Parser(h11.Connection):
    """h11, told when to stop."""

    def __init__(self, on_early_answer: Callable[[], None]) -> None:
        super().__init__(h11.SERVER)
        self.holding = False
        """Whether nothing of the present request's body may be parsed yet."""
        self.refusal = (400, "This is no HTTP request.")
        self._on_early_answer = on_early_answer
        self._size = self._pieces = 0

    @property
    def holds(self) -> bool:
        """Whether there is a body that may not be parsed yet."""
        return self.holding and self.their_state is h11.SEND_BODY

    def next_event(self) -> Any:
        if self.holds:
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._begin(dict(event.headers))
        elif isinstance(event, h11.Data):
            self._count(len(event.data))
        return event

    def send(self, event: Any) -> Any:
        if isinstance(event, h11.Response) and self.their_state is h11.SEND_BODY:
            headers = [(name, value) for name, value in event.headers if name != b"connection"]
            event = h11.Response(
                status_code=event.status_code, headers=[*headers, (b"connection", b"close")], reason=event.reason
            )
            self._on_early_answer()
        return super().send(event)

    def _begin(self, headers: dict[bytes, bytes]) -> None:
        coded, length = b"transfer-encoding" in headers, headers.get(b"content-length")
        self.holding, self._size, self._pieces = coded or int(length or 0) > 0, 0, 0
        if coded and length is not None:
            self._refuse(400, "A request has either Content-Length or Transfer-Encoding: with both, servers differ on its end.")

    def _count(self, size: int) -> None:
        self._size += size
        self._pieces += 1
        if self._size > MAX_BODY:
            self._refuse(413, TOO_LONG)
        if self._pieces > MAX_PIECES:
            self._refuse(413, f"The body comes in more than {MAX_PIECES} pieces.")

    def _refuse(self, status: int, detail: str) -> None:
        self.refusal = (status, detail)
        raise h11.RemoteProtocolError(detail)


class _Lingering:
    """A transport that is closed as the connection says."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self._transport = transport
        self._end = end
        self._closing = False

    def close(self) -> None:
        self._closing = True
        self._end()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
