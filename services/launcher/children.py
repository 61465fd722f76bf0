"""One supervised child process: started, started again when it ends, stopped in the end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from services.launcher.child_environment import environment_of
from services.launcher.folder import ChildReport, Folder, State
from services.launcher.locks import hold, name_holder

STOP_SECONDS = 8.0
"""From SIGTERM to SIGKILL: the gateway, the slowest to end, takes up to 6 s with clients connected."""

FIRST_DELAY = 0.2
MAX_DELAY = 10.0
"""Seconds before a child that ended is started again: doubled each time, so that a broken one does not eat the machine."""

HEALTHY_SECONDS = 30.0
"""A child that ran this long is not a broken one: its next end is its first."""

PR_SET_PDEATHSIG = 1

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, and how one sees that it is well."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    """On top of the launcher's own environment."""
    secrets: tuple[str, ...] = ()
    """How the names of the secrets begin that it is given of that environment; see `child_environment`."""
    service: str = ""
    probe: str = ""
    watches_parent: bool = True
    """Whether it ends by itself when its standard input closes, as `shared.service` does."""


class Child:
    """One program that is kept running until `stop`. `changed` is called whenever its state or process changes."""

    def __init__(self, program: Program, folder: Folder, changed: Callable[[], None]) -> None:
        self.program = program
        """What the next start uses."""
        self.state: State = "starting"
        self.pid = 0
        self.restarts = 0
        self.failures = 0
        """Ends in a row that came before `HEALTHY_SECONDS`."""
        self._folder = folder
        self._changed = changed
        self._process: Process | None = None
        self._asked = False
        """Whether its end was asked for by `restart`: no failure of its own."""
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it running; returns at once."""
        self._task = asyncio.create_task(self._keep_running(), name=self.program.name)

    def is_ready(self) -> None:
        """Note that it answers."""
        log.info("child.ready", child=self.program.name, pid=self.pid)
        self._enter("ready")

    def restart(self) -> None:
        """End its process at once, so that another one is started soon: for a process that will not do its work any more."""
        self._asked = self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL after `STOP_SECONDS`. Returns when it is gone."""
        self._stopping.set()
        if self._task is None:
            return
        self._signal(signal.SIGTERM)
        ended, _ = await asyncio.wait({self._task}, timeout=STOP_SECONDS)
        if not ended:
            log.warning("child.killed", child=self.program.name, pid=self.pid, after=STOP_SECONDS)
            self._signal(signal.SIGKILL)
        await self._task

    def report(self) -> ChildReport:
        program = self.program
        return ChildReport(program.name, self.state, self.pid, self.restarts, program.service, program.probe)

    async def _keep_running(self) -> None:
        while True:
            began = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                break
            ran_well = self._asked or time.monotonic() - began >= HEALTHY_SECONDS
            self.failures = 1 if ran_well else self.failures + 1
            self._asked = False
            delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(self.failures - 1, 10))
            log.warning("child.ended", child=self.program.name, pid=self.pid, code=code, again_in=delay)
            self._enter("waiting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            if self._stopping.is_set():
                break
            self.restarts += 1
        self.pid = 0
        self._enter("stopped")

    async def _run_once(self) -> int | None:
        """Start it and wait for its end; returns its exit code, or None if it could not be started."""
        try:
            process = await self._start()
        except (OSError, subprocess.SubprocessError) as error:  # as on a full disk, which may have room at the next attempt
            log.error("child.not_started", child=self.program.name, error=str(error))
            return None
        if process is None:
            log.error("child.still_there", child=self.program.name, hint="its last process has not ended yet")
            return None
        self._process = process
        self.pid = process.pid
        log.info("child.started", child=self.program.name, pid=self.pid)
        self._enter("starting")
        if self._stopping.is_set():  # told to stop while it was being started
            self._signal(signal.SIGTERM)
        code = await process.wait()
        self._process = None
        return code

    async def _start(self) -> Process | None:
        """Start its process; None while the last one is still there. Raises OSError, and then there is none."""
        lock = hold(self._folder.child_lock(self.program.name))
        if lock is None:
            return None
        try:
            process = await self._spawn(lock)
            try:
                name_holder(lock, process.pid)
            except OSError as error:  # it runs: from here on it must be watched, whatever cannot be written down
                log.warning("child.not_named", child=self.program.name, pid=process.pid, error=str(error))
            return process
        finally:
            os.close(lock)  # the child has it now, and the system lets go of it when the child ends

    async def _spawn(self, lock: int) -> Process:
        with self._folder.log(self.program.name).open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=PIPE,  # never written to: it closes when the launcher is gone
                stdout=output,
                stderr=STDOUT,
                env=environment_of(self.program.variables, self.program.secrets),
                start_new_session=True,  # Ctrl-C in a terminal is the launcher's to handle, not the child's
                pass_fds=(lock,),
                preexec_fn=None if self.program.watches_parent else _die_with_parent(),
            )

    def _signal(self, number: signal.Signals) -> bool:
        """Send its process a signal; False when there is none."""
        if self._process is None or self._process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        return True

    def _enter(self, state: State) -> None:
        self.state = state
        self._changed()


def _die_with_parent() -> Callable[[], None] | None:
    """Have the kernel stop a child that does not watch its standard input (Linux); elsewhere the next start finds it."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl  # looked up here: after the fork nothing may be loaded

    def set_signal() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return set_signal
