"""One run on a stack under test, from its start to the verdict, and how long it stood still after a fault."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from services.tester import readings
from services.tester.clients import Client
from services.tester.evidence import Evidence, Frame
from shared import streams, subjects
from shared.bus import Bus, BusError
from shared.messages import ENDED

RESULTS = streams.RESULTS.name or ""

ASK_SECONDS = 30.0
"""How long a request is tried again while the gateway or what is behind it is on its way up."""

FILES_SECONDS = 20.0
"""How long the recorder may take to complete the files after the run has ended."""

STATE_SECONDS = 20.0
"""How long the run's last state may be written after its last entry, by the next orchestrator if need be."""

DONE_SECONDS = 20.0
"""How long a client may take to be told of everything after that."""

POLL_SECONDS = 0.01


class Late(Exception):
    """Raised when something did not happen in time; the text says what."""


class Watched:
    """One run that is being watched. `begin` starts it, `verdict` waits for its end and gathers the evidence."""

    def __init__(self, url: str, bus: Bus, output: Path, run: str, clients: int) -> None:
        self.run = run
        self.bus = bus
        self.clients = [Client(url, run).start() for _ in range(clients)]
        self.accepted = 0
        """As far as this reader of the stream has seen."""
        self.times: list[float] = []
        """When something new was seen; seconds of the loop's clock."""
        self.finished = False
        self._url = url
        self._output = output
        self._following = asyncio.create_task(self._follow())

    @classmethod
    async def begin(cls, url: str, bus: Bus, output: Path, clients: int = 2, **spec: Any) -> "Watched":
        """Have a run started, as a user would, and watch it. Raises Late when nobody starts it."""
        # The same key with every attempt: a request whose answer was lost must not start a second run.
        key = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{time.time_ns() % 0xFFFFFF:06x}"
        run = str((await ask(url, "/api/runs", spec, {"Idempotency-Key": key}))["run"])
        return cls(url, bus, output, run, clients)

    async def stop(self) -> None:
        """Have the run stopped."""
        await ask(self._url, f"/api/runs/{self.run}/stop", {})

    async def _follow(self) -> None:
        wanted = [subjects.accepted_of_run(self.run), subjects.finished(self.run)]
        async for batch in self.bus.follow(RESULTS, wanted):
            for stored in batch:
                self.times.append(asyncio.get_running_loop().time())
                if subjects.decision(stored.subject)[0] == "finished":
                    self.finished = True
                    return
                self.accepted += 1

    async def until_accepted(self, number: int, seconds: float = 30.0) -> None:
        """Wait until so many attributes are accepted, or the run has ended. Raises Late."""
        await until(lambda: self.accepted >= number or self.finished, seconds, f"{number} attributes of run {self.run}")

    def readers(self) -> list[list[float]]:
        """When the stream, and each client, had something new; seconds of the loop's clock."""
        told = [[frame.at for frame in client.frames if frame.event in ("accepted", "done")] for client in self.clients]
        return [self.times, *told]

    async def verdict(self, seconds: float, logs: list[Path]) -> Evidence:
        """Wait for the run's end, the files' and the clients', and gather the evidence. Raises Late."""
        try:
            await until(lambda: self.finished, seconds, f"the end of run {self.run}")
            await until(self._files_complete, FILES_SECONDS, f"the files of run {self.run}")
            await self._state_written()
        finally:
            await self.close(DONE_SECONDS if self.finished else 0)
        frames = [client.frames for client in self.clients]
        return await self._gather(frames, logs)

    async def _gather(self, frames: list[list[Frame]], logs: list[Path]) -> Evidence:
        """Read, again when the bus breaks off: a server may still be on its way up."""
        deadline = time.monotonic() + FILES_SECONDS
        while True:
            try:
                return await readings.gather(self.bus, self.run, self._output, frames, logs)
            except BusError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.25)

    async def _state_written(self) -> None:
        """Give the orchestrator a moment to write the run's last state; what it then is, is judged later."""
        deadline = time.monotonic() + STATE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(BusError):
                state = await readings.state_of(self.bus, self.run)
                if state is not None and state.status in ENDED:
                    return
            await asyncio.sleep(0.1)

    def _files_complete(self) -> bool:
        metadata = readings.metadata_of(self._output, self.run)
        return metadata is not None and bool(metadata.get("ended"))

    async def close(self, seconds: float = 0) -> None:
        """Stop watching; the clients get so long to hear the rest."""
        await asyncio.gather(*(client.finish(seconds) for client in self.clients))
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)


async def ask(url: str, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    """POST as a user's script does, again while the answer is that something is not there yet. Raises Late."""
    deadline = time.monotonic() + ASK_SECONDS
    answer = "nobody answered"
    async with httpx.AsyncClient(base_url=url, timeout=10.0, trust_env=False) as http:
        while time.monotonic() < deadline:
            try:
                response = await http.post(path, json=body, headers=headers)
            except httpx.HTTPError as error:
                answer = repr(error)
            else:
                if response.is_success:
                    found: dict[str, Any] = response.json()
                    return found
                answer = f"{response.status_code} {response.text[:300]}"
                if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    break
            await asyncio.sleep(0.1)
    raise Late(f"POST {path}: {answer}")


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until a condition holds. Raises Late with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Late(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(POLL_SECONDS)
