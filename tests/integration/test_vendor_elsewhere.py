"""A vendor's server that sends a call elsewhere, or packs its answer: nobody is asked there, and nothing is unpacked."""

import asyncio
import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product

import pytest

from services.producer.adapters.contract import ModelError
from tests.integration.vendor_producer import BUILDS, KEYS, MODELS, PATIENT, a_task

BOMB = gzip.compress(b"x" * 1024 * 1024)
"""A megabyte that is a thousandth of it on its way."""


class Server(ThreadingHTTPServer):
    """Answers every request with one status, header and body, and keeps what it was sent."""

    def __init__(self, status: int, header: tuple[str, str] = ("X", ""), body: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answer = (status, header, body)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        status, (name, value), body = self.server.answer
        self.server.asked.append(str(self.headers))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def call(provider: str, url: str) -> str:
    """What comes of one call, in words."""
    variables = {f"{provider.upper()}_API_KEY": KEYS[provider], f"{provider.upper()}_BASE_URL": url}
    adapter = BUILDS[provider](variables, (MODELS[provider],), PATIENT)
    try:
        async with asyncio.timeout(20):
            with pytest.raises(ModelError) as error:
                async for _ in adapter.complete(a_task(provider, model=MODELS[provider])):
                    pass
        return str(error.value)
    finally:
        await adapter.close()


@pytest.mark.parametrize(("provider", "status"), [*product(BUILDS, (301, 302, 303, 307, 308))])
async def test_a_call_that_is_sent_elsewhere_is_not_made_there(provider: str, status: int) -> None:
    with serving(Server(200)) as elsewhere, serving(Server(status, ("Location", f"{elsewhere.url}/v1"))) as vendor:
        await call(provider, vendor.url)

        assert len(vendor.asked) >= 1
        assert elsewhere.asked == []


@pytest.mark.parametrize("provider", BUILDS)
async def test_an_answer_that_is_packed_is_not_unpacked(provider: str) -> None:
    with serving(Server(200, ("Content-Encoding", "gzip"), BOMB)) as vendor:
        assert "compressed answer" in await call(provider, vendor.url)
        assert all("accept-encoding: identity" in head.lower() for head in vendor.asked)
