"""The orchestrator as a real process on a real bus; the tests play the producers."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest

from shared import streams, subjects
from shared.bus import Bus, Delivery, Missing, bucket_key, bucket_stream, decode, encode
from shared.messages import (
    Accepted,
    Begun,
    Candidate,
    ChangeRun,
    Duplicate,
    Finished,
    Presence,
    RunControl,
    RunSpec,
    RunState,
    StartRun,
    Task,
    Usage,
    candidate_id,
    claim_id,
    next_digest,
)
from shared.service import end as end_tasks
from tests.conftest import eventually

RESULTS = streams.RESULTS.name or ""
TASKS = streams.TASKS.name or ""


class Orchestrator:
    """The process under test, which can be killed and started again."""

    def __init__(self, url: str, **variables: str) -> None:
        self._variables = {"NATS_URL": url, "PATH": "", **variables}
        self.command = [sys.executable, "-m", "services.orchestrator"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self._variables, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)


@pytest.fixture
def orchestrator(nats_url: str) -> Iterator[Orchestrator]:
    under_test = Orchestrator(nats_url)
    under_test.start()
    yield under_test
    under_test.kill()


class Producer:
    """Announces itself and answers each task with what `answer` gives for it."""

    def __init__(self, bus: Bus, answer: Callable[[Task], list[str]], name: str = "producer-test") -> None:
        self._bus = bus
        self._answer = answer
        self.name = name
        self.tasks: list[Task] = []
        self.outcome = "ok"
        self.gives_up = False
        self._running: list[asyncio.Task[None]] = []

    def join(self) -> "Producer":
        self._running = [asyncio.create_task(self._announce()), asyncio.create_task(self._work())]
        return self

    async def leave(self) -> None:
        await end_tasks(self._running)

    async def _announce(self) -> None:
        while True:
            await self._bus.tell(subjects.presence("random", self.name), Presence(producer=self.name, provider="random"))
            await asyncio.sleep(0.2)

    async def _work(self) -> None:
        queue = self._bus.queue("random")
        while True:
            delivery = await queue.take()
            if delivery is not None:
                await self._do(delivery)

    async def _do(self, delivery: Delivery) -> None:
        task = decode(Task, delivery.data)
        self.tasks.append(task)
        await begin(self._bus, task, self.name)
        texts = self._answer(task)
        for ordinal, text in enumerate(texts):
            await publish(self._bus, task, ordinal, text, self.name)
        usage = Usage(
            run=task.run,
            task=task.id,
            provider="random",
            model="test",
            producer=self.name,
            outcome=self.outcome,  # type: ignore[arg-type]  # the test sets one of the three
            error="it broke" if self.outcome == "failed" else "",
            error_kind="auth" if self.gives_up else "",
            gives_up=self.gives_up,
            candidates=len(texts),
        )
        await self._bus.publish(subjects.usage(task.run, "random"), usage, id=task.id)
        await delivery.done()


async def begin(bus: Bus, task: Task, producer: str = "producer-test") -> bool:
    """Claim a task's call, as a producer does before it asks its model."""
    claim = Begun(run=task.run, task=task.id, provider=task.provider, producer=producer)
    return await bus.claim(subjects.begun(task.run, task.provider, task.id), claim, claim_id(task.id))


async def given(bus: Bus, run: str = "r1") -> Task:
    """A task of a run that this test takes and begins; nobody reports it."""
    queue = bus.queue("random")

    async def take() -> Delivery | None:
        await bus.tell(subjects.presence("random", "p"), Presence(producer="p", provider="random"))
        return await queue.take()

    delivery: Delivery = await eventually(take)
    task = decode(Task, delivery.data)
    assert task.run == run
    assert await begin(bus, task)
    return task


async def publish(bus: Bus, task: Task, ordinal: int, text: str, producer: str = "producer-test") -> int:
    candidate = Candidate(
        id=candidate_id(task.id, text),
        run=task.run,
        task=task.id,
        ordinal=ordinal,
        text=text,
        provider="random",
        model="test",
        producer=producer,
    )
    return await bus.publish(subjects.candidate(task.run, "random"), candidate, id=candidate.id)


