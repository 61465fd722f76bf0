"""`GET /api/runs/<run>/events`: a run as server-sent events, resumable from any point."""

import contextlib
from collections.abc import Iterator

import structlog
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.gateway.follower import Follower
from services.gateway.frames import parse_event_id
from services.gateway.problems import Problem
from services.gateway.state import view_of
from services.gateway.view import NO_BUS, NO_STREAMS, View
from shared import subjects
from shared.bus import Bus, BusError
from shared.streams import RESULTS

log = structlog.get_logger()

SEND_SECONDS = 5.0
"""A client that takes nothing for this long is dropped; it comes back with its last id and misses nothing."""

MAX_CLIENTS = 1000
"""Event streams at once: about 40 KB each, and within the usual limit of open files."""


class Clients:
    """How many event streams are open."""

    def __init__(self, limit: int = MAX_CLIENTS) -> None:
        self.open = 0
        self._limit = limit

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def require_room(self) -> None:
        if self.open >= self._limit:
            raise Problem(503, f"{self._limit} clients are watching already; try again later.")


class EventStream(EventSourceResponse):
    """Pre-rendered events to one client. The heartbeats are events of ours, so that the page sees them too."""

    def __init__(self, follower: Follower, clients: Clients) -> None:
        super().__init__(follower.events(), ping=0, send_timeout=SEND_SECONDS)
        self._clients = clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._clients.one_more():
            try:
                await super().__call__(scope, receive, send)
            except SendTimeoutError:  # its socket is closed by TCP_USER_TIMEOUT, see server.listen
                log.info("client.stalled", path=scope["path"], seconds=SEND_SECONDS)


async def events(request: Request) -> Response:
    """Stream a run's events after the client's last one; 204 tells a client that has them all not to come back."""
    view = view_of(request)
    clients: Clients = request.app.state.clients
    clients.require_room()
    known = await view.require_run(request.path_params["run"])
    bus = view.require_bus()
    if not view.tail.epoch:
        raise Problem(503, NO_STREAMS)
    last_id = request.headers.get("last-event-id") or request.query_params.get("last_id", "")
    if not last_id:
        return EventStream(Follower(view, bus, known, place=0, reset=False), clients)
    place = await _place(view, bus, last_id)
    if place is None:
        return EventStream(Follower(view, bus, known, place=0, reset=True), clients)
    if await _has_all(bus, known.state.run, place):
        return Response(status_code=204)
    return EventStream(Follower(view, bus, known, place, reset=False), clients)


async def _place(view: View, bus: Bus, last_id: str) -> int | None:
    """The place that an event id means in the present log, or None if it means none."""
    parsed = parse_event_id(last_id)
    if parsed is None or parsed[0] != view.tail.epoch:
        return None
    if parsed[1] > view.tail.head and parsed[1] > (await _ask_log(bus)):
        return None
    return parsed[1]


async def _ask_log(bus: Bus) -> int:
    try:
        return (await bus.head(RESULTS.name or "")).last
    except BusError as error:
        raise Problem(503, NO_BUS) from error


async def _has_all(bus: Bus, run: str, place: int) -> bool:
    """Whether a client at this place has seen the run's last entry."""
    try:
        end = await bus.last(RESULTS.name or "", subjects.finished(run))
    except BusError as error:
        raise Problem(503, NO_BUS) from error
    return end is not None and place >= end.sequence
