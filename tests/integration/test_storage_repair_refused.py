"""What `recorder repair` does not do: write over a log that is in use, trust a file that says nothing, or open an ended run."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from services.recorder import comparison, log_copy, repair
from services.recorder.merged import Merged
from services.recorder.repair import RepairError
from shared import subjects
from shared.bus import Bus, connect, decode
from shared.messages import Epoch, Finished
from shared.service import Settings, end, service
from tests.conftest import eventually
from tests.integration.test_recorder import ended, long_run, publish, recording
from tests.integration.test_storage_repair import RESULTS, Recorded, cut, whole_log
from tests.unit.recorder.log_entries import RunLog


@pytest.fixture
async def recorded(bus: Bus, tmp_path: Path) -> Recorded:
    return await Recorded(bus, tmp_path / "output").fill()


def copies(output: Path) -> list[Path]:
    return sorted(output.glob(".log-*.jsonl"))


def damage(file: Path, line: int) -> None:
    """Flip a bit in the middle of one line; 0 is the first."""
    content = file.read_bytes().splitlines(keepends=True)
    middle = len(content[line]) // 2
    content[line] = content[line][:middle] + bytes([content[line][middle] ^ 4]) + content[line][middle + 1 :]
    file.write_bytes(b"".join(content))


def line_of(file: Path, what: str) -> int:
    return next(n for n, line in enumerate(file.read_text().splitlines()) if what in line)


async def lose_log(bus: Bus) -> None:
    await bus.client.jetstream().delete_stream(RESULTS)
    await bus.provision()


# ---- an orchestrator at work -----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def orchestrator(url: str) -> AsyncIterator[None]:
    """What is seen of an orchestrator that is ready."""
    async with service("orchestrator", Settings(nats_url=url), "stands in for one") as running:
        await running.bus.client.flush()  # it can be asked from now on
        yield


async def test_beside_an_orchestrator_it_is_refused(recorded: Recorded, nats_url: str) -> None:
    await cut(recorded, 50)
    before = await whole_log(recorded.bus)
    async with orchestrator(nats_url):
        with pytest.raises(RepairError, match=r"An orchestrator writes to the log\..*make down"):
            await recorded.repaired()
        found, _ = await repair.repair(recorded.bus, recorded.output, look_only=True)
        assert found.log_damaged
    assert await whole_log(recorded.bus) == before

    await recorded.repaired()
    await recorded.assert_whole()


async def test_an_orchestrator_that_stands_still_is_there_too(
    recorded: Recorded, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "ANSWER_SECONDS", 0.2)
    silent = await connect(nats_url, "orchestrator")
    await silent.client.subscribe(repair.ORCHESTRATOR_PING)
    await silent.client.flush()
    try:
        with pytest.raises(RepairError, match="An orchestrator writes to the log"):
            await recorded.repaired()
    finally:
        await silent.close()


@pytest.mark.parametrize("step", ["hold_log", "remake_log"])
async def test_a_log_that_moves_is_not_written_over(recorded: Recorded, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """An orchestrator that was starting all along, and so did not answer, writes while log and copy are compared or merged."""
    await cut(recorded, 50)
    late = long_run(3, run="late").entries

    def first(real: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def and_then(*arguments: object, **options: object) -> object:
            await publish(recorded.bus, late)
            return await real(*arguments, **options)

        return and_then

    with monkeypatch.context() as once:
        if step == "hold_log":
            once.setattr(Bus, "hold_log", first(Bus.hold_log))
        else:
            once.setattr(Merged, "take_both", first(Merged.take_both))
        with pytest.raises(RepairError, match="An orchestrator writes to the log, which has lost entries"):
            await recorded.repaired()
    assert [s.subject for s in await whole_log(recorded.bus)][-len(late) :] == [entry.subject for entry in late]

    await recorded.repaired()
    log = await whole_log(recorded.bus)
    assert [s.subject for s in log] == [s.subject for s in recorded.log] + [entry.subject for entry in late]
    assert await recorded.bus.hold_of_log() == ""


async def test_nobody_takes_over_a_log_that_is_half_written(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, nats_url: str
) -> None:
    """A repair that was killed in the middle: an orchestrator would take ended runs for open ones."""
    await cut(recorded, 50)

    async def killed(*_: object, **__: object) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as once:
        once.setattr(Bus, "commit", killed)
        with pytest.raises(RuntimeError, match="killed"):
            await recorded.repaired()
    await recorded.bus.provision()  # as each start of the stack does: that must not open it
    other = await connect(nats_url, "orchestrator")
    claiming = asyncio.create_task(other.claim_epoch(lambda number: Epoch(epoch=number, orchestrator="o2")))
    try:
        elsewhere = recorded.output.parent / "elsewhere"
        async with recording(recorded.bus, elsewhere):  # a recorder may have copied what is there of the log
            await eventually(lambda: copies(elsewhere), 20)
        held = await recorded.bus.hold_of_log()
        with pytest.raises(RepairError, match=rf"Set OUTPUT.*{re.escape(repair.HELD_BY + held)}"):
            await repair.repair(recorded.bus, elsewhere)
        assert held
        assert await recorded.bus.hold_of_log() == held
        assert not claiming.done()

        await recorded.repaired()
        number, _ = await asyncio.wait_for(claiming, 20)
    finally:
        await end([claiming])
        await other.close()
    assert number == 2
    log = await whole_log(recorded.bus)
    assert log[:-1] == recorded.log
    assert log[-1].subject == subjects.epoch(2)


async def test_a_damaged_log_stays_held_until_the_folder_that_can_mend_it_did(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before the log was touched: from another folder all would seem well."""
    await cut(recorded, 50)

    async def killed(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as once:
        once.setattr(Bus, "remake_log", killed)
        with pytest.raises(RuntimeError, match="killed"):
            await recorded.repaired()
    held = await recorded.bus.hold_of_log()
    with pytest.raises(RepairError, match="has not ended"):
        await repair.repair(recorded.bus, recorded.output.parent / "elsewhere")
    assert await recorded.bus.hold_of_log() == held != ""

    await recorded.repaired()
    assert await recorded.bus.hold_of_log() == ""
    assert not list(recorded.output.glob(repair.HELD_BY + "*"))
    await recorded.assert_whole()


async def test_what_a_lost_folder_could_have_mended_is_given_up_on_purpose(recorded: Recorded) -> None:
    await recorded.bus.hold_log("lost")
    for copy in copies(recorded.output):
        copy.unlink()
    with pytest.raises(RepairError, match=r"make an empty file of that name here"):
        await recorded.repaired()

    (recorded.output / (repair.HELD_BY + "lost")).touch()
    assert await recorded.repaired() == []
    assert await recorded.bus.hold_of_log() == ""
    await recorded.assert_whole()


async def test_who_takes_over_just_as_the_log_is_held_waits_and_takes_over_again(
    recorded: Recorded, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await connect(nats_url, "orchestrator")
    real = Bus.publish

    async def and_hold(self: Bus, *arguments: object, **options: object) -> int:
        monkeypatch.setattr(Bus, "publish", real)
        await recorded.bus.hold_log("repair")
        return await real(self, *arguments, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(Bus, "publish", and_hold)
    claiming = asyncio.create_task(other.claim_epoch(lambda number: Epoch(epoch=number, orchestrator="o2")))
    try:
        await eventually(lambda: recorded.bus.hold_of_log(), 20)
        await eventually(lambda: recorded.bus.last(RESULTS, subjects.epoch(2)), 20)
        assert not claiming.done()
        await recorded.bus.release_log()
        number, _ = await asyncio.wait_for(claiming, 20)
    finally:
        await end([claiming])
        await other.close()
    assert number == 3


async def test_a_second_repair_is_kept_out_from_the_beginning(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()
    real = comparison.compare

    async def slow(*arguments: object) -> object:
        reading.set()
        await go_on.wait()
        return await real(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(repair, "compare", slow)
    first = asyncio.create_task(recorded.repaired())
    await asyncio.wait_for(reading.wait(), 20)
    with pytest.raises(RepairError, match="another repair"):
        await recorded.repaired()
    go_on.set()
    assert await first == []


# ---- the first line of the copy --------------------------------------------------------------------------------------


async def test_a_copy_with_a_damaged_first_line_is_written_anew_from_a_whole_log(recorded: Recorded) -> None:
    (copy,) = copies(recorded.output)
    damage(copy, 0)

    said = await recorded.repaired()
    assert said[0] == "The second copy of the log is damaged in 1 lines."
    assert copy.with_name(copy.name + ".damaged-1").exists()
    await recorded.assert_whole()


async def test_a_copy_with_a_damaged_first_line_still_tells_what_the_log_lacks(recorded: Recorded) -> None:
    await cut(recorded, 50)
    (copy,) = copies(recorded.output)
    damage(copy, 0)

    assert "The log lacks entries 51 to" in (await recorded.repaired())[0]
    await recorded.assert_whole()


@pytest.mark.parametrize("size", [0, 1, 20, -1])
async def test_a_first_line_that_was_never_written_to_its_end_is_no_damage(recorded: Recorded, size: int) -> None:
    (copy,) = copies(recorded.output)
    first = copy.read_bytes().split(b"\n")[0]
    copy.write_bytes(first[:size] if size >= 0 else first)

    assert await recorded.repaired() == []
    await recorded.assert_whole()


async def test_neither_side_to_be_trusted_is_refused_with_what_to_do(recorded: Recorded) -> None:
    """The log is gone, and its copy does not say any more that it is of this store."""
    (copy,) = copies(recorded.output)
    damage(copy, 0)
    content = copy.read_bytes()
    await lose_log(recorded.bus)

    with pytest.raises(RepairError, match="the first line of another copy there is damaged") as refused:
        await recorded.repaired()
    assert copy.read_bytes() == content
    assert await whole_log(recorded.bus) == []
    found, _ = await repair.repair(recorded.bus, recorded.output, look_only=True)
    assert found.undecidable

    line = str(refused.value).split("make its first line ")[1].split(";")[0]
    copy.write_bytes(line.encode() + b"\n" + content.split(b"\n", 1)[1])
    await recorded.repaired()
    await recorded.assert_whole()


async def test_a_nameless_copy_is_only_told_of_where_the_log_has_its_own(recorded: Recorded) -> None:
    """It may be of a store that was removed long ago."""
    (copy,) = copies(recorded.output)
    old = copy.with_name(log_copy.name_of("0123456789ab"))
    old.write_bytes(copy.read_bytes())
    damage(old, 0)

    assert await recorded.repaired() == [f"The first line of {old.name} is damaged: nothing tells whose log that was."]
    old.unlink()
    await recorded.assert_whole()


# ---- runs that have ended --------------------------------------------------------------------------------------------


async def is_open(bus: Bus, run: str) -> bool:
    return await bus.last(RESULTS, subjects.finished(run)) is None


@pytest.mark.parametrize("where", ["attributes.accepted.done", "attributes.finished.done"])
async def test_an_ended_run_stays_ended_when_the_log_is_gone_and_its_copy_damaged(recorded: Recorded, where: str) -> None:
    """Taken for open, an orchestrator would go on with it and pay."""
    end_before = await recorded.bus.last(RESULTS, subjects.finished("done"))
    (copy,) = copies(recorded.output)
    damage(copy, line_of(copy, where))
    await lose_log(recorded.bus)

    await recorded.repaired()
    assert not await is_open(recorded.bus, "done")
    assert await is_open(recorded.bus, "open")
    found = await recorded.bus.last(RESULTS, subjects.finished("done"))
    assert end_before
    assert found
    before, now = decode(Finished, end_before.data), decode(Finished, found.data)
    assert (now.status, now.accepted, now.duplicates, now.usd, now.calls, now.digest, now.at) == (
        *(before.status, before.accepted, before.duplicates, before.usd, before.calls, before.digest, before.at),
    )
    again = await recorded.repaired()
    assert not [said for said in again if "lacks" in said or "missing" in said]


async def test_an_end_that_both_sides_lost_is_taken_from_the_runs_files(bus: Bus, tmp_path: Path) -> None:
    """The log lost its last entry, and the copy's is damaged: nothing but the files knows that the run has ended."""
    run = long_run(30, run="done").finish()
    async with recording(bus, tmp_path):
        await publish(bus, run.entries)
        await eventually(lambda: ended(tmp_path / "paris-attractions-done"), 20)
    log = await whole_log(bus)
    await bus.remake_log()
    await bus.release_log()
    for stored in log[:-1]:
        await bus.client.jetstream().publish(stored.subject, stored.data)
    (copy,) = copies(tmp_path)
    damage(copy, len(log))
    copy.rename(tmp_path / log_copy.name_of((await bus.head(RESULTS)).epoch))

    found, done = await repair.repair(bus, tmp_path)
    assert "Run done has ended, as its files say, but its end is missing." in found.sentences()
    assert done == [f"The log was written anew from the second copy: {len(log)} entries."]
    restored, original = decode(Finished, (await whole_log(bus))[-1].data), decode(Finished, log[-1].data)
    assert restored.providers["random"].calls == original.providers["random"].calls
    assert restored.facets == original.facets
    assert (restored.accepted, restored.digest, restored.reason) == (original.accepted, original.digest, original.reason)
    found, done = await repair.repair(bus, tmp_path)
    assert (found.sentences(), done) == ([], [])


async def test_the_files_of_another_run_of_the_same_id_are_left_alone(bus: Bus, tmp_path: Path) -> None:
    """They are of another NATS; neither do they say that this run has ended, nor must they be as this log says."""
    elder = RunLog(run="same", begun="2025-01-01T00:00:00.000+00:00").accept("Big Ben").finish()
    async with recording(bus, tmp_path):
        await publish(bus, elder.entries)
        await eventually(lambda: ended(tmp_path / "paris-attractions-same"), 20)
    for copy in copies(tmp_path):
        copy.unlink()
    files = {file.name: file.read_bytes() for file in (tmp_path / "paris-attractions-same").iterdir()}
    await lose_log(bus)
    younger = RunLog(run="same").accept("Eiffel Tower")
    await publish(bus, younger.entries)
    found, done = await repair.repair(bus, tmp_path)
    assert (found.sentences(), done) == ([], [])

    await publish(bus, younger.finish().entries[-1:])
    found, done = await repair.repair(bus, tmp_path)
    assert (found.sentences(), done) == ([], [])
    assert {file.name: file.read_bytes() for file in (tmp_path / "paris-attractions-same").iterdir()} == files


# ---- the command -----------------------------------------------------------------------------------------------------


async def call(
    recorded: Recorded, nats_url: str, while_it_runs: Callable[[int], Awaitable[None]] | None = None
) -> tuple[int, str]:
    """`recorder repair`; returns its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.recorder", "repair"),
        env={**os.environ, "NATS_URL": nats_url, "OUTPUT": str(recorded.output)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if while_it_runs:
        await while_it_runs(process.pid)
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


async def test_a_refused_command_fails_and_says_what_to_do(recorded: Recorded, nats_url: str) -> None:
    await cut(recorded, 50)
    async with orchestrator(nats_url):
        code, said = await call(recorded, nats_url)
    assert code == 1
    assert "Stop it first" in said
    assert "recorder repair" in said


async def test_it_stops_when_it_is_told_to(recorded: Recorded, nats_url: str) -> None:
    """It waits for an answer that does not come; a terminal's Ctrl-C must end it, and nothing counts as done."""
    silent = await connect(nats_url, "orchestrator")
    asked = asyncio.Event()

    async def hear(_: object) -> None:
        asked.set()

    await silent.client.subscribe(repair.ORCHESTRATOR_PING, cb=hear)
    await silent.client.flush()

    async def interrupt(pid: int) -> None:
        await asyncio.wait_for(asked.wait(), 30)
        os.kill(pid, signal.SIGINT)

    try:
        code, said = await call(recorded, nats_url, interrupt)
    finally:
        await silent.close()
    assert code == 1
    assert "Stopped before the end" in said
