"""Deliberately broken variants: what guards a run is taken away, and the checker must see what then goes wrong.

A harness that finds nothing wrong proves nothing unless it would find it. Each variant meets the fault that its missing guard
is there for, and the same fault with the guard in place must leave nothing to complain of.
"""

import dataclasses
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.tester.trial import Trial
from shared import streams
from tests.conftest import eventually
from tests.faults.field import Field, altered, shipped
from tests.faults.mains import EXIT_CODE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Field]:
    """A stack of this test's own: what it does to the streams is no other's business."""
    async with Field(tmp_path / "all") as laid_out:
        yield laid_out


async def variant(own: Field, name: str) -> None:
    """Put a broken orchestrator in the place of the one that runs."""
    own.expected["orchestrator"] += 10  # how it ends is not what is asked here
    await own.restart("orchestrator", altered(), {"BROKEN": name})


async def without_uniqueness(own: Field) -> None:
    """Have the log take any number of messages on one subject."""
    loose = dataclasses.replace(streams.RESULTS, max_msgs_per_subject=-1, discard_new_per_subject=False)
    await own.bus.client.jetstream().update_stream(loose)


def kinds(found: Trial) -> set[str]:
    """The invariants that were found broken."""
    return {broken.invariant for broken in found.broken}


async def nothing(_: random.Random) -> None:
    """The variant hurts itself."""


async def test_doubling_is_seen_without_unique_subjects(own: Field) -> None:
    """An answer is lost and the batch written again: the stream that takes one message a subject refuses it, another not."""
    await without_uniqueness(own)
    await variant(own, "blind_writes")
    found = await own.trial("broken", 1, nothing)
    assert found.doubled > 0
    assert {"I1", "I2", "I3"} <= kinds(found), found.broken


async def test_the_same_is_nothing_with_unique_subjects(own: Field) -> None:
    await variant(own, "blind_writes")
    found = await own.trial("guarded", 1, nothing)
    assert not found.broken
    assert found.doubled == found.lost == 0


async def test_loss_is_seen_when_the_place_moves_before_the_decision_is_stored(own: Field) -> None:
    """One batch is "on its way" when the process dies, and the next is stored: nobody decides the first one any more."""
    await variant(own, "early_place")
    orchestrator = own["orchestrator"]

    async def make(_: random.Random) -> None:
        await eventually(lambda: EXIT_CODE in orchestrator.codes, 30)

    found = await own.trial("broken", 2, make)
    assert found.lost > 0
    assert {"I1", "I3"} <= kinds(found), found.broken


@pytest.mark.parametrize("fenced", [False, True])
async def test_a_zombie_is_seen_without_a_fence(own: Field, fenced: bool) -> None:
    """Stopped, replaced and let go, it writes what it still holds into a list that has gone on without it.

    Unique subjects would refuse it too, since both decide alike: two guards, each of which is enough. Here the other is gone.
    """
    await without_uniqueness(own)
    if not fenced:
        await variant(own, "no_fence")
    zombie = own["orchestrator"]

    async def make(_: random.Random) -> None:
        zombie.signal(signal.SIGSTOP)
        second = await own.add("second", like="orchestrator")
        own.expected["second"] += 10
        second.start(shipped("orchestrator") if fenced else altered(), {} if fenced else {"BROKEN": "no_fence"})
        await eventually(lambda: b"log.taken_over" in second.log_since_start(), 30)
        own.expected["orchestrator"] += 10
        zombie.stay_away()
        zombie.signal(signal.SIGCONT)

    found = await own.trial("fenced" if fenced else "broken", 3, make)
    if fenced:
        assert not found.broken
    else:
        assert kinds(found) & {"I1", "I2", "I3"}, "two writers in one list, and nothing was found wrong"
