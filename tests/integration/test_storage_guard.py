"""A launcher whose server cannot write: it is started again, and compared with the second copy when it is back."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from services.launcher import log_guard, nats_server
from services.launcher.children import Child, Program
from services.launcher.errors import StartError
from services.launcher.folder import Folder
from services.launcher.log_guard import LogGuard
from services.launcher.nats_server import READING_BACK
from services.launcher.probes import fetch
from shared.bus import connect
from shared.service import end
from tests.conftest import NatsServer, eventually

SERVER = """
import http.server, pathlib, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        unwell = pathlib.Path(sys.argv[2])
        self.send_response(int(unwell.read_text() or 503) if unwell.exists() else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""

REPAIR = """
import pathlib, sys
damaged = pathlib.Path(sys.argv[1])
if damaged.exists():
    print("The log lacks entry 7.")
    if "--look-only" in sys.argv:
        raise SystemExit(3)
    failures = damaged.read_text()
    if failures:
        damaged.write_text(failures[1:])
        print("The log could not be repaired.")
        raise SystemExit(1)
    damaged.unlink()
    print("The log was written anew.")
"""


class Watched:
    """A stand-in for the server, which is unwell while a file is there, and a log that is damaged while another one is.

    The first file may hold the status that the server answers with. A repair fails as often as that file has letters.
    """

    def __init__(self, folder: Folder, port: int) -> None:
        self.unwell = folder.root / "unwell"
        self.damaged = folder.root / "damaged"
        self.paused = 0
        self.resumed = 0
        self.watching: asyncio.Task[None]
        probe = f"http://127.0.0.1:{port}/healthz"
        command = (sys.executable, "-c", SERVER, str(port), str(self.unwell))
        self.server = Child(Program("nats", command, probe=probe, watches_parent=False), folder, lambda: None)
        repair = Program("recorder-repair", (sys.executable, "-c", REPAIR, str(self.damaged)))
        self.guard = LogGuard(folder, repair, self._pause)

    async def _pause(self, work: Callable[[], Awaitable[None]]) -> None:
        self.paused += 1
        await work()
        self.resumed += 1


@pytest.fixture
async def watched(tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    for name in ("LOOK_SECONDS", "UNWELL_SECONDS", "SETTLE_SECONDS"):
        monkeypatch.setattr(log_guard, name, 0.1)
    folder = Folder(tmp_path)
    folder.make()
    it = Watched(folder, unused_tcp_port)
    it.server.start()
    await eventually(lambda: it.server.pid, 10)
    it.server.is_ready()
    it.watching = asyncio.create_task(it.guard.watch(it.server))
    yield it
    await end([it.watching])
    await it.server.stop()


async def test_an_unwell_server_is_started_again_until_it_is_well(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_guard, "FIRST_WAIT", 0.2)
    watched.unwell.touch()
    await eventually(lambda: watched.server.restarts >= 2, 20)
    watched.unwell.unlink()
    await asyncio.sleep(1)  # a restart that had been decided on may still come
    restarts = watched.server.restarts
    await asyncio.sleep(1)  # five times FIRST_WAIT: nothing can be waited for where nothing shall happen

    assert watched.server.restarts == restarts


async def test_it_is_not_started_again_and_again_while_nothing_changes(watched: Watched) -> None:
    watched.unwell.touch()
    await eventually(lambda: watched.server.restarts == 1, 20)
    await asyncio.sleep(1.5)  # longer than UNWELL_SECONDS: nothing can be waited for where nothing shall happen

    assert watched.server.restarts == 1  # the next one comes after FIRST_WAIT, or when room was made


async def test_a_server_that_reads_back_a_long_log_is_left_to_it(watched: Watched) -> None:
    watched.unwell.write_text(str(READING_BACK))
    await asyncio.sleep(1.5)  # longer than UNWELL_SECONDS: nothing can be waited for where nothing shall happen

    assert watched.server.restarts == 0


async def test_a_server_that_is_unwell_after_it_read_its_log_back_is_started_again(watched: Watched) -> None:
    watched.unwell.write_text(str(READING_BACK))
    await asyncio.sleep(0.5)  # a few looks
    watched.unwell.write_text("503")

    await eventually(lambda: watched.server.restarts == 1, 20)


async def test_a_server_that_never_has_read_its_log_back_is_started_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(log_guard.PATIENCE, READING_BACK, 0.5)
    watched.unwell.write_text(str(READING_BACK))

    await eventually(lambda: watched.server.restarts == 1, 20)


async def test_a_full_disk_does_not_end_the_watch(watched: Watched, tmp_path: Path) -> None:
    """What compares the log cannot be started; it is tried again until it can."""
    logs, away = tmp_path / "log", tmp_path / "away"
    watched.server.restart()
    await eventually(lambda: watched.server.restarts == 1 and watched.server.state == "starting", 20)
    logs.rename(away)
    watched.damaged.touch()
    watched.server.is_ready()
    await asyncio.sleep(1.5)  # longer than SETTLE_SECONDS and a few looks
    assert not watched.watching.done()
    away.rename(logs)

    await eventually(lambda: watched.guard.said, 20)


def forget_index(folder: Path) -> None:
    for index in folder.rglob("index.db"):
        index.unlink()


async def test_the_real_server_tells_that_it_reads_its_log_back(tmp_path: Path, unused_tcp_port: int) -> None:
    """After a crash without an index, as a server that was killed has it; the guard builds on this status."""
    server = NatsServer(tmp_path, sync_interval="2m")
    server.start()
    client = (await connect(server.url, "test")).client
    await client.jetstream().add_stream(name="LONG", subjects=["long.>"])
    for number in range(60_000):
        await client.publish(f"long.{number}", b"x" * 1000)
    await client.flush()
    await client.close()
    server.kill()
    forget_index(tmp_path)

    address = ["--addr", "127.0.0.1", "--port", "-1", "--http_port", str(unused_tcp_port)]
    command = [str(nats_server.binary()), *address, "--jetstream", "--store_dir", str(tmp_path / "store")]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        seen: list[int] = []
        while 200 not in seen:
            status, _ = await fetch(f"http://127.0.0.1:{unused_tcp_port}/healthz")
            seen.append(status)
    finally:
        process.kill()
        await process.wait()
    assert READING_BACK in seen
    assert set(seen) <= {0, READING_BACK, 200}


async def test_a_log_found_damaged_after_a_restart_is_repaired_while_nobody_writes(watched: Watched) -> None:
    watched.damaged.touch()
    await restart(watched)

    await eventually(lambda: watched.guard.said, 20)
    assert watched.guard.said == ("The log lacks entry 7.", "The log was written anew.")
    assert watched.paused == 1
    assert not watched.damaged.exists()


async def restart(watched: Watched) -> None:
    watched.server.restart()
    await eventually(lambda: watched.server.restarts == 1 and watched.server.state == "starting", 20)
    watched.server.is_ready()


async def test_a_repair_that_fails_is_tried_again_before_anybody_goes_on(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_guard, "FIRST_WAIT", 0.1)
    watched.damaged.write_text("x" * (log_guard.REPAIR_ATTEMPTS - 1))
    await restart(watched)

    await eventually(lambda: watched.resumed, 30)
    assert watched.guard.said[-1] == "The log was written anew."
    assert (watched.paused, watched.resumed) == (1, 1)


async def test_a_log_that_cannot_be_repaired_ends_the_stack_and_says_why(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_guard, "FIRST_WAIT", 0.1)
    watched.damaged.write_text("x" * log_guard.REPAIR_ATTEMPTS)
    await restart(watched)

    with pytest.raises(StartError, match="The log could not be repaired"):
        await asyncio.wait_for(asyncio.shield(watched.watching), 30)
    assert (watched.paused, watched.resumed) == (1, 0)
