"""Reading what a client sends: JSON, bounded, and only from our own page or from a tool."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request

from services.gateway.problems import Problem

MAX_BODY = 8 * 1024
"""Bytes of a request: a topic has at most 200 characters, the rest is numbers."""

MAX_DISCARDED = 1024 * 1024
"""Bytes read beyond that before the answer: a client that is still sending would not see it otherwise."""


BODY_SECONDS = 10.0
"""For all of it to come."""


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


async def read_body(request: Request) -> bytes:
    """The body. Raises Problem when it is longer than `MAX_BODY`, or not empty and not said to be JSON."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_DISCARDED:
                    break
    except TimeoutError as error:
        raise Problem(408, f"The body did not come within {BODY_SECONDS:g} s.") from error
    if len(body) > MAX_BODY:
        raise Problem(413, f"The body is longer than {MAX_BODY} bytes.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if (body or kind) and kind != "application/json":
        raise Problem(415, "Send JSON: the header Content-Type must be application/json.")
    return bytes(body)
