"""The HTTP client under all vendors' SDKs: it waits only so long, reads only so much, and takes no web page for an answer."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx2

from services.producer.adapters.contract import Patience

MAX_BYTES = 8 * 1024 * 1024
"""Of one answer on the wire: 17,000 tokens, the most that a task may ask for, each in an event of nearly 500 bytes."""

MAX_ERROR_BYTES = 64 * 1024
"""Of a refusal; the rest of an error page is no reason."""

SDK_LOGGERS = ("openai", "anthropic", "google_genai", "httpx2", "httpcore2")
"""They can be told, by variables of their own, to log requests: keys and topics have no place in a log."""


class Unreadable(ValueError):
    """Raised when a response is none of a model: a web page, compressed though nobody asked for it, or without end."""


def client(patience: Patience) -> httpx2.AsyncClient:
    """A client that an SDK takes in place of its own. Proxies of the environment are used as by any other."""
    timeout = httpx2.Timeout(patience.first, connect=patience.connect).as_dict()

    async def on_request(request: httpx2.Request) -> None:
        request.extensions["timeout"] = timeout  # else google-genai waits for ever, or tells the server when to give up

    async def on_response(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Unreadable("the server sent a compressed answer, which was not asked for")
        if response.status_code == 200 and "text/html" in response.headers.get("content-type", ""):
            raise Unreadable("a web page came instead of an answer: check the base URL and the network's sign-in")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, patience, is_error=response.is_error)

    for name in SDK_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return httpx2.AsyncClient(
        headers={"accept-encoding": "identity"},  # what is small when packed may be endless when unpacked
        event_hooks={"request": [on_request], "response": [on_response]},
    )


class _Bounded(httpx2.AsyncByteStream):
    """A body that comes in time and has an end."""

    def __init__(self, body: httpx2.AsyncByteStream, patience: Patience, *, is_error: bool) -> None:
        self._body = body
        self._patience = patience
        self._is_error = is_error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._body)
        read, wait = 0, self._patience.first
        while (piece := await self._next(pieces, wait)) is not None:
            read, wait = read + len(piece), self._patience.between
            if self._is_error and read > MAX_ERROR_BYTES:
                return
            if read > MAX_BYTES:
                raise Unreadable(f"the answer was cut off after {MAX_BYTES // 1024 // 1024} MB: no list is that long")
            yield piece

    async def _next(self, pieces: AsyncIterator[bytes], seconds: float) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                return await anext(pieces, None)
        except TimeoutError:
            raise httpx2.ReadTimeout(f"no byte for {seconds:g} s") from None

    async def aclose(self) -> None:
        await self._body.aclose()
