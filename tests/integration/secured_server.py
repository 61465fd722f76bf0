"""A real nats-server with keys and the permissions of `deploy/nats`, and connections to it in any role."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from services.launcher import keys
from shared.bus import Access, Bus, connect
from shared.roles import PROVISION

START_SECONDS = 20


class SecuredServer:
    """On a free port of its own, with keys made for it under `folder`."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.keys = folder / "keys"
        self.log = folder / "server.log"
        keys.make(self.keys)
        self._config = keys.assemble(self.keys, folder / "config")
        self._folder = folder
        with self._config.open("a") as file:
            file.write(more)

    def start(self) -> None:
        binary = Path(sys.executable).with_name("nats-server")
        command: list[str | Path] = [binary, "-c", self._config, "--addr", "127.0.0.1", "--port", "-1"]
        command += ["--store_dir", self._folder / "store", "--ports_file_dir", self._folder]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        ports = self._folder / f"nats-server_{self._process.pid}.ports"
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(FileNotFoundError, ValueError):
                self.url = f"nats://127.0.0.1:{json.loads(ports.read_text())['nats'][0].rsplit(':', 1)[1]}"
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nats-server did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def access(self, role: str, ca: str = "") -> Access:
        return keys.access(self.keys, role, ca)

    @contextlib.asynccontextmanager
    async def connected(self, role: str) -> AsyncIterator[Bus]:
        """A connection in this role, as the role's service has it."""
        bus = await connect(self.url, role, self.access(role))
        try:
            yield bus
        finally:
            await bus.close()

    async def provision(self) -> None:
        async with self.connected(PROVISION) as bus:
            await bus.provision()
