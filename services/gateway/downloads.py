"""`GET /api/runs/<run>/attributes`: the list itself, streamed from the log."""

from collections.abc import AsyncIterator, Callable

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.gateway.problems import Problem
from services.gateway.state import view_of
from services.gateway.view import NO_BUS
from shared import subjects
from shared.bus import BusError, Malformed, Stored, decode
from shared.messages import Accepted
from shared.streams import RESULTS

log = structlog.get_logger()


class AttributeView(msgspec.Struct):
    """One attribute of the JSON form."""

    ordinal: int
    text: str
    provider: str
    model: str
    producer: str
    at: str


async def attributes(request: Request) -> Response:
    """Stream a run's attributes in order, as text (one a line) or as a JSON array."""
    view = view_of(request)
    form = request.query_params.get("format", "json")
    if form not in FORMS:
        raise Problem(422, f"format must be one of {', '.join(FORMS)}.")
    run = (await view.require_run(request.path_params["run"])).state.run
    batches = view.require_bus().history(RESULTS.name or "", [subjects.accepted_of_run(run)])
    try:
        first: list[Stored] = await anext(batches, [])  # before the first byte, a missing bus can still be told
    except BusError as error:
        raise Problem(503, NO_BUS) from error
    media_type, render = FORMS[form]
    headers = {"Content-Disposition": f'attachment; filename="{run}.{form}"'}
    return StreamingResponse(render(_attributes(first, batches)), headers=headers, media_type=media_type)


async def _attributes(first: list[Stored], rest: AsyncIterator[list[Stored]]) -> AsyncIterator[list[Accepted]]:
    yield _decoded(first)
    async for batch in rest:
        yield _decoded(batch)


def _decoded(batch: list[Stored]) -> list[Accepted]:
    found = []
    for stored in batch:
        try:
            found.append(decode(Accepted, stored.data))
        except Malformed as error:
            log.warning("entry.malformed", subject=stored.subject, sequence=stored.sequence, error=str(error))
    return found


async def _text(batches: AsyncIterator[list[Accepted]]) -> AsyncIterator[bytes]:
    async for batch in batches:
        yield "".join(" ".join(item.text.splitlines()) + "\n" for item in batch).encode("utf-8", "replace")


async def _json(batches: AsyncIterator[list[Accepted]]) -> AsyncIterator[bytes]:
    before = b"[\n"
    async for batch in batches:
        for item in batch:
            yield before + msgspec.json.encode(msgspec.convert(item, AttributeView, from_attributes=True))
            before = b",\n"
    yield (b"[" if before == b"[\n" else b"\n") + b"]\n"


Render = Callable[[AsyncIterator[list[Accepted]]], AsyncIterator[bytes]]

FORMS: dict[str, tuple[str, Render]] = {
    "json": ("application/json", _json),
    "txt": ("text/plain; charset=utf-8", _text),
}
