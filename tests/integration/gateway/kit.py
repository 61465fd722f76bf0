"""What the gateway's tests share: a gateway on a free port, clients of it, and a stand-in for the orchestrator."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from services.gateway.__main__ import serve
from services.gateway.clients import Clients
from services.gateway.feeds import ORCHESTRATOR_PING, Ping
from services.gateway.log_tail import LogTail
from services.gateway.places import Limits
from services.gateway.rates import Rate, Rates
from services.gateway.server import address, listen
from services.gateway.settings import GatewaySettings
from services.gateway.view import View
from shared import subjects
from shared.bus import Bus, Entry, bucket_key
from shared.messages import (
    Accepted,
    ChangeRun,
    Duplicate,
    Finished,
    Forecast,
    ForecastRun,
    ProviderCounts,
    Refusal,
    RunSpec,
    RunState,
    Settled,
    Snapshot,
    StartRun,
    next_digest,
    now,
)
from shared.service import Service, end
from tests.conftest import eventually

SPEC = RunSpec(topic="Paris attractions", providers=("random",))
RUN = "20261124-101500-aaaaaa"

HEADERS = {"Content-Type": "application/json"}


class Orchestrator:
    """Answers on the bus as the orchestrator does, and decides what the test says."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._service = Service("orchestrator", "stand-in", bus, asyncio.Event())
        self.states: dict[str, RunState] = {}
        self.asked: list[StartRun] = []
        self.texts: list[str] = []
        self.digest = ""
        self.repeated = 0

    async def answer(self) -> "Orchestrator":
        """Be there."""
        await self._service.register()
        await self._service.endpoint(subjects.START_RUN, StartRun, self._start)
        await self._service.endpoint(subjects.FORECAST_RUN, ForecastRun, self._forecast)
        await self._service.endpoint(subjects.STOP_RUN, ChangeRun, self._change("stopped"))
        await self._service.endpoint(subjects.PAUSE_RUN, ChangeRun, self._change("paused"))
        await self._service.endpoint(subjects.RESUME_RUN, ChangeRun, self._change("running"))
        await self.bus.ask(ORCHESTRATOR_PING, Ping())  # comes after the subscriptions, so from here on the server knows them
        return self

    async def write(self, **changes: Any) -> RunState:
        """Write a run's state as it is now."""
        run = changes.get("run", RUN)
        before = self.states.get(run, RunState(run=run, spec=SPEC, status="running", created=now()))
        self.states[run] = msgspec.structs.replace(before, **changes)
        await self.bus.publish(bucket_key("RUNS", run), self.states[run])
        return self.states[run]

    async def accept(self, *texts: str, run: str = RUN, near: int = 0, facet: str = "") -> None:
        """Accept attributes, in one batch; they may repeat the attribute with ordinal `near`."""
        entries, digest = [], self.digest
        for ordinal, text in enumerate(texts, start=len(self.texts) + 1):
            digest = next_digest(digest, text)
            message = Accepted(
                run=run,
                ordinal=ordinal,
                text=text,
                key=text,
                candidate="c",
                candidate_sequence=1,
                task="t",
                provider="random",
                model="vocabulary",
                producer="producer-random-1",
                near=near,
                near_text=self.texts[near - 1] if near else "",
                near_score=0.81 if near else 0.0,
                near_why="“louvre palace” against “louvre”" if near else "",
                facet=facet,
                at=now(),
                digest=digest,
            )
            entries.append(Entry(subjects.accepted(run, text), message))
        await self.bus.commit(entries)
        self.texts += texts
        self.digest = digest

    async def settle(self, ordinal: int, of: int, *, same: bool, run: str = RUN) -> None:
        """Tell what a model says of a possible duplicate."""
        judgement = Settled(
            run=run,
            ordinal=ordinal,
            text=self.texts[ordinal - 1],
            of=of,
            of_text=self.texts[of - 1],
            same=same,
            task="t",
            provider="random",
            model="judge",
            at=now(),
        )
        await self.bus.publish(subjects.settled(run, ordinal), judgement)

    async def repeat(self, *texts: str, of: int = 1, run: str = RUN) -> None:
        """Decide that these repeat an attribute, in one batch."""
        entries = []
        for text in texts:
            self.repeated += 1
            message = Duplicate(
                run=run,
                candidate=f"d{self.repeated}",
                candidate_sequence=1,
                text=text,
                of=of,
                of_text=self.texts[of - 1],
                tier="typo",
                score=0.97,
                why="“louvre” with one letter less",
                task="t",
                provider="random",
                model="vocabulary",
                producer="producer-random-1",
                at=now(),
            )
            entries.append(Entry(subjects.duplicate(run, message.candidate), message))
        await self.bus.commit(entries)

    async def finish(self, run: str = RUN) -> None:
        """Write a run's last entry of the log."""
        end = Finished(
            run=run,
            status="finished",
            reason="all calls are made",
            accepted=len(self.texts),
            duplicates=3,
            seconds=2.5,
            calls=2,
            providers={"random": ProviderCounts(calls=2, candidates=len(self.texts) + 3)},
            digest=self.digest,
            at=now(),
        )
        await self.bus.publish(subjects.finished(run), end)

    async def tell(self, **changes: Any) -> None:
        """Send a snapshot."""
        state = msgspec.structs.replace(self.states[RUN], **changes)
        await self.bus.tell(subjects.snapshot(RUN), Snapshot(state=state, per_minute=12.5, producers=2))

    async def _start(self, question: StartRun) -> RunState | Refusal:
        self.asked.append(question)
        if question.run in self.states:
            return self.states[question.run]
        if question.spec.topic == "busy":
            return Refusal(error="three runs are active; stop one first", code="conflict")
        return await self.write(run=question.run, spec=question.spec, created=now())

    async def _forecast(self, question: ForecastRun) -> Forecast | Refusal:
        if question.spec.topic == "busy":
            return Refusal(error="no forecast for that")
        return Forecast(calls=30, input_tokens=900, output_tokens=600, usd=None, most_usd=None, unpriced=["random/x"])

    def _change(self, status: str) -> Callable[[ChangeRun], Any]:
        async def change(question: ChangeRun) -> RunState:
            return await self.write(run=question.run, status=status)

        return change


