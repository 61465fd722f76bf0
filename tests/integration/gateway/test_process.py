"""The gateway while others are missing, and as it ends; and clients that never finish."""

import asyncio
import contextlib
import os
import signal
import sys
import time

import httpx
import msgspec
import pytest

from services.gateway import connection, request_body
from shared.bus import connect
from tests.conftest import NatsServer, eventually
from tests.integration.gateway.kit import RUN, Orchestrator, gateway, ready, stalled, watch


async def test_without_a_bus_the_page_is_served_and_says_so_until_there_is_one(nats_server: NatsServer) -> None:
    nats_server.kill()
    async with gateway(nats_server.url) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/test")).status_code == 200
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.json()["bus"]) == (503, False)
        assert "NATS" in unready.json()["missing"][0]
        refused = await client.post("/api/runs", json={"topic": "x"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert (await client.get(f"/api/runs/{RUN}/events")).status_code == 503

        nats_server.start()
        bus = await connect(nats_server.url, "test")
        await bus.provision()
        await ready(client)
        absent = await client.post("/api/runs", json={"topic": "x"})
        assert (absent.status_code, "orchestrator" in absent.json()["detail"]) == (503, True)

        await Orchestrator(bus).answer()
        started = await client.post("/api/runs", json={"topic": "x"})
        assert started.status_code == 202, started.text

        async def nothing_but_producers_missing() -> bool:
            missing = (await client.get("/readyz")).json()["missing"]
            return len(missing) == 1 and "producers" in missing[0]

        await eventually(nothing_but_producers_missing)
        await bus.close()


async def test_the_page_recovers_when_the_server_comes_back(nats_server: NatsServer, client: httpx.AsyncClient) -> None:
    nats_server.kill()

    async def state(status: int) -> bool:
        return (await client.get("/readyz")).status_code == status

    await eventually(lambda: state(503))
    nats_server.start()
    await eventually(lambda: state(200), 20)


async def test_who_never_finishes_asking_is_cut_off(
    client: httpx.AsyncClient, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.2)
    await orchestrator.write()
    await orchestrator.accept("Louvre")
    port = client.base_url.port
    async with watch(client) as stream:
        await stream.next("accepted")
        half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in half:
            writer.write(b"GET /api/runs HTTP/1.1\r\nHost: local")
        reader, slow = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        slow.write(head.encode())
        async with asyncio.timeout(10):
            assert [await one.read() for one, _ in half] == [b""] * 20
            assert b" 408 " in await reader.readline()
        for _, writer in [*half, (reader, slow)]:
            writer.close()
        await orchestrator.accept("Eiffel Tower")
        assert (await stream.next("accepted")).data["text"] == "Eiffel Tower"  # who listens is not silent


async def test_sigterm_ends_the_process_in_time_with_clients_on(nats_url: str, orchestrator: Orchestrator) -> None:
    """One client listens and is told; twenty have stopped reading, with more on its way than any buffer holds."""
    await orchestrator.write()
    for first in range(0, 6000, 200):
        await orchestrator.accept(*(f"item {number} {'x' * 150}" for number in range(first, first + 200)))
    environment = os.environ | {"NATS_URL": nats_url, "PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.gateway", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        url = msgspec.json.decode(await asyncio.wait_for(process.stderr.readline(), 20))["url"]
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            await ready(client)
            with contextlib.ExitStack() as many:
                for _ in range(20):
                    many.enter_context(stalled(url))
                async with watch(client) as stream:
                    assert (await stream.next("accepted")).data["ordinal"] == 1
                    process.send_signal(signal.SIGTERM)
                    before = time.monotonic()
                    await stream.next("bye")
                    assert await asyncio.wait_for(process.wait(), 10) == 0
                    assert time.monotonic() - before < 6
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