@pytest.fixture
async def producers(bus: Bus) -> AsyncIterator[list[Producer]]:
    joined: list[Producer] = []
    yield joined
    for producer in joined:
        await producer.leave()


def spec(**fields: Any) -> RunSpec:
    wish = {"topic": "tools", "providers": ["random"], "producers": 1, "dedupe": "exact", **fields}
    return msgspec.convert(wish, RunSpec)


async def ask(bus: Bus, subject: str, message: msgspec.Struct) -> dict[str, Any]:
    """Ask, again while the orchestrator is on its way up."""
    for _ in range(400):
        try:
            return msgspec.json.decode(await bus.ask(subject, message), type=dict[str, Any])
        except Missing:
            await asyncio.sleep(0.05)
    pytest.fail("the orchestrator never answered")


async def start(bus: Bus, run: str = "r1", **fields: Any) -> dict[str, Any]:
    return await ask(bus, subjects.START_RUN, StartRun(spec=spec(**fields), run=run))


async def finished(bus: Bus, run: str = "r1", seconds: float = 20) -> Finished:
    stored = await eventually(lambda: bus.last(RESULTS, subjects.finished(run)), seconds)
    return decode(Finished, stored.data)


async def decisions(bus: Bus, run: str = "r1") -> tuple[list[Accepted], list[Duplicate]]:
    accepted: list[Accepted] = []
    duplicates: list[Duplicate] = []
    async for batch in bus.history(RESULTS, subjects.decisions_of_run(run)):
        for stored in batch:
            if ".accepted." in stored.subject:
                accepted.append(decode(Accepted, stored.data))
            elif ".duplicate." in stored.subject:
                duplicates.append(decode(Duplicate, stored.data))
    return accepted, duplicates


async def test_a_run_from_topic_to_list(bus: Bus, orchestrator: Orchestrator, producers: list[Producer]) -> None:
    """Two calls that overlap: each attribute once, repeats as duplicates of it, and the end says why."""
    answers = [["Hammer", "The Saw", "hammers"], ["saw", "Drill"]]
    producers.append(Producer(bus, lambda task: answers[task.ordinal]).join())

    await start(bus, iterations=2)
    end = await finished(bus)
    accepted, duplicates = await decisions(bus)

    assert [a.text for a in accepted] == ["Hammer", "The Saw", "Drill"]
    assert [a.ordinal for a in accepted] == [1, 2, 3]
    assert [(d.text, d.of, d.of_text) for d in duplicates] == [("hammers", 1, "Hammer"), ("saw", 2, "The Saw")]
    assert (end.status, end.accepted, end.duplicates) == ("finished", 3, 2)
    assert end.reason == "made all 2 model calls (iterations)"
    assert end.providers["random"].calls == 2
    digest = ""
    for attribute in accepted:
        digest = next_digest(digest, attribute.text)
        assert attribute.digest == digest
    assert end.digest == digest


async def test_the_avoid_list_carries_what_others_found(
    bus: Bus, orchestrator: Orchestrator, producers: list[Producer]
) -> None:
    """The second task names what the first one brought, most repeated first."""
    answers = [["anvil", "bolt", "Bolt", "bolts", "chisel"], ["drill"]]
    producers.append(Producer(bus, lambda task: answers[task.ordinal]).join())

    await start(bus, iterations=2)
    await finished(bus)

    first, second = producers[0].tasks
    assert first.avoid == []
    assert second.avoid == ["bolt", "chisel", "anvil"]


async def test_iterations_count_per_producer(bus: Bus, orchestrator: Orchestrator, producers: list[Producer]) -> None:
    """Three producers times four iterations are twelve calls, each task done once."""
    for number in range(3):
        name = f"producer-{number}"
        producers.append(Producer(bus, lambda task: [f"item {task.ordinal}"], name).join())

    await start(bus, producers=3, iterations=4)
    await finished(bus)

    ids = [task.id for producer in producers for task in producer.tasks]
    assert sorted(ids) == sorted({f"r1-{n}" for n in range(12)})


