"""A secured stack with an honest provider and a hostile one, and what is left of a run when it has ended."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from nats.js.api import ConsumerConfig

from services.orchestrator import log_entries
from services.tester.stack import free_port
from shared import roles, streams, subjects
from shared.bus import Bus, Delivery, Missing, Unavailable, bucket_key, bucket_stream, decode
from shared.messages import (
    Accepted,
    Begun,
    Candidate,
    ChangeRun,
    Finished,
    Presence,
    RunState,
    StartRun,
    Task,
    Usage,
    candidate_id,
    claim_id,
)
from shared.service import end as end_tasks
from tests.conftest import eventually
from tests.integration.secured_server import SecuredServer
from tests.integration.test_metrics import scraped
from tests.integration.test_orchestrator import spec

RESULTS = streams.RESULTS.name or ""

PRICES = """
[models]
"openai/a" = { input = 1.0, output = 2.0 }
"openai/dear" = { input = 1000.0, output = 2000.0 }
"""

HONEST = "openai"
HOSTILE = "random"
"""The provider with the least of the keys, and bad intentions."""

SILENT = 1.0
"""Seconds until a task whose producer fell silent goes to another, on the hasty stage."""


@dataclass(slots=True)
class Bill:
    """What a vendor wants to be paid for the calls of one run."""

    calls: int = 0
    input: int = 0
    output: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.input + self.output

    @property
    def usd(self) -> float:
        return (self.input * 1.0 + self.output * 2.0) / 1e6


class Producers:
    """Producers of one provider that share their vendor's bills; every call is claimed, billed and reported."""

    def __init__(self, bus: Bus, provider: str = HONEST, model: str = "a", slots: int = 2) -> None:
        self.bus = bus
        self.provider = provider
        self.model = model
        self.slots = slots
        self.seconds = 0.02
        """That a call takes."""
        self.tasks: list[Task] = []
        self.bills: dict[str, Bill] = {}
        self.texts: Callable[[Task], list[str]] = lambda task: [f"place a{task.ordinal}b{n}" for n in range(2)]
        self.costs: Callable[[Task], tuple[int, int]] = lambda _: (100, 50)
        self.vanishes: Callable[[Task], bool] = lambda _: False
        """Whether the producer dies once the vendor has answered."""
        self.fails = ""
        """Kind of the error with which every call ends, for good."""
        self.takes = True
        """Whether they take tasks at all."""
        self._running: list[asyncio.Task[None]] = []

    def join(self) -> "Producers":
        workers = [asyncio.create_task(self._work()) for _ in range(self.slots)]
        self._running = [asyncio.create_task(self._announce()), *workers]
        return self

    async def leave(self) -> None:
        await end_tasks(self._running)

    def bill(self, run: str) -> Bill:
        return self.bills.setdefault(run, Bill())

    async def _announce(self) -> None:
        name = f"producer-{self.provider}"
        while True:
            presence = Presence(producer=name, provider=self.provider, models=[self.model], slots=self.slots)
            await self.bus.tell(subjects.presence(self.provider, name), presence)
            await asyncio.sleep(0.2)

    async def _work(self) -> None:
        queue = self.bus.queue(self.provider)
        while True:
            if not self.takes:
                await asyncio.sleep(0.05)
                continue
            with contextlib.suppress(Unavailable, Missing):  # the server is started again under it
                if delivery := await queue.take():
                    await self.do(delivery, decode(Task, delivery.data))

    async def do(self, delivery: Delivery, task: Task) -> None:
        """One call from claim to acknowledgement."""
        claim = Begun(run=task.run, task=task.id, provider=self.provider, producer="p")
        if not await self.bus.claim(subjects.begun(task.run, self.provider, task.id), claim, claim_id(task.id)):
            await self.report(task, "failed", error_kind="lost", error="another producer began this call and fell silent")
            await delivery.done()
            return
        self.tasks.append(task)
        bill = self.bill(task.run)
        await asyncio.sleep(self.seconds)
        if self.fails:
            await self.report(task, "failed", error_kind=self.fails, error="no more today", gives_up=True)
            await delivery.done()
            return
        asked, answered = self.costs(task)
        bill.calls, bill.input, bill.output = bill.calls + 1, bill.input + asked, bill.output + answered
        if self.vanishes(task):
            return
        for ordinal, text in enumerate(self.texts(task)):
            candidate = self.candidate(task, text, ordinal=ordinal)
            bill.said.append(text)
            await self.bus.publish(subjects.candidate(task.run, self.provider), candidate, id=candidate.id)
        await self.report(task, "ok", input_tokens=asked, output_tokens=answered)
        await delivery.done()

    async def report(self, task: Task, outcome: Any, **more: Any) -> None:
        await self.bus.publish(subjects.usage(task.run, self.provider), self.usage(task, outcome=outcome, **more), id=task.id)

    def usage(self, task: Task, **more: Any) -> Usage:
        fields = {"outcome": "ok", "model": task.model or self.model, "kind": task.kind, **more}
        return Usage(run=task.run, task=task.id, provider=self.provider, producer="p", **fields)

    def candidate(self, task: Task, text: str, **more: Any) -> Candidate:
        about = {"id": candidate_id(task.id, text), "ordinal": 0, "provider": self.provider, "model": self.model, **more}
        return Candidate(run=task.run, task=task.id, text=text, producer="p", **about)


