"""A real stack under test: started through the launcher as a user would, and hurt on purpose."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from shared.bus import Access, Bus, connect
from shared.roles import ORCHESTRATOR
from shared.service import SUPERVISED, environment

PROJECT = Path(__file__).parents[2]

SERVICES = ("nats", "orchestrator", "recorder", "gateway")

READY_SECONDS = 90.0
"""Until all answer: 3 s on an idle machine."""

STOP_SECONDS = 30.0

PATIENCE_SECONDS = 30.0
"""How long a child may take to come back."""

POLL_SECONDS = 0.02


class StackError(Exception):
    """Raised when the stack could not be started, or does not come back; the text says why."""


class _Ready(msgspec.Struct):
    ready: bool
    nats_url: str = ""
    error: str = ""


class Child(msgspec.Struct, frozen=True):
    """A process of the stack, as the launcher reports it."""

    name: str
    state: str
    pid: int
    restarts: int


class _Report(msgspec.Struct):
    children: tuple[Child, ...]


class Stack:
    """One stack in a folder of its own. `killed` counts, by child, the ends that are our doing."""

    def __init__(
        self, folder: Path, *, producers: int = 3, provider: str = "random", services: tuple[str, ...] = SERVICES
    ) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.nats_url = ""
        self.killed: Counter[str] = Counter()
        self._services = services
        self._provider = provider
        self._producers = producers
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self, variables: Mapping[str, str] | None = None) -> None:
        """Start everything and wait until it is ready. Raises StackError."""
        command = [sys.executable, "-m", "services.launcher", "run", "--parent-stdin"]
        command += ["--services", ",".join(self._services), "--folder", str(self.folder / "stack"), "--port", str(self._port)]
        command += ["--provider", self._provider, "--producers", str(self._producers)]
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self.folder / "home",  # where nobody's .env is found, and where whatever is written astray can be seen
            env=inherited(self._provider) | {"OUTPUT": str(self.output), SUPERVISED: "", **(variables or {})},
            start_new_session=True,
        )
        self.nats_url = await self._until_ready(self._process)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None  # noqa: S101  # opened as a pipe above
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
            answer = msgspec.json.decode(line, type=_Ready)
        except (TimeoutError, msgspec.DecodeError):
            raise StackError(f"the stack did not start; see {self.logs}") from None
        if not answer.ready:
            raise StackError(answer.error)
        return answer.nats_url

    async def connect(self) -> Bus:
        """A connection of the tester's own to the stack's bus."""
        key = self.folder / "stack" / "keys" / f"{ORCHESTRATOR}.nk"  # the role that may read and follow everything
        return await connect(self.nats_url, "tester", Access(ORCHESTRATOR, str(key) if key.exists() else ""))

    async def stop(self) -> int:
        """Stop everything; returns the launcher's exit code."""
        if self._process is None:
            return 0
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    @property
    def logs(self) -> Path:
        return self.folder / "stack" / "log"

    def producer_logs(self) -> list[Path]:
        """What the producers say, one file each."""
        return sorted(self.logs.glob("producer-*.log"))

    def children(self) -> list[Child]:
        """All processes of the stack, as of now."""
        return list(msgspec.json.decode((self.folder / "stack" / "stack.json").read_bytes(), type=_Report).children)

    def pick(self, kind: str, chance: random.Random) -> Child:
        """A child of this kind: the service itself, or any one of the producers."""
        return chance.choice([child for child in self.children() if child.name == kind or child.name.startswith(f"{kind}-")])

    def kill(self, child: Child) -> None:
        """End a child at once, as a crash would (SIGKILL)."""
        self.killed[child.name] += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    @contextlib.asynccontextmanager
    async def frozen(self, child: Child) -> AsyncIterator[None]:
        """Stop a child's clock while the block runs (SIGSTOP)."""
        os.kill(child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGCONT)

    async def until_ready(self, but: int = 0) -> None:
        """Wait until every child is ready, none of them the process `but`. Raises StackError."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            children = self.children()
            if all(child.state == "ready" and child.pid != but for child in children):
                return
            if time.monotonic() > deadline:
                silent = ", ".join(child.name for child in children if child.state != "ready")
                raise StackError(f"not back after {PATIENCE_SECONDS:g} s: {silent}; see {self.logs}")
            await asyncio.sleep(POLL_SECONDS)

    def ended(self) -> dict[str, int]:
        """By child, how often its process ended and was started again."""
        return {child.name: child.restarts for child in self.children()}


def inherited(provider: str) -> dict[str, str]:
    """Our environment without what would change a test: no other NATS, and keys, also those of `.env`, only where needed."""
    drop = {"NATS_URL", "OUTPUT", "LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    found = os.environ if provider == "random" else environment()
    keep = {k: v for k, v in found.items() if k not in drop and (provider != "random" or not k.endswith("_API_KEY"))}
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return keep | {"PYTHONPATH": os.pathsep.join(paths)}


def free_port() -> int:
    """A port of the loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