async def test_zero_iterations_end_at_once(bus: Bus, orchestrator: Orchestrator) -> None:
    await start(bus, iterations=0)
    end = await finished(bus)
    assert (end.status, end.accepted, end.providers["random"].calls) == ("finished", 0, 0)


async def test_max_items_is_exact(bus: Bus, orchestrator: Orchestrator, producers: list[Producer]) -> None:
    """A call that brings more than is wanted does not carry the list past its limit."""
    producers.append(Producer(bus, lambda task: [f"thing {n}" for n in range(10)]).join())

    await start(bus, max_items=4)
    end = await finished(bus)
    accepted, _ = await decisions(bus)

    assert len(accepted) == end.accepted == 4
    assert end.reason == "reached 4 attributes (max_items)"


async def test_a_list_that_may_not_grow_pauses_and_says_so(nats_url: str, bus: Bus, producers: list[Producer]) -> None:
    """The bound of a million, made small: the run neither goes on paying nor ends as if it were complete."""
    small = "from services.orchestrator import __main__, run; run.DEFAULT_CAPACITY = 3; __main__.main()"
    under_test = Orchestrator(nats_url)
    under_test.command = [sys.executable, "-c", small]
    under_test.start()
    try:
        producers.append(Producer(bus, lambda task: [f"tool {task.ordinal} {letter}" for letter in "ab"]).join())
        await start(bus)
        state = await eventually(lambda: paused(bus), 20)
        stopped = await ask(bus, subjects.STOP_RUN, ChangeRun(run="r1"))
        end = await finished(bus)
    finally:
        under_test.kill()

    assert state.reason == "the list holds 3 attributes, the most that one run may hold; stop it, start another"
    assert stopped["accepted"] == 3
    assert (end.status, end.accepted, end.late) == ("stopped", 3, 1)


async def paused(bus: Bus) -> RunState | None:
    stored = await bus.last(bucket_stream("RUNS"), bucket_key("RUNS", "r1"))
    state = decode(RunState, stored.data) if stored else None
    return state if state and state.status == "paused" else None


async def test_max_seconds_ends_the_run(bus: Bus, orchestrator: Orchestrator) -> None:
    """Even when no producer ever comes."""
    await start(bus, max_seconds=0.5)
    end = await finished(bus)
    assert (end.status, end.reason) == ("finished", "reached 0.5 seconds (max_seconds)")


async def test_stop_takes_along_what_is_under_way(bus: Bus, orchestrator: Orchestrator) -> None:
    """A producer told to stop may still report its call; what it found is decided before the end."""
    await bus.tell(subjects.presence("random", "p"), Presence(producer="p", provider="random"))
    told: asyncio.Queue[RunControl] = asyncio.Queue()
    await bus.listen(subjects.ALL_RUN_CONTROL, RunControl, told.put)
    await start(bus)
    queue = bus.queue("random")

    async def take() -> Delivery | None:
        await bus.tell(subjects.presence("random", "p"), Presence(producer="p", provider="random"))
        return await queue.take()

    delivery: Delivery = await eventually(take)
    task = decode(Task, delivery.data)
    assert await begin(bus, task)
    await ask(bus, subjects.STOP_RUN, ChangeRun(run="r1"))
    while (await asyncio.wait_for(told.get(), 5)).action != "stopping":
        pass
    await publish(bus, task, 0, "last one")
    usage = Usage(run="r1", task=task.id, provider="random", model="m", producer="p", outcome="cancelled", input_tokens=7)
    await bus.publish(subjects.usage("r1", "random"), usage, id=task.id)
    await delivery.done()

    end = await finished(bus)
    accepted, _ = await decisions(bus)
    assert [a.text for a in accepted] == ["last one"]
    assert (end.status, end.reason) == ("stopped", "stopped by the user")
    assert end.providers["random"].input_tokens == 7


