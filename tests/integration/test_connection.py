"""Getting onto the bus, and hearing from it: what is said of a key that is not taken, and what is tried again."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from services.launcher import keys
from shared.bus import Access, Denied, Unavailable, connect
from shared.messages import ChangeRun
from shared.news import News
from shared.roles import GATEWAY, PROVISION, RECORDER
from shared.service import end
from tests.conftest import eventually
from tests.integration.secured_server import SecuredServer


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredServer]:
    server = SecuredServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def strange_key(tmp_path: Path) -> str:
    """One that the server does not know."""
    keys.make(tmp_path / "strange")
    return str(keys.seed(tmp_path / "strange", GATEWAY))


async def test_who_waits_without_a_key_is_told_which_one_is_asked_for(secured: SecuredServer) -> None:
    with structlog.testing.capture_logs() as logs:
        waiting = asyncio.ensure_future(connect(secured.url, RECORDER))
        await eventually(lambda: logs)
        await end([waiting])
    hint = logs[0]["hint"]
    assert "asks for a key: set NATS_NKEY to the file with the key of the role recorder" in hint
    assert "start NATS" not in hint
    assert len(logs) == 1


async def test_a_service_says_which_key_it_needs(secured: SecuredServer, tmp_path: Path) -> None:
    variables = {k: v for k, v in os.environ.items() if k != "NATS_NKEY"} | {"NATS_URL": secured.url, "OUTPUT": str(tmp_path)}
    recorder = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.recorder", stderr=asyncio.subprocess.PIPE, env=variables
    )
    try:
        assert recorder.stderr is not None
        said = (await asyncio.wait_for(recorder.stderr.readline(), 20)).decode()
    finally:
        recorder.terminate()
        await recorder.wait()
    assert "the key of the role recorder" in said


async def test_who_does_not_wait_is_refused_with_the_key_that_was_shown(secured: SecuredServer, strange_key: str) -> None:
    with pytest.raises(Denied, match=r"does not take the key in '.*/strange/gateway\.nk': set NATS_NKEY.*role gateway"):
        await asyncio.wait_for(connect(secured.url, "cli", Access(GATEWAY, strange_key, patient=False)), 10)


async def test_the_right_key_is_taken_at_once(secured: SecuredServer) -> None:
    bus = await connect(secured.url, GATEWAY, dataclasses.replace(secured.access(GATEWAY), patient=False))
    assert bus.client.is_connected
    await bus.close()


async def test_the_key_of_another_role_is_told_from_silence(secured: SecuredServer) -> None:
    """Who may not hear answers would wait for each until its time is over, and take the service for missing."""
    access = dataclasses.replace(secured.access(PROVISION), role=GATEWAY)
    bus = await connect(secured.url, GATEWAY, access)
    with pytest.raises(Denied):
        await bus.ask("$SRV.PING.orchestrator", ChangeRun(run="run-1"), timeout=1)
    await bus.close()


@pytest.mark.parametrize("url", ["nats://a:b:c", "nats://user:hidden@[::1", ","])
async def test_an_address_that_is_none_is_told_in_a_sentence(url: str) -> None:
    with pytest.raises(SystemExit, match=r"NATS_URL is .*, which is no address of a NATS") as told:
        await connect(url, "test")
    assert "hidden" not in str(told.value)


async def test_a_service_with_a_wrong_setting_of_its_bus_ends_with_one_line(tmp_path: Path) -> None:
    for wrong in ({"NATS_URL": "nats://a:b:c"}, {"NATS_NKEY": str(tmp_path / "none.nk")}):
        recorder = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.recorder", stderr=asyncio.subprocess.PIPE, env={**os.environ, **wrong}
        )
        _, errors = await asyncio.wait_for(recorder.communicate(), 20)
        assert recorder.returncode == 1
        assert len(errors.splitlines()) == 1, errors.decode()


async def test_what_could_not_be_listened_to_is_tried_again(nats_url: str) -> None:
    """A subject that nobody listened to counted as listened to, and its reader looked once a second for ever."""
    closed = await connect(nats_url, "test")
    news = News(closed.client, ["attributes.accepted.>"])
    await closed.close()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await news.listen()
