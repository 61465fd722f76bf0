"""Facets through the real orchestrator: one that is rich and runs dry is split, one that holds nothing is left alone."""

from collections import Counter

from shared.bus import Bus
from shared.messages import Task
from tests.integration.steering_live.scripted import Scripted
from tests.integration.test_orchestrator import Orchestrator, finished, orchestrator, start

__all__ = ["orchestrator"]  # the fixture

PARTS = {"": ["museums", "parks", "nothing there"], "museums": ["art museums", "science museums"]}

HOLDS = {"museums": 100, "parks": 10, "nothing there": 0, "": 5}
"""Attributes of each facet; its parts hold something new for every call."""


def answer(task: Task) -> list[str]:
    """What the model says: the first of a facet that it is not told to avoid, then those that it is told to avoid."""
    if task.kind == "facets":
        return PARTS.get(task.facet, [])
    first = 0 if task.facet in HOLDS else 100 * task.ordinal
    names = [f"{task.facet or 'whole'} {number}" for number in range(first, first + HOLDS.get(task.facet, 20))]
    avoid = set(task.avoid)
    return sorted(names, key=lambda name: name in avoid)[: task.count]


async def test_a_rich_facet_is_split_and_an_empty_one_dropped(bus: Bus, orchestrator: Orchestrator) -> None:
    producer = Scripted(bus, "openai", answer).join()
    try:
        await start(bus, providers=["openai"], max_calls=80, strategy="avoid,facets,allocation")
        end = await finished(bus, seconds=60)
    finally:
        await producer.leave()

    assert [task.facet for task in producer.tasks if task.kind == "facets"] == ["", "museums"]
    split = next(n for n, task in enumerate(producer.tasks) if task.kind == "facets" and task.facet)
    before, after = (
        Counter(t.facet for t in some if t.kind == "list") for some in (producer.tasks[:split], producer.tasks[split:])
    )
    assert before["museums"] >= 3
    assert after["museums"] == 0
    assert after["art museums"] + after["science museums"] > 0.7 * after.total()
    assert end.facets["museums"].closed == "split into art museums, science museums"
    assert end.facets["museums"].accepted == HOLDS["museums"]

    asked = before + after
    assert 1 <= asked["nothing there"] <= 4
    assert end.facets["nothing there"].accepted == 0
