"""Steering through the real orchestrator and the real producer's loop; the model says what a test needs it to."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from services.producer.adapters.contract import End
from services.producer.key import Key, fingerprint
from services.producer.limits import Limits
from services.producer.loop import Loop
from services.producer.producer import Producer
from services.producer.prompt import version
from services.producer.slots import Slots
from shared import streams, subjects
from shared.bus import Bus, bucket_key, bucket_stream, decode
from shared.messages import Candidate, RunState, Task
from shared.service import end as end_tasks
from tests.conftest import eventually
from tests.integration.test_orchestrator import Orchestrator, decisions, finished, orchestrator, start

__all__ = ["orchestrator"]  # the fixture

FACETS = ["museums", "parks", "cafés"]

POPULAR = [f"famous {what}" for what in ("tower", "bridge", "square", "palace", "garden", "market", "church", "opera")]


class Model:
    """Knows some famous things, and without end what is asked for in a facet; answers every kind of task."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def of(self, kind: str) -> list[Task]:
        return [task for task in self.tasks if task.kind == kind]

    async def complete(self, task: Task) -> AsyncGenerator[str | End, None]:
        self.tasks.append(task)
        yield "".join(f"{line}\n" for line in self._lines(task))
        yield End(input_tokens=100, output_tokens=100)

    def _lines(self, task: Task) -> list[str]:
        if task.kind == "facets":
            return FACETS
        if task.kind == "judge":
            return [f"{number} {'off' if number <= 5 else 'on'}" for number in range(1, len(task.sample) + 1)]
        fresh = [f"{task.facet or 'other'} {task.ordinal} {letter}" for letter in "abcdefgh"]
        return [*(p for p in POPULAR if p not in task.avoid), *fresh][: task.count]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def producing(bus: Bus, model: Model, provider: str = "openai") -> AsyncIterator[None]:
    key = Key(bus, provider, "one", fingerprint("none"), Limits())
    loop = Loop(Producer("one", provider, ("m",), bus, model, key, Slots(2)))
    running = [asyncio.ensure_future(loop.run()), asyncio.ensure_future(loop.announcer.run())]
    try:
        yield
    finally:
        await end_tasks(running)


async def state(bus: Bus) -> RunState:
    stored = await bus.last(bucket_stream(streams.RUNS.bucket), bucket_key(streams.RUNS.bucket, "r1"))
    assert stored
    return decode(RunState, stored.data)


async def test_a_model_names_facets_once_and_calls_keep_to_them(bus: Bus, orchestrator: Orchestrator) -> None:
    model = Model()
    async with producing(bus, model):
        await start(bus, providers=["openai"], producers=2, iterations=20, request_size=8)
        end = await finished(bus)
    assert len(model.of("facets")) == 1
    assert len(model.of("list")) == 40
    asked = Counter(task.facet for task in model.of("list"))
    assert set(asked) == {"", *FACETS}
    assert end.facets.keys() == set(FACETS)
    assert {name: counts.calls for name, counts in end.facets.items()} == {name: asked[name] for name in FACETS}
    accepted, duplicates = await decisions(bus)
    found = Counter(a.facet for a in accepted)
    assert {name: counts.accepted for name, counts in end.facets.items()} == {name: found[name] for name in FACETS}
    assert all(a.text.startswith(a.facet) for a in accepted if a.facet and "famous" not in a.text)
    assert {d.facet for d in duplicates} <= {"", *FACETS}


async def test_candidates_carry_the_hash_of_their_prompt(bus: Bus, orchestrator: Orchestrator) -> None:
    async with producing(bus, Model()):
        await start(bus, providers=["openai"], iterations=2)
        await finished(bus)
    found = [
        decode(Candidate, s.data) async for b in bus.history(streams.reports("openai"), [subjects.ALL_CANDIDATES]) for s in b
    ]
    assert {candidate.prompt for candidate in found} == {version("openai", "list")}
    assert len(version("openai", "list")) == 12


