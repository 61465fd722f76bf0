"""F19, without a bus: what comes in is read and decided by the orchestrator's own code, however malformed it is."""

import contextlib
import gc
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.orchestrator import reports
from services.orchestrator.prices import Prices
from services.orchestrator.reports import Reports
from services.orchestrator.run import Run
from shared import subjects
from shared.bus import Batch, Entry, Malformed, Stored, decode, encode
from shared.messages import (
    Accepted,
    Candidate,
    ChangeRun,
    Duplicate,
    Finished,
    Judgement,
    Pause,
    Presence,
    RunControl,
    RunSpec,
    RunState,
    Settled,
    Snapshot,
    Started,
    StartRun,
    Task,
    Usage,
)
from shared.outside_text import flaw
from tests.integration.malformed import HOSTILE, RUN, candidate, messages, task, usage


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "REFUSED_SECONDS", 0.0)


SLOWEST_SECONDS = 0.1
"""What one message may take: nobody may hold up all others."""

MANY = [pytest.param(5_000, id="some"), pytest.param(100_000, id="many", marks=pytest.mark.faults)]

KINDS = (
    Accepted,
    Candidate,
    ChangeRun,
    Duplicate,
    Finished,
    Judgement,
    Pause,
    Presence,
    RunControl,
    RunSpec,
    RunState,
    Settled,
    Snapshot,
    Started,
    StartRun,
    Task,
    Usage,
)


class OneBatch:
    """A bus that has these messages and no others; each batch is one message, so that each is timed."""

    def __init__(self, stored: Iterator[Stored]) -> None:
        self._stored = stored
        self.slowest = 0.0
        self.slow = b""

    async def follow(self, *_: Any, **__: Any) -> AsyncIterator[Batch]:
        gc.disable()  # a full collection of the test process's objects is no message's fault
        try:
            for stored in self._stored:
                began = time.thread_time()  # of this thread: the machine may be busy with others
                yield Batch([stored], stored.sequence)
                if (took := time.thread_time() - began) > self.slowest:
                    self.slowest, self.slow = took, stored.data[:80]
        finally:
            gc.enable()


class Conducted:
    """What the reader of reports needs of a run's conductor."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def wake(self) -> None:
        return


class Log:
    """Keeps what was decided."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def append(self, entries: Sequence[Entry]) -> None:
        self.entries += entries

    async def is_ours(self) -> bool:
        return False  # nothing is taken off a stream


async def decide(data: Sequence[bytes], dedupe: str = "exact") -> tuple[Run, Reports, OneBatch, list[Entry]]:
    """Have the orchestrator read and decide these; it has issued every task that they name in good order."""
    run = Run(RUN, RunSpec(topic="tools", providers=("random",), dedupe=dedupe), "")  # type: ignore[arg-type]  # one of the three
    for number in range(len(data) + 1):
        run.issue(msgspec.structs.replace(task(number), model="random"), 0.0)
    subject = subjects.candidate(RUN, "random")
    bus = OneBatch(Stored(number, subject, one, "") for number, one in enumerate(data, start=1))
    log = Log()

    async def loaded(_: Run) -> None:
        return

    reading = Reports(bus, log, {RUN: Conducted(run)}, Prices.load(), {"random": 0}, loaded)  # type: ignore[arg-type, dict-item]  # it asks no more of them
    with structlog.testing.capture_logs():
        await reading.follow("random")
    return run, reading, bus, log.entries


@pytest.mark.parametrize("count", MANY)
async def test_malformed_candidates_are_counted_and_decide_nothing(count: int) -> None:
    def all_of_them() -> Iterator[bytes]:
        for number, spoiled in enumerate(messages(1, count, lambda n: candidate(f"thing {n}", n))):
            yield spoiled
            if number % 100 == 0:  # between them, one in order
                yield encode(candidate(f"sound {number}", number))

    run, reading, bus, entries = await decide(list(all_of_them()))
    assert bus.slowest < SLOWEST_SECONDS, bus.slow
    assert sum(reading.gate.refused.values()) + len(entries) == count + -(-count // 100)
    assert reading.gate.refused["malformed"] > count / 2
    sound = [e.message.text for e in entries if isinstance(e.message, Accepted) and e.message.text.startswith("sound ")]
    assert sound == [f"sound {number}" for number in range(0, count, 100)]
    assert run.accepted == sum(isinstance(e.message, Accepted) for e in entries)


@pytest.mark.parametrize("dedupe", ["exact", "fuzzy"])
async def test_odd_texts_are_decided_and_quickly(dedupe: str) -> None:
    texts = [text[:200] for text in HOSTILE if text] + [f"{text[:150]} {number}" for number, text in enumerate(HOSTILE * 30)]
    await decide([encode(candidate("warm", 0))], dedupe)  # dictionaries are read when first needed
    _, reading, bus, entries = await decide([encode(candidate(text, n)) for n, text in enumerate(texts)], dedupe)
    assert set(reading.gate.refused) <= {"text"}
    assert len(entries) + reading.gate.refused.total() == len(texts)
    assert len(entries) > len(texts) / 4
    assert bus.slowest < SLOWEST_SECONDS, bus.slow


@pytest.mark.parametrize("sound", [task, usage, lambda n: candidate(f"thing {n}", n)], ids=["task", "usage", "candidate"])
def test_every_type_takes_it_or_says_malformed(sound: Any) -> None:
    """Whatever reads what: no other error, and none that takes long."""
    for data in messages(2, 2_000, sound):
        for kind in KINDS:
            began = time.process_time()
            with contextlib.suppress(Malformed):
                decode(kind, data)
            assert time.process_time() - began < SLOWEST_SECONDS, data[:80]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(Candidate.__struct_fields__, values))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300) | fields.map(msgspec.json.encode))
async def test_nothing_that_can_be_thought_of_breaks_it(data: bytes) -> None:
    _, reading, _, entries = await decide([data])
    assert sum(reading.gate.refused.values()) + len(entries) == 1


@settings(max_examples=500, deadline=None)
@given(st.text(min_size=1, max_size=200))
async def test_whatever_is_text_is_decided(text: str) -> None:
    try:
        data = encode(candidate(text))
    except (Malformed, UnicodeEncodeError):  # half a surrogate pair is no text
        return
    _, reading, _, entries = await decide([data])
    assert len(entries) == (0 if flaw(text) else 1)
    assert reading.gate.refused.total() == 1 - len(entries)
