"""A producer as a process of its own, on a real bus: what it takes, publishes, reports and gives back."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import pytest

from shared import streams, subjects
from shared.bus import Bus, connect, decode
from shared.messages import Candidate, Presence, RunControl, Task, Usage
from tests.conftest import NatsServer, eventually

MessageT = TypeVar("MessageT", bound=msgspec.Struct)


@dataclass
class Process:
    """A producer's process and what it wrote."""

    handle: asyncio.subprocess.Process
    output: list[str] = field(default_factory=list)

    async def ends(self, seconds: float) -> int:
        return await asyncio.wait_for(self.handle.wait(), seconds)

    def said(self, text: str) -> int:
        return sum(text in line for line in self.output)


@asynccontextmanager
async def producer(url: str, *arguments: str, **variables: str) -> AsyncIterator[Process]:
    """Run `python -m services.producer` until the block ends."""
    environment = {**os.environ, "NATS_URL": url, **variables}
    environment.pop("CHORUS_SUPERVISED", None)
    handle = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.producer", *arguments, env=environment, stderr=asyncio.subprocess.PIPE
    )
    process = Process(handle)

    async def collect() -> None:
        assert handle.stderr is not None
        async for line in handle.stderr:
            process.output.append(line.decode())

    reading = asyncio.ensure_future(collect())
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            handle.kill()
        await handle.wait()
        await reading


@pytest.fixture
async def presences(bus: Bus) -> dict[str, Presence]:
    """The last word of every producer."""
    seen: dict[str, Presence] = {}

    async def on_presence(presence: Presence) -> None:
        seen[presence.producer] = presence

    await bus.listen(subjects.ALL_PRESENCE, Presence, on_presence)
    return seen


def a_task(number: int = 0, **changes: object) -> Task:
    task = Task(id=f"task-{number}", run="run-1", provider="random", topic="Test topic", ordinal=number, count=20)
    return msgspec.structs.replace(task, **changes)


async def give(bus: Bus, task: Task) -> None:
    await bus.publish(subjects.task(task.provider, task.run), task, id=task.id)


async def stored(bus: Bus, stream: str, subject: str, kind: type[MessageT]) -> list[MessageT]:
    return [decode(kind, m.data) async for batch in bus.history(stream, [subject]) for m in batch]


async def candidates(bus: Bus) -> list[Candidate]:
    return await stored(bus, streams.reports("random"), subjects.ALL_CANDIDATES, Candidate)


async def usages(bus: Bus, provider: str = "random") -> list[Usage]:
    return await stored(bus, streams.reports(provider), subjects.ALL_USAGE, Usage)


def reported(bus: Bus, number: int) -> Callable[[], object]:
    """A condition: that many calls are reported."""

    async def enough() -> list[Usage]:
        found = await usages(bus)
        return found if len(found) >= number else []

    return enough


async def no_tasks(bus: Bus) -> bool:
    return not await bus.waiting("TASKS", subjects.ALL_TASKS)


async def test_a_task_becomes_candidates_in_order_and_one_report(bus: Bus, nats_url: str) -> None:
    async with producer(nats_url, "--provider", "random"):
        await give(bus, a_task())
        (usage,) = await eventually(reported(bus, 1))
        await eventually(lambda: no_tasks(bus))
    found = await candidates(bus)
    assert [c.ordinal for c in found] == list(range(20))
    assert len({c.text for c in found}) == 20
    assert {(c.run, c.task, c.provider, c.model) for c in found} == {("run-1", "task-0", "random", "random")}
    assert (usage.outcome, usage.candidates, usage.task) == ("ok", 20, "task-0")


async def test_two_producers_share_the_queue_and_say_who_they_are(
    bus: Bus, nats_url: str, presences: dict[str, Presence]
) -> None:
    async with producer(nats_url, "--provider", "random"), producer(nats_url, "--provider", "random"):
        await eventually(lambda: len(presences) == 2)
        for number in range(12):
            await give(bus, a_task(number))
        done = await eventually(reported(bus, 12))
    assert {usage.producer for usage in done} == set(presences)
    assert all(p.provider == "random" and p.slots == 1 and p.models == ["random"] for p in presences.values())


async def test_the_avoid_list_is_heeded(bus: Bus, nats_url: str) -> None:
    async with producer(nats_url, "--provider", "random", RANDOM_OBEDIENCE="1"):
        await give(bus, a_task())
        await eventually(reported(bus, 1))
        first = {c.text for c in await candidates(bus)}
        await give(bus, a_task(0, id="again", avoid=sorted(first)))
        await eventually(reported(bus, 2))
    second = {c.text for c in await candidates(bus) if c.task == "again"}
    assert len(second) == 20
    assert not {t.casefold() for t in first} & {t.casefold() for t in second}


