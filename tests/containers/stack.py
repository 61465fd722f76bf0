"""Chorus as its compose.yaml starts it, in a copy of the project, with handles on its containers."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from docker.models.networks import Network

from services.tester.stack import free_port
from services.tester.watch import Watched, ask
from shared.bus import Access, Bus, connect
from shared.roles import ORCHESTRATOR
from shared.service import VERSION
from tests.containers.engine import BASE, PROJECT, bridge_address

UP_SECONDS = 120.0
"""Until all is healthy: 15 s on an idle machine."""

COPIED = ("services", "shared", "deploy", "compose.yaml", ".dockerignore")


class Stack:
    """One compose project. `up` starts it, `down` leaves nothing of it."""

    def __init__(self, client: docker.DockerClient, folder: Path, variables: dict[str, str]) -> None:
        self.client = client
        self.folder = folder
        self.name = f"chorus-test-{os.getpid()}"
        self.host = bridge_address(client)
        """Where the bus listens, so that containers of another network reach it as another machine would."""
        self.nats_port, self.gateway_port = free_port(), free_port()
        self._variables = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.name,
            "PYTHON_IMAGE": BASE,
            # It brings the same server, and no registry can be asked for NATS's own image.
            "NATS_IMAGE": f"chorus-launcher:{VERSION}",
            "NATS_LISTEN": f"{self.host}:{self.nats_port}",
            "GATEWAY_LISTEN": f"127.0.0.1:{self.gateway_port}",
            **variables,
        }
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def nats_url(self) -> str:
        return f"nats://{self.host}:{self.nats_port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def keys(self) -> Path:
        return self.folder / "var" / "keys"

    async def connect(self) -> Bus:
        """A connection of the test's own, as the role that may read every stream."""
        return await connect(self.nats_url, "test", Access(ORCHESTRATOR, str(self.keys / "orchestrator.nk")))

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.folder / 'var/secrets/gateway_token').read_text()}"}

    def compose(self, *arguments: str, seconds: float = 600, **variables: str) -> str:
        """Run deploy/compose and return what it printed. Raises CalledProcessError, with what it printed as a note."""
        command = [str(self.folder / "deploy/compose"), *arguments]
        try:
            done = subprocess.run(
                command, env={**self._variables, **variables}, timeout=seconds, check=True, capture_output=True, text=True
            )
        except subprocess.CalledProcessError as error:
            error.add_note(f"{error.stdout[-2000:]}\n{error.stderr[-4000:]}")
            raise
        return done.stdout

    def up(self, *arguments: str, **variables: str) -> None:
        """Start what the profiles name and wait until all of it is healthy."""
        self.compose("up", "-d", "--no-build", *arguments, seconds=UP_SECONDS, **variables)
        self.wait_healthy()

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator["Stack"]:
        """Up and healthy; gone in the end, but for its logs."""
        try:
            self.up(*arguments)
            yield self
        finally:
            self.keep_logs()
            self.down()

    def keep_logs(self) -> None:
        """Write what each container said to the folder `logs`, which outlives the containers."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        for container in self.containers():
            (logs / f"{container.name}.log").write_bytes(container.logs())

    def down(self) -> None:
        """Stop and remove all of it, its volumes too."""
        self.compose("down", "--volumes", "--timeout", "5", COMPOSE_PROFILES="openai,anthropic,gemini,local,random")

    def containers(self, service: str = "") -> list[Container]:
        """The containers of one service, or of all, the ended ones too."""
        labels = [f"com.docker.compose.project={self.name}"]
        if service:
            labels.append(f"com.docker.compose.service={service}")
        found: list[Container] = self.client.containers.list(all=True, filters={"label": labels})
        return sorted(found, key=lambda container: str(container.name))

    def container(self, service: str) -> Container:
        return self.containers(service)[0]

    def network(self, name: str = "bus") -> Network:
        return self.client.networks.get(f"{self.name}_{name}")

    def wait_healthy(self, seconds: float = UP_SECONDS) -> None:
        """Wait until each container says it is well. Raises TimeoutError that says which does not, and its last words."""
        deadline = time.monotonic() + seconds
        while ill := [c for c in self.containers() if not _well(c)]:
            if time.monotonic() > deadline:
                words = "\n".join(f"{c.name} {state_of(c)}: {c.logs(tail=15).decode()}" for c in ill)
                raise TimeoutError(f"not healthy within {seconds:g} s:\n{words}")
            time.sleep(0.2)

    async def begin(self, bus: Bus, **spec: Any) -> Watched:
        """Have a run started over HTTP, and watch it."""
        run = str((await ask(self.url, "/api/runs", spec, self.authorization))["run"])
        return Watched(self.url, bus, self.output, run, clients=0)


def _well(container: Container) -> bool:
    if container.labels["com.docker.compose.service"] == "provision":
        return bool(container.status == "exited" and container.attrs["State"]["ExitCode"] == 0)
    return state_of(container) == "healthy"


def state_of(container: Container) -> str:
    """healthy, unhealthy or starting; for a container that is not running or has no check, its status."""
    container.reload()
    state = container.attrs["State"]
    return str(state.get("Health", {}).get("Status", state["Status"])) if state["Status"] == "running" else str(state["Status"])


def crash(container: Container) -> None:
    """Kill the process as a crash would: the engine then starts it again, which it does not after `docker kill`."""
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
