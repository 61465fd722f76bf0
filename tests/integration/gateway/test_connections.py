"""What a connection may send, and who gives way when there are too many, at a bare socket."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from services.gateway.connection import LINGER_BYTES, MAX_PIECES
from services.gateway.places import Limits
from tests.conftest import eventually
from tests.integration.gateway.kit import RUN, Orchestrator, gateway, ready, watch

TOKEN = "correct-horse-battery-staple"  # noqa: S105  # of these tests alone
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HEAD = "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
WITH_TOKEN = f"Authorization: Bearer {TOKEN}\r\n"
BYTE = b"1\r\nx\r\n"


class Socket:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def post(self, path: str = "/api/runs", *, more: str = "", body: bytes = b"") -> None:
        self.writer.write(HEAD.format(path=path, more=more).encode() + body)

    async def answer(self) -> str:
        """The head of the next answer and what of its body came along."""
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            return (head + await self.reader.read(4096)).decode().lower()

    async def closed(self) -> bool:
        """Whether nothing more comes, within the time that a client may linger."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
        return True


@contextlib.asynccontextmanager
async def connected(client: httpx.AsyncClient, source: str = "127.0.0.1") -> AsyncIterator[Socket]:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port, local_addr=(source, 0))
    try:
        yield Socket(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def guarded(nats_url: str, orchestrator: Orchestrator) -> AsyncIterator[httpx.AsyncClient]:
    """A client, without a token, of a gateway that asks for one."""
    async with gateway(nats_url, gateway_token=TOKEN) as client:
        await ready(client)
        yield client


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/api/runs", CHUNKED, 401),
        ("/api/runs", f"{CHUNKED}Authorization: Bearer wrong\r\n", 401),
        ("/api/runs", f"{WITH_TOKEN}{CHUNKED}Origin: http://evil.test\r\n", 403),
        ("/api/runs", f"{WITH_TOKEN}Content-Length: 99999999\r\n", 413),
        ("/nothing", f"{WITH_TOKEN}{CHUNKED}", 404),
        ("/api/runs", f"{WITH_TOKEN}{CHUNKED}Expect: 100-continue\r\nOrigin: http://evil.test\r\n", 403),
    ],
)
async def test_who_is_answered_before_the_end_of_the_body_sees_the_answer_and_the_connection_closed(
    guarded: httpx.AsyncClient, path: str, more: str, status: int
) -> None:
    async with connected(guarded) as one:
        one.post(path, more=more, body=BYTE * 1000)
        answer = await one.answer()
        assert f" {status} " in answer.splitlines()[0]
        assert "\r\nconnection: close\r\n" in answer
        one.writer.write(BYTE * 1000)  # still sending, as if it had not seen it
        assert await one.closed()


@pytest.mark.parametrize("more", ["", WITH_TOKEN], ids=["stranger", "token"])
async def test_a_flood_of_tiny_chunks_costs_the_others_nothing(guarded: httpx.AsyncClient, more: str) -> None:
    async with connected(guarded) as one:
        await guarded.get("/livez")
        one.post(more=more + CHUNKED)
        longest = sent = 0.0
        with contextlib.suppress(ConnectionError):
            while sent < 20 * LINGER_BYTES:
                one.writer.write(BYTE * 20_000)
                await asyncio.wait_for(one.writer.drain(), 10)
                sent += len(BYTE) * 20_000
                before = time.monotonic()
                assert (await guarded.get("/livez")).status_code == 200
                longest = max(longest, time.monotonic() - before)
        assert sent < 20 * LINGER_BYTES  # it was cut off
        assert longest < 1.0


async def test_a_body_of_too_many_pieces_is_refused_before_it_is_parsed_and_told(
    nats_url: str, orchestrator: Orchestrator
) -> None:
    async with gateway(nats_url, gateway_token=TOKEN, log_level="warn") as client, connected(client) as one:
        await ready(client)
        with capture_logs() as logs:
            one.post(more=WITH_TOKEN + CHUNKED, body=BYTE * (MAX_PIECES + 1))
            answer = await one.answer()
        assert [(line["event"], line["status"], line["address"]) for line in logs] == [("connection.refused", 413, "127.0.0.1")]
        assert " 413 " in answer.splitlines()[0]
        assert "pieces" in answer
        assert await one.closed()


async def test_a_body_that_was_read_leaves_the_connection_open(client: httpx.AsyncClient) -> None:
    async with connected(client) as one:
        for _ in range(2):
            one.post("/api/forecast", more=CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n")
            answer = await one.answer()
            assert " 422 " in answer.splitlines()[0]
            assert "connection: close" not in answer


async def test_a_request_whose_end_is_told_twice_is_refused_and_nothing_after_it_is_answered(client: httpx.AsyncClient) -> None:
    async with connected(client) as one:
        second = b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        one.post("/api/forecast", more=f"Content-Length: 5\r\n{CHUNKED}", body=second)
        async with asyncio.timeout(10):
            answer = (await one.reader.read()).decode()
        assert answer.count("HTTP/1.1 ") == 1
        assert answer.startswith("HTTP/1.1 400 ")


async def test_what_is_no_request_is_refused_once_and_fails_nothing(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        async with connected(client) as one:
            one.writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert " 200 " in await one.answer()
            one.writer.write(b"\x00\x01 nonsense\r\n\r\n")
            assert " 400 " in await one.answer()
            assert await one.closed()
    assert [line for line in logs if line["log_level"] == "error"] == []


async def test_who_goes_away_in_the_middle_of_a_request_is_no_failure(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        async with connected(client) as one:
            one.post("/api/forecast", more="Content-Length: 9\r\n", body=b"{")
            await asyncio.sleep(0.2)  # until the route waits for the rest
        await eventually(lambda: not any("run_asgi" in repr(task) for task in asyncio.all_tasks()))
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("shared", [True, False], ids=["of the user's address", "of many addresses"])
async def test_no_number_of_idle_connections_keeps_a_signed_in_user_out(
    nats_url: str, orchestrator: Orchestrator, *, shared: bool
) -> None:
    """They ask all the time, so that none is silent, and are answered: with 429 in the end."""
    limits = Limits(known=4, strangers=12, strangers_per_address=6)
    async with gateway(nats_url, gateway_token=TOKEN, limits=limits) as client:
        await ready(client)
        await orchestrator.write()
        await orchestrator.accept("Louvre")
        client.headers.update(BEARER)
        async with watch(client) as stream:
            await stream.next("accepted")
            async with contextlib.AsyncExitStack() as many:
                for number in range(60):
                    source = "127.0.0.1" if shared else f"127.0.2.{1 + number}"
                    idle = await many.enter_async_context(connected(client, source))
                    idle.writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if number % 10 == 9:
                        async with httpx.AsyncClient(base_url=client.base_url, headers=BEARER) as new:
                            assert (await new.get(f"/api/runs/{RUN}")).status_code == 200
                assert (await client.get("/api/runs")).status_code == 200
                await orchestrator.accept("Eiffel Tower")
                assert (await stream.next("accepted")).data["text"] == "Eiffel Tower"
