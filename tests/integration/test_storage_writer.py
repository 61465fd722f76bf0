"""The one writer of the log, when the log is not what it was: it writes nothing, and says why."""

import pytest

from services.orchestrator.decision_log import DecisionLog, LogDamaged
from shared import streams
from shared.bus import Bus, Fenced
from tests.integration.test_recorder import long_run

RESULTS = streams.RESULTS.name or ""


async def test_it_does_not_write_on_where_the_log_lost_its_tail(bus: Bus) -> None:
    """The entries it would write are numbered after those that are gone: 301 would follow 150."""
    log = await DecisionLog.take_over(bus, "orchestrator-1")
    entries = long_run(40).entries
    await log.append(entries[:30])
    kept = [stored async for batch in bus.history(RESULTS, ["attributes.>"]) for stored in batch][:20]
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
    kept = [stored async for batch in bus.history(RESULTS, ["attributes.>"]) for stored in batch]
    await bus.remake_log()
    for stored in kept:
        await bus.client.jetstream().publish(stored.subject, stored.data)

    await log.append(entries[30:])
    assert (await bus.head(RESULTS)).last == len(entries) + 1


async def test_a_successor_is_told_from_damage(bus: Bus) -> None:
    log = await DecisionLog.take_over(bus, "orchestrator-1")
    entries = long_run(40).entries
    await log.append(entries[:30])
    await DecisionLog.take_over(bus, "orchestrator-2")

    with pytest.raises(Fenced, match=r"another orchestrator has taken over \(attributes\.epoch\.2\)"):
        await log.append(entries[30:])