async def test_pause_hands_out_nothing(bus: Bus, orchestrator: Orchestrator, producers: list[Producer]) -> None:
    await start(bus, iterations=3)
    state = await ask(bus, subjects.PAUSE_RUN, ChangeRun(run="r1"))
    assert state["status"] == "paused"
    producers.append(Producer(bus, lambda task: [f"item {task.ordinal}"]).join())
    await asyncio.sleep(0.6)  # long enough for a task to be handed out wrongly
    assert producers[0].tasks == []
    await ask(bus, subjects.RESUME_RUN, ChangeRun(run="r1"))
    assert (await finished(bus)).accepted == 3


async def test_a_killed_orchestrator_goes_on(bus: Bus, orchestrator: Orchestrator, producers: list[Producer]) -> None:
    """kill -9 in the middle: nothing twice, nothing lost, the same list and exactly the calls that were asked for."""
    producers.append(Producer(bus, lambda task: [f"common {task.ordinal % 7}", f"only {task.ordinal}"]).join())
    await start(bus, iterations=40)
    for _ in range(3):
        seen = len(producers[0].tasks)
        await eventually(lambda seen=seen: len(producers[0].tasks) > seen + 4)  # type: ignore[misc]  # binds the number
        orchestrator.kill()
        orchestrator.start()

    end = await finished(bus, seconds=40)
    accepted, duplicates = await decisions(bus)
    assert [a.ordinal for a in accepted] == list(range(1, 48))
    assert len({a.text for a in accepted}) == 47
    assert (end.accepted, end.duplicates, len(duplicates)) == (47, 33, 33)
    # A number may be missing: of a task that was issued and not yet in the queue at a kill.
    assert len({t.ordinal for t in producers[0].tasks}) == len(producers[0].tasks) == 40
    assert end.providers["random"].calls == 40


async def test_a_second_orchestrator_fences_the_first(nats_url: str, bus: Bus, orchestrator: Orchestrator) -> None:
    """Two at once: the older one is refused by the server, says so, and exits."""
    await start(bus)
    await given(bus)
    second = Orchestrator(nats_url)
    second.start()
    try:
        newest = await eventually(lambda: bus.last(RESULTS, subjects.epoch(2)))
        assert newest
        assert orchestrator.process is not None
        await bus.publish(subjects.candidate("r1", "random"), _candidate("r1", "hammer"))
        assert await asyncio.to_thread(orchestrator.process.wait, 20) == 1
        accepted, _ = await eventually(lambda: _with_items(bus))
        assert [a.text for a in accepted] == ["hammer"]
    finally:
        second.kill()


async def _with_items(bus: Bus) -> tuple[list[Accepted], list[Duplicate]] | None:
    found = await decisions(bus)
    return found if found[0] else None


def _candidate(run: str, text: str) -> Candidate:
    task = f"{run}-0"
    return Candidate(
        id=candidate_id(task, text), run=run, task=task, ordinal=0, text=text, provider="random", model="m", producer="p"
    )


async def test_a_failing_provider_leaves_with_its_reason(
    bus: Bus, orchestrator: Orchestrator, producers: list[Producer]
) -> None:
    """Calls that fail are paused for, and the run tells the error."""
    producer = Producer(bus, lambda task: []).join()
    producer.outcome = "failed"
    producers.append(producer)

    await start(bus, max_seconds=2.2)
    end = await finished(bus)

    assert end.providers["random"].failed == end.providers["random"].calls
    assert 1 <= end.providers["random"].calls <= 4  # pauses of 0.5, 1, 2 seconds
    assert end.providers["random"].last_error == "it broke"


