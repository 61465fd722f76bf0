"""`GET /api/runs/<run>/attributes`: the list itself, streamed from the log."""

import csv
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.gateway.problems import Problem
from services.gateway.query import number
from services.gateway.state import view_of
from services.gateway.view import NO_BUS
from shared import subjects
from shared.bus import BusError, Malformed, Stored, decode
from shared.messages import Accepted
from shared.streams import RESULTS

log = structlog.get_logger()

MOST = 10_000_000
"""Attributes of one run, at most."""

FORMULA = re.compile(r"""(^|;)(?=[\s"']*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20])""")
"""Where a spreadsheet would begin a formula, were there no apostrophe: at the begin of a cell, and where programs that separate
by semicolon begin the next, with spaces and quotes before it, and in the wide forms that some take for the same."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What begins a cell or a line in some program, or means something to a terminal."""


class AttributeView(msgspec.Struct):
    """One attribute of the JSON, JSON lines and CSV forms."""

    ordinal: int
    text: str
    provider: str
    model: str
    producer: str
    facet: str
    at: str


COLUMNS = AttributeView.__struct_fields__


async def attributes(request: Request) -> Response:
    """Stream a run's attributes in order: those after ordinal `after`, at most `limit` of them."""
    view = view_of(request)
    form = request.query_params.get("format", "json")
    if form not in FORMS:
        raise Problem(422, f"format must be one of {', '.join(FORMS)}.")
    after = number(request, "after", default=0, lowest=0, highest=MOST)
    limit = number(request, "limit", default=MOST, lowest=1, highest=MOST)
    run = (await view.require_run(request.path_params["run"])).state.run
    batches = view.require_bus().history(RESULTS.name or "", [subjects.accepted_of_run(run)])
    try:
        first: list[Stored] = await anext(batches, [])  # before the first byte, a missing bus can still be told
    except BusError as error:
        raise Problem(503, NO_BUS) from error
    media_type, render = FORMS[form]
    headers = {"Content-Disposition": f'attachment; filename="{run}.{form}"'}
    return StreamingResponse(render(_attributes(first, batches, after, limit)), headers=headers, media_type=media_type)


async def _attributes(
    first: list[Stored], rest: AsyncGenerator[list[Stored], None], after: int, limit: int
) -> AsyncIterator[list[AttributeView]]:
    """The attributes with ordinals above `after` and up to `after + limit`; ordinals have no gaps."""
    async with aclosing(rest):
        batch: list[Stored] | None = first
        while batch is not None:
            found = _decoded(batch)
            yield [item for item in found if after < item.ordinal <= after + limit]
            if found and found[-1].ordinal >= after + limit:
                return
            batch = await anext(rest, None)


def _decoded(batch: list[Stored]) -> list[AttributeView]:
    found = []
    for stored in batch:
        try:
            found.append(msgspec.convert(decode(Accepted, stored.data), AttributeView, from_attributes=True))
        except Malformed as error:
            log.warning("entry.malformed", subject=stored.subject, sequence=stored.sequence, error=str(error))
    return found


async def _text(batches: AsyncIterator[list[AttributeView]]) -> AsyncIterator[bytes]:
    async for batch in batches:
        yield "".join(" ".join(item.text.splitlines()) + "\n" for item in batch).encode("utf-8", "replace")


async def _json(batches: AsyncIterator[list[AttributeView]]) -> AsyncIterator[bytes]:
    before = b"[\n"
    async for batch in batches:
        if batch:
            yield before + b",\n".join(msgspec.json.encode(item) for item in batch)
            before = b",\n"
    yield (b"[" if before == b"[\n" else b"\n") + b"]\n"


async def _json_lines(batches: AsyncIterator[list[AttributeView]]) -> AsyncIterator[bytes]:
    async for batch in batches:
        yield b"".join(msgspec.json.encode(item) + b"\n" for item in batch)


async def _csv(batches: AsyncIterator[list[AttributeView]]) -> AsyncIterator[bytes]:
    yield (",".join(COLUMNS) + "\r\n").encode()
    async for batch in batches:
        lines = io.StringIO()
        csv.writer(lines).writerows([_cell(getattr(item, name)) for name in COLUMNS] for item in batch)
        yield lines.getvalue().encode("utf-8", "replace")


def _cell(value: str | int) -> str:
    """A cell that a spreadsheet shows and does not carry out, whatever it separates by: attributes are text by strangers."""
    visible = CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value))
    return FORMULA.sub(r"\1'", visible)


Render = Callable[[AsyncIterator[list[AttributeView]]], AsyncIterator[bytes]]

FORMS: dict[str, tuple[str, Render]] = {
    "json": ("application/json", _json),
    "txt": ("text/plain; charset=utf-8", _text),
    "jsonl": ("application/jsonl", _json_lines),
    "csv": ("text/csv; charset=utf-8", _csv),
}