async def test_probes_tell_how_complete_the_list_is(bus: Bus, orchestrator: Orchestrator) -> None:
    """A probe names nothing; half of what it brings is famous, and so on the list already."""
    model = Model()
    async with producing(bus, model):
        await start(bus, providers=["openai"], producers=2, iterations=30, request_size=16, facets="museums; parks")
        end = await finished(bus)
    probes = [task for task in model.of("list") if task.probe]
    assert len(probes) == 3
    assert all(not task.avoid and not task.facet and not task.tail for task in probes)
    assert not model.of("facets")
    assert end.coverage is not None
    assert end.coverage_low is not None
    assert end.coverage_high is not None
    assert end.coverage_low <= end.coverage < 0.5 < end.coverage_high  # 8 of 16 items of each
    accepted, duplicates = await decisions(bus)
    assert {a.task for a in accepted if a.probe} == {task.id for task in probes} >= {d.task for d in duplicates if d.probe}


async def test_a_sample_of_the_list_is_judged(bus: Bus, orchestrator: Orchestrator) -> None:
    model = Model()
    async with producing(bus, model):
        await start(bus, providers=["openai"], producers=2, iterations=40, request_size=8, facets="none")
        end = await finished(bus)
    judged = [text for task in model.of("judge") for text in task.sample.values()]
    accepted, _ = await decisions(bus)
    assert len(judged) == len(set(judged)) == end.judged > 0
    assert set(judged) <= {a.text for a in accepted}
    assert end.on_topic == 0.75
    assert (end.on_topic_low or 1) < 0.75 < (end.on_topic_high or 0)
    assert len(model.of("judge")) * 20 <= end.calls


async def test_a_restart_forgets_nothing(bus: Bus, orchestrator: Orchestrator) -> None:
    """Facets, probes and samples are known again from the log and the usage, and nothing is asked twice."""
    model = Model()
    async with producing(bus, model):
        await start(bus, providers=["openai"], producers=2, max_calls=70, request_size=8)
        await eventually(lambda: len(model.of("list")) > 35 and model.of("judge"))
        orchestrator.kill()
        orchestrator.start()
        end = await finished(bus, seconds=30)
    calls = {task.id: task for task in model.of("list")}
    asked = Counter(task.facet for task in calls.values() if not task.probe)
    assert end.calls == len({task.id for task in model.tasks}) == 70
    assert len({task.id for task in model.of("facets")}) == 1
    assert {name: counts.calls for name, counts in end.facets.items()} == {name: asked[name] for name in FACETS}
    assert end.judged == len({ordinal for task in model.of("judge") for ordinal in task.sample})
    probes = [task for task in calls.values() if task.probe]
    assert 2 <= len(probes) <= 4
    assert end.coverage is not None
    assert (await state(bus)).coverage == end.coverage


async def test_a_route_of_the_users_own_is_kept_and_steered_within(bus: Bus, orchestrator: Orchestrator) -> None:
    model = Model()
    wish = {"routing_strategy": "backoff", "routing_config": "openai", "facets": "museums; parks", "strategy": "avoid,facets"}
    async with producing(bus, model):
        await start(bus, providers=["openai"], iterations=12, request_size=8, **wish)
        await finished(bus)
    assert {task.kind for task in model.tasks} == {"list"}
    assert {task.facet for task in model.tasks} == {"", "museums", "parks"}
    assert not any(task.probe or task.tail for task in model.tasks)


async def test_with_everything_switched_off_calls_know_nothing_of_each_other(bus: Bus, orchestrator: Orchestrator) -> None:
    model = Model()
    async with producing(bus, model):
        await start(bus, providers=["openai"], iterations=12, request_size=8, strategy="none")
        end = await finished(bus)
    assert all(not t.avoid and not t.facet and not t.probe and not t.tail and t.kind == "list" for t in model.tasks)
    assert end.accepted == 8
    assert end.coverage is None
