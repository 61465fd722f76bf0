"""The local model as a process: it serves without a bus, joins one, says when its port is taken, and leaves at once."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shared.bus import Bus
from tests.conftest import eventually

MODEL = "SmolLM2-135M-Instruct"

LOADS_SECONDS = 60
"""The model loads in under a second on an idle machine."""


@asynccontextmanager
async def local_model(nats_url: str, port: str = "0") -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run the server until the block ends; gives the process and its address."""
    handle = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.local_model",
        "--port",
        port,
        env={**os.environ, "NATS_URL": nats_url},
        stderr=asyncio.subprocess.PIPE,
    )
    assert handle.stderr is not None
    try:
        line = (await asyncio.wait_for(handle.stderr.readline(), LOADS_SECONDS)).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        yield handle, found[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            handle.kill()
        await handle.wait()


async def test_it_answers_without_a_bus_and_ends_at_once_while_busy() -> None:
    async with local_model("nats://127.0.0.1:1") as (process, address), httpx.AsyncClient(timeout=60) as client:
        body: dict[str, object] = {"prompt": "Here is a list of fruits:\n- Apple\n- Pear\n-", "max_tokens": 16, "seed": 7}
        answer = (await client.post(f"{address}/v1/completions", json=body)).json()
        assert answer["model"] == "SmolLM2-135M-Instruct"
        assert any(letter.isalpha() for letter in answer["choices"][0]["text"])

        body = {"prompt": "Once upon a time", "max_tokens": 1900, "ignore_eos": True, "stream": True}
        with contextlib.suppress(httpx.TransportError):
            async with client.stream("POST", f"{address}/v1/completions", json=body) as streaming:
                await anext(streaming.aiter_raw())
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), 3) == 0


async def test_it_answers_pings_and_a_second_one_gets_one_clear_line(bus: Bus, nats_url: str) -> None:
    async with local_model(nats_url) as (_, address):

        async def answers() -> bool:
            with contextlib.suppress(Exception):
                return b"local-model" in (await bus.client.request("$SRV.PING.local-model", timeout=1)).data
            return False

        await eventually(answers, 20)
        port = address.rsplit(":", 1)[1]
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.local_model", "--port", port, stderr=asyncio.subprocess.PIPE
        )
        _, said = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 1
        assert said.decode().splitlines() == [
            f"Port {port} on 127.0.0.1 is not free (Address already in use): choose another with --port."
        ]


async def test_it_does_not_show_one_user_what_another_asks() -> None:
    async with local_model("nats://127.0.0.1:1") as (_, address), httpx.AsyncClient() as client:
        assert (await client.get(f"{address}/v1/models")).status_code == 200
        assert (await client.get(f"{address}/slots")).status_code >= 400
