"""Reading what a client sends: JSON, bounded, and only from our own page or from a tool."""

import asyncio
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request

from services.gateway.connection import MAX_BODY, TOO_LONG, connection_of
from services.gateway.problems import Problem

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

BODY_SECONDS = 10.0
"""For all of a body to come."""


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request. Raises Problem when it is none, is too long, or is not said to be JSON."""
    body = await read_body(request)
    try:
        value = msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Problem(400, 'The body must be a JSON object such as {"topic": "Paris attractions"}.')
    return value


async def read_field(request: Request, name: str) -> str:
    """A field of a form that a page of ours sent; empty when it is not there. Raises Problem as `read_body` does."""
    fields = parse_qs((await read_body(request, FORM)).decode("ascii", "replace"))
    return fields.get(name, [""])[0]


async def read_body(request: Request, kind: str = JSON) -> bytes:
    """The body. Raises Problem when it is longer than `MAX_BODY`, or not empty and of another kind, ClientDisconnect when its
    client goes away. Only a route that calls this has the body parsed, see `connection`."""
    if int(request.headers.get("content-length", "0")) > MAX_BODY:  # digits, as the server has seen to
        raise Problem(413, TOO_LONG)
    if connection := connection_of(request.scope):
        connection.begin_body()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Problem(413, TOO_LONG)
    except TimeoutError as error:
        raise Problem(408, f"The body did not come within {BODY_SECONDS:g} s.") from error
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if (body or said) and said != kind:
        raise Problem(415, f"The header Content-Type must be {kind}, and the body of that kind.")
    return bytes(body)
