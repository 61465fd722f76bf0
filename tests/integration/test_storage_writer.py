"""The one writer of the log, when the log is not what it was: it writes nothing, and says why."""

from collections.abc import Sequence

import pytest

from services.orchestrator import decision_log
from services.orchestrator.decision_log import DecisionLog, LogDamaged
from shared import streams
from shared.bus import Bus, BusError, Entry, Fenced, Full, Stored, Taken, Unavailable
from tests.integration.test_recorder import long_run

RESULTS = streams.RESULTS.name or ""


async def test_it_does_not_write_on_where_the_log_lost_its_tail(bus: Bus) -> None:
    """The entries it would write are numbered after those that are gone: 301 would follow 150."""
    log = await DecisionLog.take_over(bus, "orchestrator-1")
    entries = long_run(40).entries
    await log.append(entries[:30])
    kept = (await written(bus))[:20]
    await bus.remake_log()
    for stored in kept:  # the epoch's entry is where it was: the fence alone would let the next batch pass
        await bus.client.jetstream().publish(stored.subject, stored.data)

    with pytest.raises(LogDamaged, match="RESULTS ends at 20, where 31 was written last"):
        await log.append(entries[30:])
    assert (await bus.head(RESULTS)).last == 20


async def test_it_goes_on_where_the_log_was_written_anew_entry_for_entry(bus: Bus) -> None:
    """After a repair the log is the same, so whoever was its writer still is."""
    log = await DecisionLog.take_over(bus, "orchestrator-1")
    entries = long_run(40).entries
    await log.append(entries[:30])
    kept = await written(bus)
    await bus.remake_log()
    for stored in kept:
        await bus.client.jetstream().publish(stored.subject, stored.data)

    await log.append(entries[30:])
    assert (await bus.head(RESULTS)).last == len(entries) + 1


@pytest.mark.parametrize(
    ("answer", "stored"),
    [
        *((Unavailable("no answer"), stored) for stored in (0, 1, 7, 20)),
        *((Full("maximum bytes exceeded"), stored) for stored in (0, 1, 7, 20)),
        *((Taken("holds one"), stored) for stored in (1, 7, 20)),
    ],
)
async def test_what_an_attempt_left_out_is_written(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, answer: BusError, stored: int
) -> None:
    """A bound that is lowered while a batch is stored: the log may have its beginning alone, and no answer tells."""
    monkeypatch.setattr(decision_log, "FULL_SECONDS", 0.05)
    log = await DecisionLog.take_over(bus, "orchestrator-1")
    entries = long_run(40).entries[:20]
    real = Bus.commit

    async def once(self: Bus, batch: Sequence[Entry], fence: int = 0, after: int | None = None) -> int:
        monkeypatch.setattr(Bus, "commit", real)
        if stored:
            await real(self, batch[:stored], fence, after)
        raise answer

    monkeypatch.setattr(Bus, "commit", once)
    await log.append(entries)
    assert [s.subject for s in await written(bus)][1:] == [entry.subject for entry in entries]
    assert not log.full

    await log.append(long_run(40).entries[20:25])
    assert (await bus.head(RESULTS)).last == 26


async def written(bus: Bus) -> list[Stored]:
    return [stored async for batch in bus.history(RESULTS, ["attributes.>"]) for stored in batch]


async def test_a_successor_is_told_from_damage(bus: Bus) -> None:
    log = await DecisionLog.take_over(bus, "orchestrator-1")
    entries = long_run(40).entries
    await log.append(entries[:30])
    await DecisionLog.take_over(bus, "orchestrator-2")

    with pytest.raises(Fenced, match=r"another orchestrator has taken over \(attributes\.epoch\.2\)"):
        await log.append(entries[30:])