@dataclass
class Event:
    """One server-sent event as a browser reads it."""

    name: str
    id: str
    data: Any


class Watching:
    """An open event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, *names: str) -> Event:
        """The next event, or the next of these names. Fails when none comes in time, or the stream ends."""
        async with asyncio.timeout(10):
            while True:
                event = await self._event()
                if not names or event.name in names:
                    return event

    async def rest(self, name: str = "accepted") -> list[Event]:
        """All events of a name until the stream ends."""
        found = []
        async with asyncio.timeout(20):
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    event = await self._event()
                    found += [event] if event.name == name else []
        return found

    async def _event(self) -> Event:
        name = place = data = ""
        while True:
            line = await anext(self._lines)
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                place = value
            elif field == "data":
                data = value
            elif not line and name:
                return Event(name, place, msgspec.json.decode(data))


@contextlib.asynccontextmanager
async def gateway(
    nats_url: str,
    variables: dict[str, str] | None = None,
    *,
    tail_bytes: int = 0,
    clients: Clients | None = None,
    rates: Rates | None = None,
    limits: Limits | None = None,
    log_level: str = "error",
    **more: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway on a free port of this process, and a client of it."""
    listener = listen("127.0.0.1", 0)
    view = View(clients)
    if tail_bytes:
        view.list, view.whole = LogTail(tail_bytes), LogTail(tail_bytes)
    rates = rates or Rates(changes=Rate(10_000, 10_000), reads=Rate(10_000, 10_000), public=Rate(10_000, 10_000))
    settings = GatewaySettings(nats_url=nats_url, port=0, log_level=log_level, **more)
    serving = asyncio.ensure_future(serve(settings, variables or {}, listener, view, rates, limits))
    try:
        async with httpx.AsyncClient(base_url=address(listener), timeout=10) as client:
            yield client
    finally:
        await end([serving])  # again, if the cancellation met an arriving message and was lost


@contextlib.asynccontextmanager
async def watch(
    client: httpx.AsyncClient, last_id: str = "", run: str = RUN, *, duplicates: bool = False
) -> AsyncIterator[Watching]:
    """An event stream of a run, opened as a browser would after it had got `last_id`."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    query = "?duplicates=1" if duplicates else ""
    async with client.stream("GET", f"/api/runs/{run}/events{query}", headers=headers) as response:
        yield Watching(response)


async def ready(client: httpx.AsyncClient) -> None:
    await eventually(lambda: _ready(client))


async def _ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def status_of(client: httpx.AsyncClient, run: str = RUN) -> str:
    response = await client.get(f"/api/runs/{run}")
    return str(response.json()["status"]) if response.status_code == 200 else ""


@contextlib.contextmanager
def stalled(url: str, run: str = RUN) -> Iterator[None]:
    """A client that asks for the event stream and never reads."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(f"GET /api/runs/{run}/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        yield
