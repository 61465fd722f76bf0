"""`GET /api/runs/<run>/events`: a run as server-sent events, resumable from any point."""

import structlog
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.gateway.addresses import origin_of
from services.gateway.clients import SEND_SECONDS, Clients
from services.gateway.follower import Follower
from services.gateway.frames import parse_event_id
from services.gateway.metrics import Metrics, metrics_of
from services.gateway.problems import Problem
from services.gateway.query import flag
from services.gateway.state import access_of, view_of
from services.gateway.view import NO_BUS, NO_STREAMS, View
from shared import subjects
from shared.bus import Bus, BusError
from shared.streams import RESULTS

log = structlog.get_logger()


class EventStream(EventSourceResponse):
    """Pre-rendered events to one client. The heartbeats are events of ours, so that the page sees them too."""

    def __init__(self, follower: Follower, clients: Clients, address: str, metrics: Metrics) -> None:
        super().__init__(follower.events(), ping=0)
        self._clients = clients
        self._address = address
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._clients.one_more(self._address, send) as client:
            await super().__call__(scope, receive, client.send)
        if client.scope.cancelled_caught:  # its socket is closed by TCP_USER_TIMEOUT, see server.listen
            self._metrics.dropped.inc()
            log.info("client.stalled", path=scope["path"], seconds=SEND_SECONDS)


async def events(request: Request) -> Response:
    """Stream a run's events after the client's last one; 204 tells a client that has them all not to come back."""
    view, metrics = view_of(request), metrics_of(request)
    address = origin_of(request.scope)
    try:
        view.clients.require_room(address)
    except Problem:
        metrics.refused.inc()
        raise
    duplicates = flag(request, "duplicates")
    known = await view.require_run(request.path_params["run"])
    bus = view.require_bus()
    if not view.list.epoch:
        raise Problem(503, NO_STREAMS)
    last_id = request.headers.get("last-event-id") or request.query_params.get("last_id", "")
    place = await _place(view, bus, last_id) if last_id else 0
    if place and await _has_all(bus, known.state.run, place):
        return Response(status_code=204)
    access = access_of(request)
    session = access.session(request.headers)
    follower = Follower(
        view,
        bus,
        known,
        metrics,
        place=place or 0,
        reset=place is None,
        duplicates=duplicates,
        signed_out=lambda: access.is_signed_out(session),
    )
    return EventStream(follower, view.clients, address, metrics)


async def _place(view: View, bus: Bus, last_id: str) -> int | None:
    """The place that an event id means in the present log, or None if it means none."""
    parsed = parse_event_id(last_id)
    if parsed is None or parsed[0] != view.list.epoch:
        return None
    if parsed[1] > view.list.head and parsed[1] > (await _ask_log(bus)):
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
