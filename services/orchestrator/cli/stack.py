"""The services that a list on the command line needs, run by the launcher as a child that ends with us."""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shared.service import SUPERVISED

READY_SECONDS = 60.0
"""How long the services may take to get ready; a local model on a slow disk takes the longest."""

STOP_SECONDS = 20.0
"""How long they may take to stop before they are killed."""


class StackError(Exception):
    """Raised when the services could not be started, ended by themselves or refused; the text says why, for the user.

    `code` is the exit code: 2 when what was asked for is wrong.
    """

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.code = code


class _Ready(msgspec.Struct):
    ready: bool
    nats_url: str = ""
    keys: dict[str, str] = {}
    error: str = ""


class Stack:
    """A launcher and its children; they stop when our end of its standard input closes, even if we are killed."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self.folder = folder
        self.nats_url = ""
        self.keys: dict[str, str] = {}
        """Variables by which a client gets onto the bus of the stack."""

    @classmethod
    async def start(cls, services: Sequence[str], providers: Sequence[str], producers: int, more: dict[str, str]) -> "Stack":
        """Start services and producers and wait until all are ready. Raises StackError."""
        try:
            folder = Path(tempfile.mkdtemp(prefix="chorus-"))
            process = await _launch(folder, services, providers, producers, more)
        except OSError as error:  # as on a full disk
            raise StackError(f"the services cannot be started in {tempfile.gettempdir()}: {error.strerror or error}") from error
        self = cls(process, folder)
        try:
            answer = await self._wait_until_ready()
            self.nats_url, self.keys = answer.nats_url, answer.keys
        except BaseException:
            await self.stop(keep_logs=True)
            raise
        return self

    async def _wait_until_ready(self) -> _Ready:
        assert self._process.stdout is not None  # noqa: S101  # opened as a pipe above
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), READY_SECONDS)
        except TimeoutError:
            raise StackError(f"the services were not ready after {READY_SECONDS:g} seconds; see {self.folder}/log") from None
        try:
            answer = msgspec.json.decode(line, type=_Ready)
        except msgspec.DecodeError:
            raise StackError(f"the launcher ended without a word; see {self.folder}/log") from None
        if not answer.ready:
            raise StackError(answer.error)
        return answer

    async def ended(self) -> None:
        """Return never while the services run; raise StackError when the launcher is gone."""
        code = await self._process.wait()
        raise StackError(f"the launcher ended with code {code}; see {self.folder}/log")

    async def stop(self, *, keep_logs: bool = False) -> None:
        """Stop all services, and remove their logs unless they shall be kept; the launcher removes the rest of its folder."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
        if not keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)


async def _launch(
    folder: Path, services: Sequence[str], providers: Sequence[str], producers: int, more: dict[str, str]
) -> asyncio.subprocess.Process:
    """Start the launcher."""
    command = [sys.executable, "-m", "services.launcher", "run", "--parent-stdin", "--temporary"]
    command += ["--services", ",".join(services), "--folder", str(folder)]
    command += ["--provider", ",".join(providers), "--producers", str(producers)]
    (folder / "log").mkdir()
    with (folder / "log" / "launcher.log").open("ab") as errors:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,  # not ours: whoever reads that would wait for the services when we have left
            env={**os.environ, **more, SUPERVISED: ""},
            start_new_session=True,  # a Ctrl-C in the terminal is ours alone: the run is ended first, then the services
        )
