"""A client of the gateway's event stream that comes back after every break, as a browser does."""

import asyncio
from collections.abc import AsyncIterator

import httpx

from services.tester.evidence import Frame

BACK_SECONDS = 0.1
"""Before it comes back: a browser waits for seconds, which would hide how long the gateway takes."""

SILENCE_SECONDS = 20.0
"""A stream that says nothing for longer is taken as broken: the gateway sends a heartbeat every 15 seconds."""


class Client:
    """One reader of a run's events. What it saw is in `frames`."""

    def __init__(self, url: str, run: str) -> None:
        self._url = f"{url}/api/runs/{run}/events"
        self.frames: list[Frame] = []
        """Since the last `reset`, which tells a client to forget what it has."""
        self.last_id = ""
        self.connections = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> "Client":
        """Begin to read; `finish` ends it."""
        self._task = asyncio.create_task(self._read_all())
        return self

    async def finish(self, seconds: float) -> None:
        """Wait until the run is done for this client, at most so long, and stop reading."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read_all(self) -> None:
        timeout = httpx.Timeout(5.0, read=SILENCE_SECONDS)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as http:
            while True:
                try:
                    if await self._read_once(http):
                        return
                except httpx.HTTPError:
                    pass  # the gateway is away
                await asyncio.sleep(BACK_SECONDS)

    async def _read_once(self, http: httpx.AsyncClient) -> bool:
        """Read one connection to its end; returns whether there is no more to come."""
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with http.stream("GET", self._url, headers=headers) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                return True
            if response.status_code != httpx.codes.OK:
                return False  # the gateway is on its way up, or its bus is away
            self.connections += 1
            async for name, event, data in _events(response.aiter_bytes()):
                self._take(name, event, data)
                if event == "done":
                    return True
        return False

    def _take(self, id: str, event: str, data: str) -> None:
        if event == "reset":
            self.frames.clear()
            self.last_id = ""
        elif id:
            self.last_id = id
        if event in ("accepted", "duplicate", "done", "reset"):
            self.frames.append(Frame(id, event, data.encode(), asyncio.get_running_loop().time()))


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str, str]]:
    """Id, event and data of each event of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    rest = b""
    async for piece in pieces:  # not by lines of the HTTP library, which takes more for the end of a line than this format
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            fields = [line.decode().partition(":")[::2] for line in block.split(b"\n")]
            values = {name: value.removeprefix(" ") for name, value in fields}
            if "data" in values:  # one line of it: the gateway's data is JSON
                yield values.get("id", ""), values.get("event", "message"), values["data"]
