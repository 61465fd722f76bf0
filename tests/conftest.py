"""A real nats-server for each test that asks for one, and waiting with a deadline."""

import asyncio
import inspect
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from shared import streams
from shared.bus import Bus, connect
from tests.integration.trust import attempts

START_SECONDS = 20
"""Until a server must answer: it takes 0.1 s on an idle machine, and tests share theirs."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(attempts)  # here, since the process that runs the workers reads this file alone


class NatsServer:
    """A nats-server on a free port of its own, with JetStream on disk under `folder`, as the project runs it."""

    def __init__(self, folder: Path, sync_interval: str = "always") -> None:
        self.sync_interval = sync_interval
        """What the next start writes to disk at: "always", or a time, which a power cut then costs."""
        self._folder = folder
        self._port = -1
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def monitor_url(self) -> str:
        """Its HTTP monitoring address; another one after each start."""
        ports = json.loads((self._folder / f"nats-server_{self.pid}.ports").read_text())
        return str(ports["monitoring"][0])

    @property
    def pid(self) -> int:
        """The process id, for a test that stops the server's clock with a signal."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it; returns once it accepts connections. A second start uses the same port and store."""
        config = self._folder / "nats.conf"
        config.write_text(
            f'host: 127.0.0.1\nport: {self._port}\nhttp: "127.0.0.1:-1"\nports_file_dir: "{self._folder}"\n'
            f"max_payload: {streams.MAX_PAYLOAD}\n"
            f'jetstream {{ store_dir: "{self._folder / "store"}", sync_interval: {self.sync_interval},'
            f" max_file_store: {streams.MAX_FILE_STORE} }}\n"
        )
        with (self._folder / "server.log").open("ab") as output:
            binary = Path(sys.executable).with_name("nats-server")
            self._process = subprocess.Popen([binary, "-c", config], stdout=output, stderr=output)
        self._port = self._wait_for_port()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, then start it again on the same port and store."""
        self.kill()
        self.start()

    def _wait_for_port(self) -> int:
        ports = self._folder / f"nats-server_{self.pid}.ports"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:  # the file is written when the server listens; it may be there and still empty
                return int(json.loads(ports.read_text())["nats"][0].rsplit(":", 1)[1])
            except (FileNotFoundError, ValueError):
                time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"nats-server did not start: {(self._folder / 'server.log').read_text()[-2000:]}")


@pytest.fixture(autouse=True)
def _logs_as_by_default() -> Iterator[None]:
    """A test that starts a service within this process configures its logs; the next test shall not be deaf to warnings."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running server without streams; `kill()` and `restart()` it at will."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def nats_url(nats_server: NatsServer) -> str:
    """The address of a running server that has every stream, consumer and bucket."""
    bus = await connect(nats_server.url, "provision")
    await bus.provision()
    await bus.close()
    return nats_server.url


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to a provisioned server."""
    connected = await connect(nats_url, "test")
    yield connected
    await connected.close()


async def eventually(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait until `condition`, a function or coroutine function, gives something true, and return that.

    Fails the test after `seconds`, naming the condition and what it gave last.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            name = getattr(condition, "__qualname__", repr(condition))
            pytest.fail(f"not within {seconds:g} s: {name} (last: {value!r})")
        await asyncio.sleep(0.01)
