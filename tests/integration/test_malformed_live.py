"""F19, on a live bus: malformed messages to every service, on every subject that it reads."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.tester import invariants
from services.tester.watch import Watched
from shared import streams, subjects
from shared.messages import Accepted, Pause, Presence, RunControl, RunSpec, RunState, Started, StartRun
from tests.conftest import eventually
from tests.faults.field import Field, shipped
from tests.integration.malformed import RUN, candidate, messages, task, usage

TOLD = ("report.refused", "task.malformed", "bus.malformed", "entry.malformed", "run.unreadable")
"""What services log of a message that they drop."""

MANY = [pytest.param(500, id="some"), pytest.param(5_000, id="many", marks=pytest.mark.faults)]

Sound = Callable[[int], msgspec.Struct]
"""Makes the n-th message in order, to be spoiled."""

SPEC = RunSpec(topic="tools", providers=("random",), producers=1, iterations=1, max_calls=1, max_seconds=1)
"""Of runs that a request may start in spite of what was done to it: they shall end soon, whichever limit is spoiled."""


def accepted(number: int) -> msgspec.Struct:
    return Accepted(
        run=RUN,
        ordinal=number + 1,
        text=f"thing {number}",
        key=f"thing {number}",
        candidate="c",
        candidate_sequence=number,
        task="t",
        provider="random",
        model="random",
        producer="p",
    )


def log_entries(count: int) -> Iterator[tuple[str, bytes]]:
    """Malformed entries of the log itself: of a writer before us, or of a damaged disk."""
    kinds: tuple[tuple[str, Sound], ...] = (
        ("attributes.started", lambda _: Started(run=RUN, spec=SPEC)),
        ("attributes.accepted", accepted),
        ("attributes.finished", lambda _: Started(run=RUN, spec=SPEC)),
    )
    for seed, (subject, sound) in enumerate(kinds):
        for number, data in enumerate(messages(seed, count // 3, sound)):
            name = f"bad-{number}"
            yield (f"{subject}.{name}" if subject != "attributes.accepted" else f"{subject}.{RUN}.{number}"), data


def stored(count: int) -> Iterator[tuple[str, bytes]]:
    """Malformed messages of the streams that are worked off."""
    kinds: tuple[tuple[str, Sound], ...] = (
        (subjects.candidate(RUN, "random"), lambda n: candidate(f"thing {n}", n)),
        (subjects.task("random", RUN), task),
        (subjects.usage(RUN, "random"), usage),
        ("$KV.RUNS.bad", lambda _: RunState(run="bad", spec=SPEC, status="running")),
    )
    for seed, (subject, sound) in enumerate(kinds):
        yield from ((subject, data) for data in messages(10 + seed, count // len(kinds), sound))


def told(count: int) -> Iterator[tuple[str, bytes]]:
    """Malformed messages to whoever listens, and requests."""
    kinds: tuple[tuple[str, Sound], ...] = (
        (subjects.presence("random", "p"), lambda _: Presence(producer="p", provider="random")),
        (subjects.run_control(RUN), lambda _: RunControl(run=RUN, action="finished")),
        (subjects.pause("random"), lambda _: Pause(provider="random", key="k", seconds=1, producer="p")),
        (subjects.snapshot(RUN), lambda _: Started(run=RUN, spec=SPEC)),
        (subjects.START_RUN, lambda _: StartRun(spec=SPEC, run="never")),
    )
    for seed, (subject, sound) in enumerate(kinds):
        yield from ((subject, data) for data in messages(20 + seed, count // len(kinds), sound))


async def send(field: Field, found: Iterator[tuple[str, bytes]]) -> int:
    """Publish them, as many at once as the server likes; returns how many a stream holds or a subject carried."""
    number = 0
    for subject, data in found:
        if len(data) > streams.MAX_PAYLOAD - 1024:
            continue  # the server takes none so large
        await field.bus.client.publish(subject, data)
        number += 1
        if number % 100 == 0:
            await field.bus.client.flush()
    await field.bus.client.flush()
    return number


def complaints(field: Field) -> Counter[str]:
    """How many messages the services say that they dropped, by what they call it."""
    found: Counter[str] = Counter()
    for member in field.members.values():
        for line in member.log.read_text(errors="replace").splitlines():
            fields: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if fields.get("event") in TOLD:
                found[fields["event"]] += int(fields.get("count", 1))
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("count", MANY)
async def test_nobody_breaks_and_nothing_comes_back_for_ever(tmp_path: Path, count: int) -> None:
    async with Field(tmp_path / "all") as field:
        first = await Watched.begin(field.url, field.bus, field.output, topic="before", **WISH)
        assert not invariants.check(await first.verdict(60, []))  # all are there
        sent = await send(field, stored(count // 2)) + await send(field, told(count // 2))

        async def worked_off() -> bool:
            return (await field.bus.client.jetstream().stream_info("TASKS")).state.messages == 0

        await eventually(worked_off, 90)
        second = await Watched.begin(field.url, field.bus, field.output, topic="after", **WISH)
        assert not invariants.check(await second.verdict(90, []))

        async def all_acknowledged() -> bool:
            consumer = await field.bus.client.jetstream().consumer_info("TASKS", streams.producer_consumer("random"))
            assert not consumer.num_redelivered
            return not consumer.num_ack_pending

        await eventually(all_acknowledged, 30)
        assert not any(field.ended().values()), "a process ended"
        found = complaints(field)
        assert {"report.refused", "task.malformed", "bus.malformed"} <= set(found)
        assert found["report.refused"] < 10 < found["task.malformed"] < sent  # a flood of reports does not fill the log
        await asyncio.gather(first.close(), second.close())


async def test_a_log_with_malformed_entries_is_read_over(tmp_path: Path) -> None:
    """Gateway, recorder and a new orchestrator leave out what they cannot read, and go on."""
    async with Field(tmp_path / "all", members=("recorder", "gateway", "producer-1")) as field:
        await send(field, log_entries(300))
        member = await field.add("orchestrator")
        member.start(shipped("orchestrator"))
        run = await Watched.begin(field.url, field.bus, field.output, topic="after", **WISH)
        assert not invariants.check(await run.verdict(90, []))
        assert not any(field.ended().values()), "a process ended"


WISH: dict[str, Any] = {"providers": ["random"], "producers": 2, "iterations": 2, "request_size": 10, "dedupe": "exact"}
