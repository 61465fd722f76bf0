"""What was accepted is named to avoid in every call that is handed out from then on, at once."""

import asyncio
import time

from shared import subjects
from shared.bus import Bus, Delivery, decode
from shared.messages import Presence, Task
from shared.service import end as end_tasks
from tests.conftest import eventually
from tests.integration.test_orchestrator import Orchestrator, Producer, decisions, orchestrator, publish, start

__all__ = ["orchestrator"]  # the fixture

MOST_SECONDS = 1.0

NEEDLE = "needle of the slow call"


async def _is_there(bus: Bus) -> None:
    while True:
        await bus.tell(subjects.presence("random", "slow"), Presence(producer="slow", provider="random"))
        await asyncio.sleep(0.1)  # as a producer does, though oftener


async def test_what_a_call_under_way_found_is_named_to_others_within_a_second(bus: Bus, orchestrator: Orchestrator) -> None:
    """One call is slow: what it has found so far is named in the calls of the other producer before it ends."""
    slow = asyncio.create_task(_is_there(bus))
    await start(bus, producers=2, facets="none")
    held: Delivery = await eventually(bus.queue("random").take)
    quick = Producer(bus, lambda task: [f"item {task.ordinal}"], "quick").join()
    try:
        await eventually(lambda: len(quick.tasks) >= 3)
        await publish(bus, decode(Task, held.data), 0, NEEDLE, "slow")

        async def accepted() -> bool:
            return NEEDLE in [a.text for a in (await decisions(bus))[0]]

        await eventually(accepted)
        since = time.monotonic()
        await eventually(lambda: any(NEEDLE in task.avoid for task in list(quick.tasks)))
        assert time.monotonic() - since < MOST_SECONDS

        first = next(n for n, task in enumerate(quick.tasks) if NEEDLE in task.avoid)
        await eventually(lambda: len(quick.tasks) >= first + 20)
        assert all(NEEDLE in task.avoid for task in quick.tasks[first : first + 20] if not task.probe)
    finally:
        await quick.leave()
        await end_tasks([slow])
