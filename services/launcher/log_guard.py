"""Keeps the log of a stack whole: has it compared with its second copy, and has a server that cannot write started again."""

import asyncio
import math
import os
import shutil
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from subprocess import DEVNULL, PIPE

import structlog

from services.launcher.child_environment import environment_of
from services.launcher.children import Child, Program
from services.launcher.errors import StartError
from services.launcher.folder import Folder
from services.launcher.nats_server import READING_BACK, START_SECONDS
from services.launcher.probes import fetch

LOOK_SECONDS = 0.5
"""Between two looks at the server's health."""

UNWELL_SECONDS = 1.0
"""How long a server may call itself unwell before it is started again: only that frees a stream that the disk refused."""

SILENT_SECONDS = 60.0
"""How long a server may say nothing: longer than any freeze that ends by itself."""

FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
"""Seconds between restarts that did not help: doubled each time, and cut short when room was made on the disk."""

ROOM = 1024 * 1024
"""Bytes by which the free space must have grown for that, on a disk that had less than `FULL` left."""

FULL = 64 * ROOM

SETTLE_SECONDS = 2.0
"""After a restart, before the log is compared: who was waiting for the server goes first."""

REPAIR_SECONDS = 3600.0
"""The most that a comparison with repair may take: 4 million entries take about 15 minutes."""

REPAIR_ATTEMPTS = 5
"""Of a log that was found damaged under a running stack: a server that is away or a full disk may be well in a minute."""

DAMAGED = 3
"""Exit code of `recorder repair --look-only` for a damaged log."""

Pause = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]

log = structlog.get_logger()


class LogGuard:
    """For a stack that has both orchestrator and recorder."""

    def __init__(self, folder: Folder, program: Program, pause: Pause) -> None:
        """`program` is `recorder repair`; `pause` does something while nobody writes to the log."""
        self._folder = folder
        self._program = program
        self._pause = pause
        self.said: tuple[str, ...] = ()
        """What the last repair found and did, in sentences."""

    async def repair(self) -> None:
        """Compare log and second copy, and repair what is damaged. Raises StartError when that cannot be done."""
        log.info("log.comparing", hint="with its second copy, about 20,000 entries a second")
        code, said = await self._run()
        self.said = tuple(said)
        for sentence in said:
            log.warning("log.repaired" if code == 0 else "log.not_repaired", said=sentence)
        if code != 0:
            words = " ".join(said) or self._folder.last_words(self._program.name)
            raise StartError(f"The log is not known to be whole: {words} See {self._folder.log(self._program.name)}")

    async def watch(self, server: Child) -> None:
        """Watch over the stack's own server for ever. Raises StartError when a damaged log cannot be repaired."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._compare_after_restarts(server))
                await self._watch_health(server)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _watch_health(self, server: Child) -> None:
        trouble = _Trouble(self._folder)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            status, body = await fetch(server.program.probe)
            if server.state == "waiting":
                continue  # it has ended, and is started again by itself
            if trouble.calls_for_restart(status):
                log.error("nats.unwell", status=status, said=body[:300].decode(errors="replace"), **trouble.facts())
                trouble.restarted()
                server.restart()

    async def _compare_after_restarts(self, server: Child) -> None:
        """A server that was started again may have come back without a part of the log, and says nothing of it."""
        compared = server.restarts
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if server.restarts != compared and server.state == "ready":
                restarts = server.restarts
                await asyncio.sleep(SETTLE_SECONDS)
                if server.restarts == restarts and await self._compare():  # one that cannot keep running: when it can
                    compared = restarts

    async def _compare(self) -> bool:
        """Compare, and repair; False when it could not be told, as while the server is away. Raises StartError."""
        try:
            code, said = await self._run("--look-only")
        except StartError as error:
            log.error("log.not_compared", error=str(error))
            return False
        if code != DAMAGED:
            log.info("log.compared", code=code, said=said)
            return code == 0
        log.error("log.damaged", said=said)
        await self._pause(self._repair_in_the_end)
        return True

    async def _repair_in_the_end(self) -> None:
        """Repair, again while that fails. Raises StartError, which ends the stack: nobody may go on from a damaged log."""
        for attempt in range(1, REPAIR_ATTEMPTS + 1):
            try:
                await self.repair()
                return
            except StartError as error:
                if attempt == REPAIR_ATTEMPTS:
                    log.error("log.given_up", error=str(error), hint="the stack ends; do as it says, then make up tries again")
                    raise
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
                log.error("log.not_repaired", error=str(error), retry_seconds=wait)
                await asyncio.sleep(wait)

    async def _run(self, *flags: str) -> tuple[int, list[str]]:
        try:
            process = await self._start(flags)
        except OSError as error:  # as on a full disk, which must not end the stack that waits for room
            raise StartError(f"the log cannot be compared with its second copy: {error}") from error
        try:
            async with asyncio.timeout(REPAIR_SECONDS):
                output, _ = await process.communicate()
        except BaseException as error:
            if process.returncode is None:
                process.kill()  # whatever it had done, the next one does the rest
            if isinstance(error, TimeoutError):
                raise StartError(f"comparing the log took longer than {REPAIR_SECONDS:g} s; see {self._folder.logs}") from error
            raise
        return process.returncode or 0, output.decode(errors="replace").splitlines()

    async def _start(self, flags: tuple[str, ...]) -> Process:
        with self._folder.log(self._program.name).open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                *self._program.command,
                *flags,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=errors,
                env=environment_of(self._program.variables, self._program.secrets),
                preexec_fn=lambda: os.nice(5) and None,  # the run goes first
            )


WELL = 200
SILENT = 0

PATIENCE = {WELL: math.inf, SILENT: SILENT_SECONDS, READING_BACK: START_SECONDS}
"""Seconds by status after which a server is started again; all others are unwell. One that reads its log back would have to
begin anew, and a long log would never come up; one that is frozen is silent."""


class _Trouble:
    """How long a server has had its status, and how often it was started again for one."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._status = WELL
        self._since = 0.0
        self._restarts = 0
        self._back = 0.0
        """When it was last started again, or last seen to read its log back."""
        self._least = 0
        """Bytes that were free when there was least since the last restart."""

    def calls_for_restart(self, status: int) -> bool:
        """Whether this status has lasted too long."""
        moment = asyncio.get_running_loop().time()
        if status != self._status:
            self._status, self._since = status, moment
        if status == READING_BACK:
            self._back = moment
        if status == WELL and moment - self._back >= LONGEST_WAIT:  # on a full disk it is well until it is to write
            self._restarts = 0
        if status in PATIENCE or not self._restarts:
            return moment - self._since >= PATIENCE.get(status, UNWELL_SECONDS)
        room = self._room()
        self._least = min(self._least, room)
        room_was_made = self._least < FULL and room >= self._least + ROOM and moment - self._since >= UNWELL_SECONDS
        return room_was_made or moment - self._back >= min(LONGEST_WAIT, FIRST_WAIT * 2 ** (self._restarts - 1))

    def restarted(self) -> None:
        self._since = self._back = asyncio.get_running_loop().time()
        self._restarts += 1
        self._least = self._room()

    def facts(self) -> dict[str, int]:
        return {"free_bytes": self._room(), "restarts_before": self._restarts}

    def _room(self) -> int:
        return shutil.disk_usage(self._folder.nats).free