async def test_malformed_candidates_are_refused_and_lose_nothing(bus: Bus, orchestrator: Orchestrator) -> None:
    """Junk, forged runs and forged ids between two good candidates: the good ones are accepted."""
    await start(bus)
    await given(bus)
    subject = subjects.candidate("r1", "random")
    js = bus.client.jetstream()
    good = _candidate("r1", "hammer")
    await js.publish(subject, b"\xff\x00 no json")
    await js.publish(subject, b"[" * 10_000)
    await js.publish(subject, encode(msgspec.structs.replace(good, run="r2")))
    await js.publish(subject, encode(msgspec.structs.replace(good, id="0" * 32)))
    await js.publish(subject, encode(msgspec.structs.replace(good, text="")))
    await js.publish(subject, b'{"id":"x","text":1e999}')
    await bus.publish(subject, good)
    await bus.publish(subject, _candidate("r1", "saw"))

    async def both() -> bool:
        return len((await decisions(bus))[0]) == 2

    await eventually(both)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"topic": ""}, "topic is empty"),
        ({"topic": "x" * 10_000}, "10000 characters"),
        ({"topic": "a\nb"}, "control characters"),
        ({"providers": ["nobody"]}, "unknown provider 'nobody'"),
        ({"iterations": -1}, "iterations"),
        ({"producers": 0}, "producers"),
    ],
)
async def test_a_bad_request_is_refused_in_words(
    bus: Bus, orchestrator: Orchestrator, fields: dict[str, Any], complaint: str
) -> None:
    request = {"spec": {"topic": "tools", "providers": ["random"], **fields}}

    class Raw(msgspec.Struct):
        spec: dict[str, Any]

    answer = await ask(bus, subjects.START_RUN, Raw(**request))
    assert complaint in answer["error"]
    assert answer["code"] == "invalid"


async def test_the_same_id_starts_one_run(bus: Bus, orchestrator: Orchestrator) -> None:
    await start(bus)
    answers = await asyncio.gather(*(start(bus) for _ in range(5)))
    assert {a["run"] for a in answers} == {"r1"}
    assert all("error" not in a for a in answers)


async def test_changing_an_unknown_run_is_refused(bus: Bus, orchestrator: Orchestrator) -> None:
    answer = await ask(bus, subjects.STOP_RUN, ChangeRun(run="nothing"))
    assert answer == {"error": "there is no run nothing", "code": "not_found"}


async def test_the_state_is_there_for_all(bus: Bus, orchestrator: Orchestrator) -> None:
    await start(bus, iterations=0)
    await finished(bus)

    async def ended() -> bool:
        stored = await bus.last(bucket_stream("RUNS"), bucket_key("RUNS", "r1"))
        return stored is not None and decode(RunState, stored.data).status == "finished"

    await eventually(ended)


async def test_it_stops_when_told(bus: Bus, orchestrator: Orchestrator) -> None:
    await start(bus)
    assert await asyncio.to_thread(orchestrator.stop) == 0


async def test_no_task_is_left_behind(bus: Bus, orchestrator: Orchestrator, producers: list[Producer]) -> None:
    """When a run is stopped while nobody works, its tasks are called back: nobody pays for them later."""
    await bus.tell(subjects.presence("random", "ghost"), Presence(producer="ghost", provider="random"))
    await start(bus, producers=1)

    async def handed_out() -> bool:
        await bus.tell(subjects.presence("random", "ghost"), Presence(producer="ghost", provider="random"))
        return bool(await bus.waiting(TASKS, subjects.tasks_of_run("r1")))

    await eventually(handed_out)
    await ask(bus, subjects.STOP_RUN, ChangeRun(run="r1"))
    await finished(bus, seconds=4)
    assert await bus.waiting(TASKS, subjects.tasks_of_run("r1")) == []


async def test_many_short_runs_end_beside_each_other(bus: Bus, orchestrator: Orchestrator) -> None:
    """Runs that end while snapshots of others are sent do not take the orchestrator with them."""
    await start(bus, "long")
    for n in range(60):
        await start(bus, f"short{n}", iterations=0)
    await finished(bus, "short59")
    assert orchestrator.process is not None
    assert orchestrator.process.poll() is None


