"""An orchestrator that is killed in the middle of a run goes on as it would have: the same calls, asked in the same way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared import subjects
from shared.bus import Bus
from shared.messages import Snapshot, Task
from tests.conftest import eventually
from tests.integration.steering_live.scripted import MODELS, Scripted
from tests.integration.test_orchestrator import Orchestrator, finished, start

CALLS = 90

FACETS = ["museums", "parks", "cafés"]


def answer(task: Task) -> list[str]:
    """A finite world: what is asked for in a facet, less the more that is named to avoid, and some that all models repeat."""
    if task.kind == "facets":
        return [] if task.facet else FACETS
    fresh = [f"{task.facet or 'whole'} {task.ordinal % 23} {n}" for n in range(max(1, 12 - task.ordinal // 8))]
    known = [f"{task.facet or 'whole'} {task.provider} {n}" for n in range(8)]
    return [*known, *fresh][: task.count]


@pytest.fixture
async def models(bus: Bus) -> AsyncIterator[dict[str, Scripted]]:
    joined = {"openai": Scripted(bus, "openai", answer, 400).join(), "anthropic": Scripted(bus, "anthropic", answer, 60).join()}
    yield joined
    for one in joined.values():
        await one.leave()


def _calls(models: dict[str, Scripted], run: str) -> list[tuple[object, ...]]:
    """Every call of a run in its order; one that was handed out twice counts once."""
    tasks = {task.id: task for one in models.values() for task in one.tasks if task.run == run}
    order = sorted(tasks.values(), key=lambda task: (task.kind != "list", task.ordinal))
    return [(t.kind, t.ordinal, t.provider, t.facet, t.probe, t.tail, tuple(t.avoid), tuple(t.sample)) for t in order]


async def test_a_killed_orchestrator_asks_on_as_if_it_had_lived(
    bus: Bus, nats_url: str, tmp_path: Path, models: dict[str, Scripted]
) -> None:
    """Two runs of the same wish, one of them broken off twice; calls go one at a time, so that their order is fixed."""
    prices = tmp_path / "prices.toml"
    lines = [f'"{provider}/{model}" = {{ input = 1, output = 10 }}' for provider, model in MODELS.items()]
    prices.write_text("\n".join(["[models]", *lines, ""]))
    orchestrator = Orchestrator(nats_url, PRICES=str(prices))
    orchestrator.start()
    snapshots: list[Snapshot] = []

    async def heard(snapshot: Snapshot) -> None:
        snapshots.append(snapshot)

    await bus.listen(subjects.snapshot("broken"), Snapshot, heard)
    wish = {"providers": list(models), "max_calls": CALLS, "objective": "dollars"}
    try:
        await start(bus, "lived", **wish)
        await finished(bus, "lived", seconds=60)
        breaks = ("broken-25", "broken-60")
        for one in models.values():
            one.holds = {task: asyncio.Event() for task in breaks}
        await start(bus, "broken", **wish)
        for task in breaks:
            await _break(orchestrator, models, snapshots, task)
        await finished(bus, "broken", seconds=60)
    finally:
        orchestrator.kill()

    lived, broken = _calls(models, "lived"), _calls(models, "broken")
    assert len({call[2] for call in lived}) == 2
    assert {call[0] for call in lived} == {"list", "facets", "judge"}
    assert {call[3] for call in lived} >= set(FACETS)
    assert any(call[4] for call in lived)
    assert any(call[5] for call in lived)
    assert broken == lived


async def _break(orchestrator: Orchestrator, models: dict[str, Scripted], snapshots: list[Snapshot], task: str) -> None:
    """Kill the orchestrator while this call is under way, and let that go on once the next one knows who is there."""
    await eventually(lambda: any(t.id == task for one in models.values() for t in one.tasks), 60)
    orchestrator.kill()
    snapshots.clear()
    orchestrator.start()
    await eventually(lambda: snapshots, 20)
    told = [one.announced for one in models.values()]
    await eventually(lambda: all(one.announced >= n + 2 for one, n in zip(models.values(), told, strict=True)))
    for one in models.values():
        one.holds[task].set()