async def test_a_failed_call_is_reported_and_its_task_is_done(bus: Bus, nats_url: str, presences: dict[str, Presence]) -> None:
    async with producer(nats_url, "--provider", "random", RANDOM_ERROR_RATE="1"):
        await give(bus, a_task())
        (usage,) = await eventually(reported(bus, 1))
        await eventually(lambda: no_tasks(bus))
        await eventually(lambda: any("RANDOM_ERROR_RATE" in p.error for p in presences.values()))
    assert usage.outcome == "failed"
    assert "RANDOM_ERROR_RATE" in usage.error
    assert (usage.error_kind, usage.gives_up, usage.attempts) == ("server", False, 1)
    assert not await candidates(bus)


async def test_a_malformed_task_is_dropped_and_the_next_one_done(bus: Bus, nats_url: str) -> None:
    async with producer(nats_url, "--provider", "random") as process:
        await bus.client.publish("control.task.random.run-1", b'{"id": 7}')
        await bus.client.publish("control.task.random.run-1", b"\xff\x00")
        await bus.publish("control.task.random.other", a_task(5))
        await give(bus, a_task(1))
        await eventually(reported(bus, 1))
        await eventually(lambda: no_tasks(bus))
        assert process.said("task.malformed") == 3
    assert {c.task for c in await candidates(bus)} == {"task-1"}


async def test_stopping_a_run_ends_its_call(bus: Bus, nats_url: str, presences: dict[str, Presence]) -> None:
    async with producer(nats_url, "--provider", "random", RANDOM_LATENCY_SECONDS="60"):
        await give(bus, a_task(facet="museums"))
        await eventually(lambda: any(p.state == "working" and p.run == "run-1" for p in presences.values()))
        (told,) = presences.values()
        assert (told.task, told.kind, told.facet) == ("task-0", "list", "museums")
        await bus.tell(subjects.run_control("run-1"), RunControl(run="run-1", action="paused"))
        await bus.tell(subjects.run_control("another"), RunControl(run="another", action="stopping"))
        await bus.tell(subjects.run_control("run-1"), RunControl(run="run-1", action="stopping"))
        (usage,) = await eventually(reported(bus, 1), 3)
        assert usage.outcome == "cancelled"
        await give(bus, a_task(1))
        assert {u.outcome for u in await eventually(reported(bus, 2), 3)} == {"cancelled"}
        await eventually(lambda: no_tasks(bus))


async def test_a_deadline_ends_a_call(bus: Bus, nats_url: str) -> None:
    async with producer(nats_url, "--provider", "random", RANDOM_LATENCY_SECONDS="60"):
        await give(bus, a_task(deadline_seconds=0.5))
        (usage,) = await eventually(reported(bus, 1), 5)
    assert (usage.outcome, usage.error) == ("failed", "no complete answer within 0.5 s")


async def test_sigterm_reports_a_call_at_once_that_is_broken_off(
    bus: Bus, nats_url: str, presences: dict[str, Presence]
) -> None:
    """It may be paid for, so nobody makes it once more."""
    async with producer(nats_url, "--provider", "random", RANDOM_LATENCY_SECONDS="60") as leaving:
        await give(bus, a_task(count=500))
        await eventually(lambda: len_of(candidates(bus)))
        leaving.handle.send_signal(signal.SIGTERM)
        assert await leaving.ends(2) == 0
        (usage,) = await usages(bus)
        assert await no_tasks(bus)
        await eventually(lambda: [p.state for p in presences.values()] == ["leaving"])
    assert usage.outcome == "cancelled"
    assert 0 < usage.candidates <= len(await candidates(bus))


async def len_of(found: Awaitable[Sequence[object]]) -> int:
    return len(await found)


async def test_an_idle_producer_leaves_within_two_seconds(bus: Bus, nats_url: str, presences: dict[str, Presence]) -> None:
    async with producer(nats_url, "--provider", "random") as process:
        await eventually(lambda: any(p.state == "idle" for p in presences.values()))
        process.handle.send_signal(signal.SIGTERM)
        assert await process.ends(2) == 0


async def test_a_killed_producers_call_is_not_made_once_more(bus: Bus, nats_url: str, presences: dict[str, Presence]) -> None:
    """It may be paid for: who is given its task next says that it is lost, and the orchestrator asks anew if there is money."""

    async def some() -> bool:
        return len(await candidates(bus)) >= 5

    async with producer(nats_url, "--provider", "random", RANDOM_LATENCY_SECONDS="60") as doomed:
        await give(bus, a_task(count=500))
        await eventually(some)
        doomed.handle.kill()
        await doomed.handle.wait()
        async with producer(nats_url, "--provider", "random"):
            (usage,) = await eventually(reported(bus, 1), 20)
            await eventually(lambda: no_tasks(bus))
    assert (usage.outcome, usage.error_kind, usage.candidates, usage.attempts) == ("failed", "lost", 0, 0)
    assert len({c.producer for c in await candidates(bus)}) == 1