async def test_a_message_too_large_stops_nobody(bus: Bus, orchestrator: Orchestrator) -> None:
    """A huge configuration and a huge model name are refused; other runs go on."""
    answer = await start(bus, "big", routing_strategy="roundrobin", routing_config="random:" + "a" * 900)
    assert "error" not in answer
    request = {"spec": {"topic": "x", "providers": ["random"], "routing_config": "a" * 20_000}}
    assert "error" in msgspec.json.decode(await bus.ask(subjects.START_RUN, _Raw(**request)))
    await ask(bus, subjects.STOP_RUN, ChangeRun(run="big"))
    await start(bus)
    await given(bus)
    huge = msgspec.structs.replace(_candidate("r1", "hammer"), model="m" * 16_000)
    subject = subjects.candidate("r1", "random")
    await bus.client.jetstream().publish(subject, encode(huge)[: 16 * 1024])
    await bus.publish(subject, _candidate("r1", "saw"))
    assert (await eventually(lambda: _with_items(bus)))[0][0].text == "saw"


class _Raw(msgspec.Struct):
    spec: dict[str, Any]


async def test_a_malformed_report_does_not_keep_it_from_starting(
    bus: Bus, orchestrator: Orchestrator, producers: list[Producer]
) -> None:
    """Junk among the usage and the tasks of an active run is passed over when the run is rebuilt."""
    producers.append(Producer(bus, lambda task: [f"item {task.ordinal}"]).join())
    await start(bus, iterations=8)
    await eventually(lambda: len(producers[0].tasks) > 2)
    orchestrator.kill()
    await bus.client.jetstream().publish(subjects.usage("r1", "random"), b"{junk")
    orchestrator.start()
    end = await finished(bus)
    assert end.calls == 8


async def test_calls_that_fail_together_count_once(bus: Bus, orchestrator: Orchestrator, producers: list[Producer]) -> None:
    """Ten calls under way fail in the same moment: a pause, not the end of the provider."""
    for n in range(10):
        producer = Producer(bus, lambda task: [f"item {task.ordinal}"], f"producer-{n}")
        producer.outcome = "failed"
        producers.append(producer.join())
    await start(bus, producers=10, max_calls=60)
    await eventually(lambda: sum(len(p.tasks) for p in producers) >= 10)
    for producer in producers:
        producer.outcome = "ok"
    end = await finished(bus)
    assert (end.status, end.calls, end.providers["random"].left) == ("finished", 60, "")


async def test_a_stopped_run_is_not_revived(bus: Bus, orchestrator: Orchestrator) -> None:
    """Pause and resume are refused while a run is being ended."""
    await bus.tell(subjects.presence("random", "p"), Presence(producer="p", provider="random"))
    await start(bus)
    queue = bus.queue("random")

    async def take() -> Delivery | None:
        await bus.tell(subjects.presence("random", "p"), Presence(producer="p", provider="random"))
        return await queue.take()

    await eventually(take)  # a call under way keeps the run from ending at once
    await ask(bus, subjects.STOP_RUN, ChangeRun(run="r1"))
    assert (await ask(bus, subjects.RESUME_RUN, ChangeRun(run="r1")))["code"] == "conflict"
    assert (await finished(bus)).status == "stopped"


async def test_an_idle_orchestrator_leaves_when_another_takes_over(nats_url: str, bus: Bus, orchestrator: Orchestrator) -> None:
    await start(bus)
    second = Orchestrator(nats_url)
    second.start()
    try:
        assert orchestrator.process is not None
        assert await asyncio.to_thread(orchestrator.process.wait, 20) == 1
        assert "error" not in await start(bus, "r2")
    finally:
        second.kill()


async def test_a_provider_that_left_stays_out_after_a_restart(
    bus: Bus, orchestrator: Orchestrator, producers: list[Producer]
) -> None:
    producer = Producer(bus, lambda task: [])
    producer.outcome, producer.gives_up = "failed", True
    producers.append(producer.join())
    await start(bus, providers=["random", "local"])

    async def left() -> bool:
        stored = await bus.last(bucket_stream("RUNS"), bucket_key("RUNS", "r1"))
        return stored is not None and decode(RunState, stored.data).providers["random"].left != ""

    await eventually(left)
    orchestrator.kill()
    orchestrator.start()
    await ask(bus, subjects.STOP_RUN, ChangeRun(run="r1"))
    end = await finished(bus)
    assert end.providers["random"].left == "it broke"
    assert len(producer.tasks) == 1
