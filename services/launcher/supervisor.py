"""Runs one stack: starts it, keeps it running, matches its producers to the runs, stops it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from services.launcher import durability, elastic, keys, nats_server
from services.launcher.children import Program
from services.launcher.connection import make_streams, reach
from services.launcher.errors import StartError
from services.launcher.fleet import Fleet
from services.launcher.folder import Folder, StackReport
from services.launcher.log_files import trim
from services.launcher.log_guard import LogGuard
from services.launcher.producers import Producers
from services.launcher.readiness import RollCall, is_ready
from services.launcher.stack import GATEWAY, LOCAL_MODEL, NATS, WRITERS, Stack
from shared.bus import Access, Bus, connect
from shared.roles import MONITOR, ORCHESTRATOR, PROVISION
from shared.service import end, environment

READY_SECONDS = 60.0
"""Until everything answers: 2 s here; reading the local model from a slow disk is what takes longest."""

POLL_SECONDS = 0.02
SLOW_POLL_SECONDS = 0.25
PATIENCE_SECONDS = 5.0
"""A child that starts is asked every `POLL_SECONDS`; after this long, every `SLOW_POLL_SECONDS`."""

HOPELESS_FAILURES = 3
"""Ends in a row after which a child that was never ready is not waited for."""

TRIM_SECONDS = 5.0

log = structlog.get_logger()


class Supervisor:
    """One stack in one folder. Expects that this process holds the folder's lock."""

    def __init__(self, stack: Stack, folder: Folder) -> None:
        self.stack = replace(stack, keys=folder.keys) if stack.has_nats else stack
        self._folder = folder
        self._fleet = Fleet(folder)
        self._nats_url = stack.join
        self._access = Access()
        self._ready = asyncio.Event()
        self._producers = Producers(self._fleet, self._producer, environment())
        self._last_cut: dict[str, int] = {}
        self._guard: LogGuard | None = None
        """None where no second copy of the log is kept."""

    async def run(self, stopping: asyncio.Event, announce: Callable[[str], None]) -> None:
        """Run the stack until `stopping`; `announce` is called once with the address of NATS when all is ready.

        Raises StartError when it cannot be started. Nothing is left running in either case.
        """
        work = asyncio.ensure_future(self._work(announce))
        stop = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed = work.done() and not work.cancelled()
            await end((work, stop))
            await self._fleet.remove_all()
            self._folder.forget_report()
        if failed:
            work.result()

    async def _work(self, announce: Callable[[str], None]) -> None:
        if self.stack.has_nats:
            server = self._fleet.add(nats_server.program(self._folder, self.stack.nats_port))
            self._nats_url = await nats_server.start(server, self._folder)
        self._access = keys.access(self.stack.keys, PROVISION, environment().get("NATS_CA", ""))
        bus = await reach(self._nats_url, self._access)
        try:
            if not self.stack.has_nats and ORCHESTRATOR in self.stack.services:  # who only adds a recorder decides nothing
                monitor = keys.access(self.stack.keys, MONITOR, environment().get("NATS_CA", "")) if self.stack.keys else None
                accepted = self.stack.accept_unsynced
                await durability.require(self._nats_url, self.stack.monitor_url, monitor, accept_unsynced=accepted)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._attend(bus))
                tasks.create_task(self._trim_logs())
                await self._begin(bus)
                announce(self._nats_url)
                if self._guard and self.stack.has_nats:
                    tasks.create_task(self._guard.watch(self._fleet.children[NATS]))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            await bus.close()

    async def _begin(self, bus: Bus) -> None:
        """Start everything and wait until it is ready."""
        guarded = self.stack.guards_log
        for name in self.stack.services:
            if name != NATS:
                child = self._fleet.add(self.stack.service(name, self._nats_url))
                if name not in WRITERS or not guarded:
                    child.start()
        await self._match([])
        await make_streams(bus, self.stack.replicas)  # while the children load, which takes longer
        if guarded:
            self._guard = LogGuard(self._folder, self.stack.repair(self._nats_url), self._while_nobody_writes)
            await self._guard.repair()
            for name in WRITERS:
                self._fleet.children[name].start()
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._ready.wait()
        except TimeoutError as error:
            silent = ", ".join(c.program.name for c in self._fleet.children.values() if c.state != "ready")
            raise StartError(f"not ready after {READY_SECONDS:g} s: {silent}; see {self._folder.logs}") from error

    async def _while_nobody_writes(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something to the log while neither orchestrator nor recorder runs; when it fails, they stay away."""
        programs = [self._fleet.children[name].program for name in WRITERS]
        await self._fleet.remove(WRITERS)
        await work()
        for program in programs:
            self._fleet.add(program).start()

    async def _match(self, demands: list[elastic.Demand]) -> None:
        """Have as many producers as the runs want, and the local model when it is."""
        wanted = elastic.wanted(self.stack.base, demands)
        counts = elastic.cut(wanted, self.stack.base, self.stack.most_producers)
        if counts != wanted and wanted != self._last_cut:
            log.warning("producers.cut", wanted=wanted, started=counts, hint="MAX_PRODUCERS sets how many runs get")
        self._last_cut = wanted  # said once, not every second
        if counts.get("local") and self.stack.local_model_port and LOCAL_MODEL not in self._fleet.children:
            self._fleet.add(self.stack.local_model(self._nats_url)).start()
        await self._producers.match(counts)

    async def _attend(self, bus: Bus) -> None:
        """Watch over the children by one connection after another: the client closes for good on errors it does not know."""
        while True:
            work = [asyncio.ensure_future(w) for w in (self._watch(bus), self._follow_demand(bus), bus.closed.wait())]
            try:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                if not bus.closed.is_set():
                    for task in done:
                        task.result()
            finally:
                await end(work)
                await bus.close()
            log.warning("bus.closed", hint="connecting anew")
            bus = await connect(self._nats_url, "launcher", self._access)

    async def _watch(self, bus: Bus) -> None:
        """Note which children have become ready, and keep `stack.json` up to date."""
        roll = RollCall(bus)
        loop = asyncio.get_running_loop()
        since = loop.time()
        while True:
            self._fleet.changed.clear()
            self._write_report()
            while starting := [c for c in self._fleet.children.values() if c.state == "starting"]:
                await roll.call(c.program.service for c in starting)
                await asyncio.sleep(POLL_SECONDS if loop.time() - since < PATIENCE_SECONDS else SLOW_POLL_SECONDS)
                for child in starting:
                    if child.state == "starting" and await is_ready(child.report(), roll):
                        child.is_ready()
                if self._fleet.changed.is_set():
                    break
            self._judge()
            if not starting:
                await self._fleet.changed.wait()
                since = loop.time()

    def _judge(self) -> None:
        """Say that the stack is ready, or give up on one that will not be."""
        children = self._fleet.children.values()
        if not self._ready.is_set():
            for child in children:
                if child.failures >= HOPELESS_FAILURES:
                    name = child.program.name
                    words = self._folder.last_words(name)
                    raise StartError(f"{name} ended {child.failures} times: {words}. Its log: {self._folder.log(name)}")
            if children and all(child.state == "ready" for child in children):
                self._ready.set()

    async def _follow_demand(self, bus: Bus) -> None:
        await self._ready.wait()  # the first start is for the base alone, and runs of the past wait a second for theirs
        async for demands in elastic.demands(bus):
            await self._match(demands)

    def _write_report(self) -> None:
        try:
            self._folder.write_report(self._report())
        except OSError as error:  # a full disk must not end the stack that waits for room
            log.warning("report.not_written", error=str(error))

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            try:
                await asyncio.to_thread(trim, self._folder)
            except OSError as error:  # a full disk must not end the stack that waits for room
                log.warning("logs.not_trimmed", error=str(error))

    def _producer(self, provider: str, number: int) -> Program:
        return self.stack.producer(provider, number, self._nats_url)

    def _report(self) -> StackReport:
        dashboard = f"http://localhost:{self.stack.port}" if GATEWAY in self.stack.services else ""
        return StackReport(
            nats_url=self._nats_url if self.stack.has_nats else "",
            dashboard=dashboard,
            providers=self.stack.base.providers,
            ready=self._ready.is_set(),
            children=self._fleet.reports(),
            repaired=self._guard.said if self._guard else (),
        )