async def test_a_lost_bus_delays_a_call_and_loses_nothing(nats_server: NatsServer, bus: Bus, nats_url: str) -> None:
    async with producer(nats_url, "--provider", "random", RANDOM_LATENCY_SECONDS="2") as process:
        await give(bus, a_task(count=200))
        await eventually(lambda: process.said("task.taken"))
        nats_server.kill()
        await eventually(lambda: process.said("bus.disconnected"))
        nats_server.start()
        await eventually(reported(bus, 1), 30)
        await eventually(lambda: no_tasks(bus), 30)
    found = await candidates(bus)
    assert len(found) == len({c.text for c in found}) == 200


@pytest.mark.parametrize("provider", ["random", "openai"])
async def test_it_waits_for_a_bus_and_its_streams_and_then_joins(nats_server: NatsServer, provider: str) -> None:
    """Whatever is started first, all come together; each wait is said once."""
    nats_server.kill()
    async with producer(nats_server.url, "--provider", provider, OPENAI_API_KEY="sk-0123456789") as process:
        await eventually(lambda: process.said("bus.waiting"), 20)
        nats_server.start()
        await eventually(lambda: process.said("bus.not_provisioned"))
        assert process.said("bus.waiting") == process.said("bus.not_provisioned") == 1
        provisioning = await connect(nats_server.url, "provision")
        joined = asyncio.Event()

        async def on_presence(presence: Presence) -> None:
            if presence.provider == provider:
                joined.set()

        await provisioning.listen(subjects.ALL_PRESENCE, Presence, on_presence)
        await provisioning.provision()
        await asyncio.wait_for(joined.wait(), 10)
        await provisioning.close()


async def test_help_names_every_provider_and_the_keys() -> None:
    command = (sys.executable, "-m", "services.producer", "--provider", "openai", "--help")
    handle = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text = (await asyncio.wait_for(handle.communicate(), 20))[0].decode()
    assert handle.returncode == 0
    for word in ("openai", "anthropic", "gemini", "local", "random", "OPENAI_API_KEY", "--model"):
        assert word in text


async def test_the_random_provider_loads_no_sdk() -> None:
    """It starts in a fraction of a second, and its image holds none."""
    code = (
        "import sys; from services.producer import __main__ as m; m.build('random', {}, ('random',));"
        "print(sorted({'openai', 'anthropic', 'google.genai', 'httpx2', 'pydantic'} & set(sys.modules)))"
    )
    handle = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert (await asyncio.wait_for(handle.communicate(), 20))[0].strip() == b"[]"


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--provider", "openai"], {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, "OPENAI_API_KEY"),
        (["--provider", "openai"], {"OPENAI_API_KEY": "abc-secret"}, "OpenAI API key should start with 'sk-'"),
        (["--provider", "anthropic"], {"ANTHROPIC_API_KEY": ""}, "ANTHROPIC_API_KEY, or choose local or random"),
        (["--provider", "anthropic"], {"ANTHROPIC_API_KEY": "sk-abc-secret"}, "Anthropic API key should start with 'sk-ant-'"),
        (["--provider", "gemini"], {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": ""}, "set GEMINI_API_KEY"),
        (["--provider", "openai"], {"OPENAI_API_KEY": "sk-abc-secret\n"}, "copy it anew"),
        (["--provider", "openai"], {"OPENAI_API_KEY": "sk-abc-secret", "OPENAI_RPM": "0"}, "openai_rpm"),
        (["--provider", "random"], {"PRODUCER_SLOTS": "many"}, "producer_slots"),
        (["--provider", "nobody"], {}, "unknown provider 'nobody'"),
        (["--provider", "random"], {"RANDOM_ERROR_RATE": "2"}, "RANDOM_ERROR_RATE"),
        (["--provider", "random", "--model", "gpt"], {}, "has the models random"),
        (["--provider", "random", "--log-level", "loud"], {}, "LOG_LEVEL"),
    ],
)
async def test_wrong_settings_get_one_line(arguments: list[str], variables: dict[str, str], sentence: str) -> None:
    async with producer("nats://127.0.0.1:1", *arguments, **variables) as process:
        assert await process.ends(10) == 1
        await eventually(lambda: process.output)
    assert len(process.output) == 1
    assert sentence in process.output[0]
    assert "abc-secret" not in process.output[0]