ProducersT = TypeVar("ProducersT", bound=Producers)


class Insider(Producers):
    """Hostile producers that are given tasks of a run, and report what `lies` does."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus, HOSTILE, "test", slots=1)
        self.lies: Callable[[Task], Awaitable[None]] = lambda task: self.report(task, "ok")

    async def do(self, delivery: Delivery, task: Task) -> None:
        self.tasks.append(task)
        await self.lies(task)
        await delivery.done()

    async def say(self, subject: str, data: bytes, id: str = "", reply: str = "") -> None:
        await shout(self.bus, subject, data, id, reply)


async def shout(bus: Bus, subject: str, data: bytes, id: str = "", reply: str = "") -> None:
    """Send bytes as they are, whatever they are."""
    await bus.client.publish(subject, data, reply=reply, headers={"Nats-Msg-Id": id} if id else None)


class Stage:
    """The whole. With `hasty`, a silent producer's task goes to the next, and is written off, within seconds."""

    def __init__(self, folder: Path, *, hasty: bool = False, **variables: str) -> None:
        self.server = SecuredServer(folder)
        self.hasty = hasty
        self.log = folder / "orchestrator.log"
        self._folder = folder
        self._variables = variables
        self._exits = contextlib.AsyncExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    async def __aenter__(self) -> "Stage":
        self.server.start()
        await self.server.provision()
        if self.hasty:
            await self._hasten()
        (self._folder / "prices.toml").write_text(PRICES)
        self.gateway = await self._exits.enter_async_context(self.server.connected(roles.GATEWAY))
        self.reader = await self._exits.enter_async_context(self.server.connected(roles.ORCHESTRATOR))
        self.hostile = await self._exits.enter_async_context(self.server.connected(roles.producer(HOSTILE)))
        self.honest = await self._exits.enter_async_context(self.server.connected(roles.producer(HONEST)))
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        await self._exits.aclose()
        self.server.stop()

    async def _hasten(self) -> None:
        async with self.server.connected(roles.PROVISION) as bus:
            for consumer in streams.CONSUMERS:
                hasty: ConsumerConfig = consumer.evolve(ack_wait=SILENT)
                await bus.client.jetstream().add_consumer(streams.TASKS.name or "", hasty)

    # ---- the orchestrator ------------------------------------------------------------------------------------------

    def start(self, **variables: str) -> None:
        keys = self.server.keys
        environment = {
            "PATH": "",
            "HOME": os.environ.get("HOME", ""),
            "NATS_URL": self.server.url,
            "NATS_NKEY": str(keys / "orchestrator.nk"),
            "ORCHESTRATOR_KEY": str(keys / "orchestrator.pub"),
            "PRICES": str(self._folder / "prices.toml"),
            "METRICS_PORT": str(free_port()),
            **self._variables,
            **variables,
        }
        self._metrics = int(environment["METRICS_PORT"])
        module = "tests.integration.trust.hasty" if self.hasty else "services.orchestrator"
        if "EXIT_AT" in variables:
            module = "tests.faults.mains"
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", module]
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.starts += 1

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self, **variables: str) -> None:
        self.kill()
        self.start(**variables)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    async def exited(self, seconds: float = 30) -> None:
        """Wait until the orchestrator has ended by itself."""
        await eventually(lambda: not self.alive, seconds)

    def words(self) -> str:
        return self.log.read_text(errors="replace")

    async def refused(self) -> dict[str, float]:
        """What the orchestrator's process has passed over, by kind."""
        found = await scraped(self._metrics)
        return {name[1]: value for name, value in found.items() if name[0] == "chorus_candidates_refused_total"}

    # ---- runs ------------------------------------------------------------------------------------------------------

    async def begin(self, run: str, **fields: Any) -> dict[str, Any]:
        wish = {"providers": [HONEST], "strategy": "none", "request_size": 10, "producers": 2, **fields}
        return await self.ask(subjects.START_RUN, StartRun(spec=spec(**wish), run=run))

    async def ask(self, subject: str, message: msgspec.Struct) -> dict[str, Any]:
        """Ask, again while the orchestrator is on its way up."""
        for _ in range(400):
            try:
                return msgspec.json.decode(await self.gateway.ask(subject, message), type=dict[str, Any])
            except (Missing, Unavailable):
                await asyncio.sleep(0.05)
        pytest.fail(f"the orchestrator never answered: {self.words()[-3000:]}")

    async def change(self, subject: str, run: str) -> dict[str, Any]:
        return await self.ask(subject, ChangeRun(run=run))

    async def state(self, run: str) -> RunState | None:
        stored = await self.reader.last(bucket_stream(streams.RUNS.bucket), bucket_key(streams.RUNS.bucket, run))
        return decode(RunState, stored.data) if stored else None

    async def ended(self, run: str, seconds: float = 30) -> Finished:
        async def end() -> Finished | None:
            stored = await self.gateway.last(RESULTS, subjects.finished(run))
            return decode(Finished, stored.data) if stored else None

        try:
            found: Finished = await eventually(end, seconds)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}; {await self.state(run)}; {self.words()[-3000:]}")
        return found

    async def entries(self, run: str) -> list[tuple[str, bytes]]:
        """Kind and content of what the log holds of a run, in order; what is no entry is left out."""
        found = [s async for batch in self.gateway.history(RESULTS, subjects.decisions_of_run(run)) for s in batch]
        return [(subjects.decision(s.subject)[0], s.data) for s in found if log_entries.is_entry(s)]

    async def accepted(self, run: str) -> list[Accepted]:
        return [decode(Accepted, data) for kind, data in await self.entries(run) if kind == "accepted"]

    async def verdict(self, run: str, vendor: Producers, seconds: float = 30) -> Finished:
        """Wait for the end of a run of this vendor alone: its list and its bill are what they are without anybody else."""
        end = await self.ended(run, seconds)
        bill = vendor.bill(run)
        accepted = await self.accepted(run)
        assert [a.ordinal for a in accepted] == list(range(1, len(accepted) + 1))
        assert {a.text for a in accepted} == set(bill.said), end
        assert {a.provider for a in accepted} <= {vendor.provider}
        assert (end.accepted, end.calls, end.tokens) == (len(accepted), bill.calls, bill.tokens), end
        assert end.usd == pytest.approx(bill.usd, abs=1e-9)
        assert (await self.entries(run))[-1][0] == "finished"
        self.unharmed()
        return end

    def unharmed(self, starts: int | None = None) -> None:
        """The orchestrator is the one that was started, and nothing went wrong in it."""
        assert self.alive, self.words()[-3000:]
        said = self.words()
        assert "Traceback" not in said, said[-3000:]
        assert "handler_failed" not in said, said[-3000:]
        assert starts is None or self.starts == starts


@contextlib.asynccontextmanager
async def joined(producers: ProducersT) -> AsyncIterator[ProducersT]:
    """Producers that work until the block ends."""
    producers.join()
    try:
        yield producers
    finally:
        await producers.leave()
