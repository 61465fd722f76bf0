"""A stack whose every process and every link the test holds in its hands: a server, and services behind a proxy each."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from services.orchestrator.dedupe import key
from services.tester import invariants
from services.tester.stack import free_port, inherited
from services.tester.trial import LATENCY_SECONDS, Trial, attempt, run_spec
from services.tester.watch import Watched
from shared.bus import Bus, connect
from tests.conftest import NatsServer
from tests.faults.proxy import Proxy

AGAIN_SECONDS = 0.2
"""Before a process that ended is started again, as the launcher does it."""

PRODUCERS = ("producer-1", "producer-2", "producer-3")

SERVICES = ("orchestrator", "recorder", "gateway", *PRODUCERS)


class Member:
    """One process, kept running, and its link to the server."""

    def __init__(self, name: str, service: str, folder: Path, link: Proxy, variables: Mapping[str, str]) -> None:
        self.service = service
        self.link = link
        self.log = folder / "log" / f"{name}.log"
        self.pid = 0
        self.codes: list[int] = []
        """How its processes ended so far."""
        self._variables = dict(variables)
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._away = False
        self._logged = 0

    def start(self, command: tuple[str, ...], variables: Mapping[str, str] | None = None, *, once: bool = False) -> None:
        """Keep this command running; with `once`, its next process is the shipped one again."""
        self._away = False
        self._logged = self.log.stat().st_size if self.log.exists() else 0
        self._keeping = asyncio.create_task(self._keep(command, variables or {}, once))

    async def _keep(self, command: tuple[str, ...], variables: Mapping[str, str], once: bool) -> None:
        while True:
            await self._run(command, variables)
            if self._away:
                return
            if once:
                command, variables = shipped(self.service), {}
            await asyncio.sleep(AGAIN_SECONDS)

    async def _run(self, command: tuple[str, ...], variables: Mapping[str, str]) -> None:
        address = {"NATS_URL": f"nats://{self.link.host}:{self.link.port}"}
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder / "home",
                env=self._variables | address | dict(variables),
            )
        self.pid = self._process.pid
        self.codes.append(await self._process.wait())

    def stay_away(self) -> None:
        """Do not start it again when its present process ends."""
        self._away = True

    def log_since_start(self) -> bytes:
        """What it has logged since `start`."""
        return self.log.read_bytes()[self._logged :] if self.log.exists() else b""

    def signal(self, number: signal.Signals) -> None:
        """Send its present process a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def stop(self) -> None:
        """End it for good."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class Field:
    """The whole: `expected` counts, by member, the ends of processes that are the test's doing.

    With `idle` there is a server without streams, and no member is started.
    """

    def __init__(self, folder: Path, *, members: tuple[str, ...] = SERVICES, idle: bool = False) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.server = NatsServer(folder / "nats")
        self.members: dict[str, Member] = {}
        self.expected: Counter[str] = Counter()
        self.port = free_port()
        self._names = members
        self._idle = idle
        self._links = contextlib.AsyncExitStack()
        self.bus: Bus
        """A connection of the test's own, around all proxies."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    async def __aenter__(self) -> "Field":
        for name in ("log", "home"):
            (self.folder / name).mkdir(parents=True)
        await asyncio.to_thread(self.server.start)
        self.bus = await self.connect()
        if not self._idle:
            await self.bus.provision()
        for name in self._names:
            member = await self.add(name)
            if not self._idle:
                member.start(shipped(name))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bus.close()
        await asyncio.gather(*(member.stop() for member in self.members.values()))
        await self._links.aclose()
        self.server.kill()

    async def add(self, name: str, like: str = "", host: str = "127.0.0.1") -> Member:
        """A place for one more process, with a link of its own that it reaches at `host`; nothing is started."""
        link = await self._links.enter_async_context(Proxy(int(self.server.url.rsplit(":", 1)[1]), host))
        self.members[name] = Member(name, like or name, self.folder, link, self._variables())
        return self.members[name]

    async def remove(self, name: str) -> None:
        """End a member for good, if it is there."""
        if member := self.members.pop(name, None):
            await member.stop()

    async def connect(self) -> Bus:
        """One more connection to the server itself."""
        return await connect(self.server.url, "tester")

    def _variables(self) -> dict[str, str]:
        own = {"OUTPUT": str(self.output), "RANDOM_LATENCY_SECONDS": LATENCY_SECONDS}
        return inherited("random") | own | {"HOST": "127.0.0.1", "PORT": str(self.port)}

    async def restart(self, name: str, command: tuple[str, ...], variables: Mapping[str, str], *, once: bool = True) -> None:
        """Replace a member's process by another; after that one, with `once`, comes the shipped one again."""
        member = self.members[name]
        await member.stop()
        member.start(command, variables, once=once)

    async def kill_server(self, seconds: float = 0.2) -> None:
        """Kill the server and start it again after so long."""
        self.server.kill()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.server.start)

    def kill(self, name: str) -> None:
        self.expected[name] += 1
        self.members[name].signal(signal.SIGKILL)

    def heal(self) -> None:
        for member in self.members.values():
            member.link.heal()

    async def _mend(self) -> None:
        """Leave nothing to this fault of one that failed half-way: they share the server."""
        self.heal()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", int(self.server.url.rsplit(":", 1)[1]))
            writer.close()
        except OSError:
            await self.kill_server()

    async def trial(
        self, name: str, seed: int, make: Callable[[random.Random], Awaitable[None]], repeats: int = 0, **spec: Any
    ) -> Trial:
        """Make a fault in the middle of a run and hold what is left against every invariant."""

        async def begin() -> Watched:
            return await Watched.begin(self.url, self.bus, self.output, **run_spec(name, seed, **spec))

        await self._mend()
        found, evidence = await attempt(name, seed, begin, make, self.producer_logs, key)
        self.heal()
        if evidence is not None:
            found.broken += invariants.pays_once(evidence, repeats)
        found.broken += invariants.survives(self.ended(), self.expected)
        found.broken += invariants.stays_inside(self.folder, {"log", "home", "nats", "output"})
        found.broken += invariants.stays_inside(self.folder / "home", set())
        return found

    def producer_logs(self) -> list[Path]:
        return sorted((self.folder / "log").glob("producer-*.log"))

    def ended(self) -> dict[str, int]:
        """By member, how often its process ended by itself or by our doing."""
        return {name: len(member.codes) for name, member in self.members.items()}


def shipped(name: str) -> tuple[str, ...]:
    """How a service is started as it is shipped."""
    if name.startswith("producer"):
        return (sys.executable, "-m", "services.producer", "--provider", "random")
    return (sys.executable, "-m", f"services.{name}")


def altered() -> tuple[str, ...]:
    """The orchestrator with something in it that is not shipped (see `mains`)."""
    return (sys.executable, "-m", "tests.faults.mains")
