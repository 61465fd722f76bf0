"""A run beside a flood of lies, and the same run on a quiet bus: list, bill and end are the same, and nobody waited for it."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.dedupe import key
from services.tester.invariants import percentile
from shared import subjects
from shared.bus import Delivery
from shared.messages import Finished, Task, candidate_id
from shared.providers import PROVIDERS
from tests.conftest import eventually
from tests.integration.trust.stage import HONEST, Producers, Stage, joined

SEED = int(os.environ.get("FAULT_SEED", "0"))

MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "200000"))
RATE = int(os.environ.get("FUZZ_RATE", "1000"))
"""Messages a second: two cores share them with the run, and a disk that syncs each."""

SLOWER = 1.5
"""Times as long as on a quiet bus that one in a hundred decisions may take, at most."""

LIARS = [provider for provider in PROVIDERS if provider != HONEST]

SYLLABLES = ("ka", "lo", "mi", "nu", "re", "sa", "to", "vi", "zu", "pe")

ANSWERS = 10
"""Attributes of a call, of which some repeat an earlier one."""


def vocabulary(task: Task) -> list[str]:
    """The same for the same ordinal of any run."""
    draw = random.Random(f"{SEED} {task.ordinal}")  # noqa: S311  # must repeat, need not be secret
    return list(dict.fromkeys("".join(draw.choices(SYLLABLES, k=6)).capitalize() for _ in range(ANSWERS)))


class Timed(Producers):
    """Honest producers that see how long each of their candidates takes to be decided."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.honest, slots=1)
        self.texts = vocabulary
        self.seconds = 0.03
        self.waits: dict[str, list[float]] = {}
        self._stage = stage
        self._sent: dict[str, float] = {}

    async def watch(self) -> None:
        """Hear of decisions, as they are stored."""

        async def on_message(message: Any) -> None:
            _, _, kind, run, name = message.subject.split(".")
            if kind in ("accepted", "duplicate") and (at := self._sent.pop(f"{run}.{name}", None)):
                self.waits.setdefault(run, []).append(time.perf_counter() - at)

        await self._stage.reader.client.subscribe("stored.attributes.>", cb=_of_five(on_message))
        await self._stage.reader.client.flush()

    async def do(self, delivery: Delivery, task: Task) -> None:
        for text in self.texts(task):
            self._sent[f"{task.run}.{candidate_id(task.id, text)}"] = self._sent[
                f"{task.run}.{subjects.key_token(key(text))}"
            ] = 0.0
        await super().do(delivery, task)

    def candidate(self, task: Task, text: str, **more: Any) -> Any:
        found = super().candidate(task, text, **more)
        now = time.perf_counter()
        self._sent[f"{task.run}.{found.id}"] = self._sent[f"{task.run}.{subjects.key_token(key(text))}"] = now
        return found


def _of_five(handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def on_message(message: Any) -> None:
        if message.subject.count(".") == 4:
            await handle(message)

    return on_message


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(tmp_path) as set_up:
        yield set_up


async def whole_run(stage: Stage, vendor: Timed, run: str, calls: int) -> Finished:
    answer = await stage.begin(run, max_calls=calls, producers=1, max_usd=10)
    assert "error" not in answer, answer
    return await stage.verdict(run, vendor, 300)


async def flooded(stage: Stage, messages: int) -> asyncio.subprocess.Process:
    """The sender, ready to begin."""
    host, port = stage.server.url.removeprefix("nats://").rsplit(":", 1)
    arguments = [host, port, str(stage.server.keys), str(messages), str(RATE), str(SEED), *LIARS]
    sender = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.fuzz_bus.sender", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert sender.stdout is not None
    assert await asyncio.wait_for(sender.stdout.readline(), 120) == b"ready\n"
    return sender


async def fuzz(stage: Stage, told: Callable[[str], None], messages: int, calls: int) -> float:
    """Returns how many times as long one in a hundred decisions took beside the flood."""
    vendor = Timed(stage)
    await vendor.watch()
    async with joined(vendor):
        quiet = await whole_run(stage, vendor, "quiet", calls)
        sender = await flooded(stage, messages)
        try:
            assert sender.stdin is not None
            sender.stdin.write(b"go\n")
            fuzzed = await whole_run(stage, vendor, "fuzzed", calls)
            out, _ = await asyncio.wait_for(sender.communicate(), messages / RATE * 3 + 60)
        finally:
            if sender.returncode is None:
                sender.kill()
                await sender.wait()
    sent = json.loads(out)
    assert sum(sent["kinds"].values()) == messages
    lists = [[a.text for a in await stage.accepted(run)] for run in ("quiet", "fuzzed")]
    bills = [(e.calls, e.tokens, e.usd, e.accepted, e.duplicates, e.digest, e.status, e.reason) for e in (quiet, fuzzed)]

    async def read() -> dict[str, float]:
        found = await stage.refused()
        return found if sum(found.values()) > messages / 20 else {}

    refused: dict[str, float] = await eventually(read, messages / 1000 + 20)
    slow = {run: percentile(vendor.waits[run], 0.99) for run in ("quiet", "fuzzed")}
    ratio = slow["fuzzed"] / slow["quiet"]
    for kind, number in sorted(sent["kinds"].items()):
        told(f"sent {number:>7}  {kind}")
    for kind, count in sorted(refused.items()):
        told(f"refused {count:>7.0f}  {kind}")
    for run, waits in vendor.waits.items():
        told(f"{run}: half of {len(waits)} decisions took {percentile(waits, 0.5) * 1000:.1f} ms at most")
    told(
        f"{messages} messages sent in {sent['seconds']:.1f} s, {stage.starts - 1} restarts, "
        f"list equal: {lists[0] == lists[1]}, bill equal: {bills[0] == bills[1]}, p99 quiet {slow['quiet'] * 1000:.1f} ms, "
        f"p99 fuzzed {slow['fuzzed'] * 1000:.1f} ms, ratio {ratio:.2f}"
    )
    stage.unharmed(starts=1)
    assert lists[0] == lists[1]
    assert bills[0] == bills[1]
    assert set(fuzzed.providers) == {HONEST}
    return ratio


async def test_a_run_does_not_notice_ten_thousand_lies(stage: Stage, told: Callable[[str], None]) -> None:
    """The short version: too short for a figure of how long decisions take, which it prints only."""
    await fuzz(stage, told, 10_000, 40)


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_a_run_does_not_notice_a_flood_of_lies(stage: Stage, told: Callable[[str], None]) -> None:
    """At a fixed seed and an even pace, for as long as the run lasts; decisions take about as long as on a quiet bus."""
    ratio = await fuzz(stage, told, MESSAGES, MESSAGES // 250)
    assert ratio <= SLOWER
