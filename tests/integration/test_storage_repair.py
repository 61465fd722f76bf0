"""`recorder repair` on a real server: whatever was damaged, log and second copy agree again, and it is said what was wrong."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from services.recorder import log_copy, repair
from services.recorder.comparison import CopyReader
from services.recorder.folder import Folder
from services.recorder.repair import REBUILD, UNFINISHED, RepairError
from shared import streams, subjects
from shared.bus import Bus, Stored, connect
from shared.messages import Epoch
from tests.conftest import NatsServer, eventually
from tests.integration.test_recorder import assert_agrees_with_the_bus, ended, lines, long_run, publish, recording
from tests.unit.recorder.log_entries import RunLog

RESULTS = streams.RESULTS.name or ""


async def whole_log(bus: Bus) -> list[Stored]:
    """Every entry of the log."""
    return [stored async for batch in bus.history(RESULTS, [subjects.ALL_EPOCHS, "attributes.>"]) for stored in batch]


async def copied(bus: Bus, output: Path) -> list[Stored]:
    """Every entry of the second copy of the present log."""
    name = log_copy.name_of((await bus.head(RESULTS)).epoch)
    folder = Folder.at(output)
    try:
        return list(CopyReader(folder, name))
    finally:
        folder.close()


class Recorded:
    """Two runs in the log, one of them open, and everything of them recorded."""

    def __init__(self, bus: Bus, output: Path) -> None:
        self.bus = bus
        self.output = output
        self.done = long_run(60, run="done").finish()
        self.open = long_run(40, run="open")
        self.log: list[Stored] = []

    async def fill(self) -> "Recorded":
        await self.bus.publish(subjects.epoch(1), Epoch(epoch=1, orchestrator="o"))
        async with recording(self.bus, self.output):
            await publish(self.bus, self.done.entries)
            await publish(self.bus, self.open.entries)
            await eventually(lambda: lines(self.output / "paris-attractions-open" / "output.txt") == 40)
        self.log = await whole_log(self.bus)
        return self

    async def repaired(self) -> list[str]:
        """Repair; returns the sentences of what was found and done."""
        found, done = await repair.repair(self.bus, self.output)
        return [*found.sentences(), *done]

    async def assert_whole(self) -> None:
        """The log is what it was, the copy too, nothing more is found, and the open run can be ended."""
        assert await whole_log(self.bus) == self.log
        async with recording(self.bus, self.output):
            await eventually(lambda: copied(self.bus, self.output), 20)
            await publish(self.bus, self.open.finish().entries[-1:])
            await eventually(lambda: ended(self.output / "paris-attractions-open"), 20)
            await eventually(lambda: ended(self.output / "paris-attractions-done"), 20)
        assert await copied(self.bus, self.output) == await whole_log(self.bus)
        assert await self.repaired() == []
        assert (self.output / "paris-attractions-done" / "output.txt").read_text().splitlines() == self.done.texts
        assert (self.output / "paris-attractions-open" / "output.txt").read_text().splitlines() == self.open.texts


@pytest.fixture
async def recorded(bus: Bus, tmp_path: Path) -> Recorded:
    return await Recorded(bus, tmp_path / "output").fill()


async def cut(recorded: Recorded, length: int) -> None:
    """Have the log hold only its first entries, as a server does whose file was damaged after them."""
    await recorded.bus.remake_log()
    for stored in recorded.log[:length]:
        await recorded.bus.client.jetstream().publish(stored.subject, stored.data)
    rename_copy_to(recorded.output, (await recorded.bus.head(RESULTS)).epoch)


def rename_copy_to(output: Path, epoch: str) -> None:
    (name,) = output.glob(".log-*.jsonl")
    name.rename(output / log_copy.name_of(epoch))


async def test_what_agrees_is_left_alone(recorded: Recorded) -> None:
    epoch = (await recorded.bus.head(RESULTS)).epoch

    assert await recorded.repaired() == []
    assert (await recorded.bus.head(RESULTS)).epoch == epoch
    await recorded.assert_whole()


async def test_a_log_that_lost_its_tail_is_written_anew(recorded: Recorded) -> None:
    await cut(recorded, 50)
    epoch = (await recorded.bus.head(RESULTS)).epoch
    last = recorded.log[-1].sequence

    found, done = await repair.repair(recorded.bus, recorded.output, look_only=True)
    assert found.log_damaged
    assert done == []
    said = await recorded.repaired()
    assert f"The log lacks entries 51 to {last} (run done from attribute" in said[0]
    assert "run open from attribute 1 on" in said[0]
    assert said[1] == f"The log was written anew from the second copy: {last} entries."
    assert (await recorded.bus.head(RESULTS)).epoch != epoch  # clients of the event stream begin anew
    await recorded.assert_whole()


async def test_places_given_out_again_lose_neither_side(recorded: Recorded) -> None:
    """The server lost half of the log and an orchestrator wrote on: both the old and the new are there in the end."""
    await cut(recorded, 50)
    new = long_run(20, run="new").finish()
    await publish(recorded.bus, new.entries)

    said = await recorded.repaired()
    assert "The log lacks entries 51 to" in said[0]
    log = await whole_log(recorded.bus)
    assert [s.subject for s in log[: len(recorded.log)]] == [s.subject for s in recorded.log]
    assert [s.subject for s in log[len(recorded.log) :]] == [entry.subject for entry in new.entries]
    assert await recorded.repaired() == []


async def test_a_lost_log_is_written_anew(recorded: Recorded) -> None:
    await recorded.bus.client.jetstream().delete_stream(RESULTS)
    said = await recorded.repaired()

    assert ".jsonl is the copy of is gone." in said[0]
    await recorded.assert_whole()


async def test_what_is_no_entry_cuts_no_run_and_keeps_none_from_its_end(bus: Bus, tmp_path: Path) -> None:
    """Of what is not whole, a run that goes on keeps only the beginning; what somebody else had stored is no hole."""
    recorded = Recorded(bus, tmp_path / "output")
    beginning = recorded.open.entries[:20]
    await publish(bus, beginning)
    for end in ("accepted.open.none", "settled.open.1", "finished.open", "accepted.never-begun.none"):
        await bus.client.publish("$JS.API.STREAM.INFO.NONE", b"", reply=f"attributes.{end}")
    await bus.client.flush()
    await publish(bus, recorded.open.entries[20:])
    async with recording(bus, recorded.output):
        await eventually(lambda: lines(recorded.output / "paris-attractions-open" / "output.txt") == 40)
    before = await whole_log(bus)
    await bus.client.jetstream().delete_stream(RESULTS)
    said = await recorded.repaired()

    assert said[-1] == "1 entries did not fit into it; they are kept in .dropped-*.jsonl."
    log = await whole_log(bus)
    assert [s.subject for s in log] == [s.subject for s in before if s.subject != "attributes.finished.open"]
    assert [s.data for s in log] == [s.data for s in before if s.subject != "attributes.finished.open"]
    await publish(bus, recorded.open.finish().entries[-1:])
    async with recording(bus, recorded.output):
        await eventually(lambda: ended(recorded.output / "paris-attractions-open"), 20)
    await assert_agrees_with_the_bus(recorded.output / "paris-attractions-open", bus, recorded.open)


async def test_calls_are_copied_compared_and_written_anew(bus: Bus, tmp_path: Path) -> None:
    recorded = Recorded(bus, tmp_path / "output")
    recorded.open = RunLog(run="open").issue("t1", "t2").accept("Louvre", "Seine").spend("t1").issue("t3").spend("t3", "t2")
    recorded.done = RunLog(run="done").issue("t1").accept("Orsay").spend("t1").finish()
    await publish(bus, recorded.done.entries)
    await publish(bus, recorded.open.entries)
    async with recording(bus, recorded.output):
        await eventually(
            lambda: (
                sum(map(lines, recorded.output.glob(".log-*.jsonl"))) == len(recorded.done.entries + recorded.open.entries) + 1
            )
        )
    recorded.log = await whole_log(bus)
    assert await recorded.repaired() == []
    await bus.client.jetstream().delete_stream(RESULTS)

    assert (await recorded.repaired())[-1] == f"The log was written anew from the second copy: {len(recorded.log)} entries."
    await recorded.assert_whole()


async def test_a_run_that_is_cut_forgets_no_call_that_may_be_paid(bus: Bus, tmp_path: Path) -> None:
    """What was found after the hole is decided again, out of reports that are read again; so are the calls done with since."""
    recorded = Recorded(bus, tmp_path / "output")
    log = (
        RunLog(run="open").issue("t1").accept("Louvre").spend("t1").issue("t2").accept("Seine", "Orsay").spend("t2").issue("t3")
    )
    await publish(bus, log.entries)
    async with recording(bus, recorded.output):
        await eventually(lambda: sum(map(lines, recorded.output.glob(".log-*.jsonl"))) == len(log.entries) + 1)
    (copy,) = recorded.output.glob(".log-*.jsonl")
    copy.write_bytes(copy.read_bytes().replace(b"Seine", b"Seiny"))
    await bus.client.jetstream().delete_stream(RESULTS)
    await recorded.repaired()

    kept = [stored.subject.split(".")[1:] for stored in await whole_log(bus)]
    found = [["issued", "open", "t1"], ["issued", "open", "t2"], ["issued", "open", "t3"]]
    assert [entry for entry in kept if entry[0] == "issued"] == found
    assert [entry for entry in kept if entry[0] == "spent"] == [["spent", "open", "t1"]]
    assert sum(entry[0] == "accepted" for entry in kept) == 1


async def test_the_log_of_another_store_is_not_mixed_in(recorded: Recorded, tmp_path: Path) -> None:
    """An empty NATS beside the files of an earlier one is no damage."""
    other = NatsServer(tmp_path / "other")
    other.start()
    bus = await connect(other.url, "test")
    try:
        await bus.provision()
        found, done = await repair.repair(bus, recorded.output)
        assert (found.sentences(), done) == ([], [])
        assert await whole_log(bus) == []
    finally:
        await bus.close()
        other.kill()
    assert await recorded.repaired() == []


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
async def test_a_damaged_copy_is_written_anew_from_the_log(recorded: Recorded, damage: str) -> None:
    (copy,) = recorded.output.glob(".log-*.jsonl")
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "remove":
        copy.unlink()
    else:
        copy.write_bytes(content if damage == "flip" else content[:100])

    said = await recorded.repaired()
    assert ("The second copy of the log is damaged" in " ".join(said)) == (damage == "flip")
    await recorded.assert_whole()


async def test_damage_on_both_sides_at_different_places_costs_nothing(recorded: Recorded) -> None:
    await cut(recorded, 90)
    (copy,) = recorded.output.glob(".log-*.jsonl")
    content = copy.read_bytes().splitlines(keepends=True)
    content[20] = content[20].replace(b"place", b"plaxe")
    copy.write_bytes(b"".join(content))

    said = await recorded.repaired()
    assert "The log lacks entries 91 to" in said[0]
    assert "The second copy of the log is damaged in 1 lines." in said
    await recorded.assert_whole()


async def test_damage_on_both_sides_at_one_place_cuts_the_open_run_and_says_so(recorded: Recorded) -> None:
    """What comes after a hole in a run that goes on would be numbered wrongly: it is kept aside, and decided again."""
    await cut(recorded, len(recorded.log) - 30)
    (copy,) = recorded.output.glob(".log-*.jsonl")
    content = copy.read_bytes().splitlines(keepends=True)
    place = next(n for n in range(len(content) - 20, len(content)) if b"attributes.accepted" in content[n])
    content[place] = content[place].replace(b"place", b"plaxe")
    copy.write_bytes(b"".join(content))

    said = " ".join(await recorded.repaired())
    assert "did not fit into it; they are kept in .dropped-" in said
    log = await whole_log(recorded.bus)
    assert log == recorded.log[: len(log)]
    assert len(log) == place - 1
    (dropped,) = recorded.output.glob(".dropped-*.jsonl")
    assert len(dropped.read_bytes().splitlines()) == len(recorded.log) - place
    assert await recorded.repaired() == []


async def test_a_damaged_file_of_an_ended_run_is_written_anew(recorded: Recorded) -> None:
    file = recorded.output / "paris-attractions-done" / "output.jsonl"
    file.write_bytes(file.read_bytes().replace(b"place 30", b"plaze 30"))

    (said,) = await recorded.repaired()
    assert "paris-attractions-done/output.jsonl was damaged" in said
    await recorded.assert_whole()
    kept = recorded.output / "paris-attractions-done" / "output.jsonl.damaged-1"
    assert b"plaze 30" in kept.read_bytes()
    kept.unlink()
    await assert_agrees_with_the_bus(recorded.output / "paris-attractions-done", recorded.bus, recorded.done)


@pytest.mark.parametrize("at", ["remake_log", "commit"])
async def test_an_interrupted_repair_is_taken_up(recorded: Recorded, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Killed before the log was dropped, or when a part of it was written: the next repair makes it whole."""
    await cut(recorded, 50)
    monkeypatch.setattr(repair, "MAX_BATCH", 20)
    real = getattr(Bus, at)
    calls = 0

    async def killed(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if at == "remake_log" or calls > 3:
            raise RuntimeError("killed")
        return await real(*arguments, **options)

    with monkeypatch.context() as once:
        once.setattr(Bus, at, killed)
        with pytest.raises(RuntimeError, match="killed"):
            await repair.repair(recorded.bus, recorded.output)
    assert (recorded.output / REBUILD).exists()

    await recorded.repaired()
    assert not (recorded.output / REBUILD).exists()
    await recorded.assert_whole()


@pytest.mark.parametrize("of", ["open", "done"])
@pytest.mark.parametrize("at", ["_write_log", "rename", "remove"])
async def test_an_interrupted_repair_of_both_sides_costs_nothing(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, at: str, of: str
) -> None:
    """Log and copy have their holes at different places: what was put together of both stands in one file alone by then."""
    await cut(recorded, len(recorded.log) - 30)
    (copy,) = recorded.output.glob(".log-*.jsonl")
    content = copy.read_bytes().splitlines(keepends=True)
    subject = f'"attributes.accepted.{of}.'.encode()
    line = next(n for n, text in enumerate(content) if subject in text and b'"ordinal":5,' in text)
    content[line] = content[line].replace(b"place", b"plaxe")
    copy.write_bytes(b"".join(content))

    def killed(*arguments: object) -> None:
        if at == "_write_log" or REBUILD in arguments or copy.name in arguments:
            raise RuntimeError("killed")

    with monkeypatch.context() as once:
        if at == "_write_log":
            once.setattr(repair, at, killed)
        else:
            real = getattr(Folder, at)
            once.setattr(Folder, at, lambda *arguments: real(*arguments) if UNFINISHED in arguments else killed(*arguments))
        with pytest.raises(RuntimeError, match="killed"):
            await recorded.repaired()
    assert (recorded.output / REBUILD).exists()

    await recorded.repaired()
    assert not list(recorded.output.glob(".dropped-*"))
    await recorded.assert_whole()


async def test_it_keeps_away_from_a_recorder_at_work(recorded: Recorded) -> None:
    """To look is harmless meanwhile; to repair is refused in words."""
    async with recording(recorded.bus, recorded.output):
        adding = asyncio.create_task(publish(recorded.bus, long_run(600, run="busy").entries, size=5))
        while not adding.done():
            found, _ = await repair.repair(recorded.bus, recorded.output, look_only=True)
            assert found.sentences() == []
        await adding
        with pytest.raises(RepairError, match="A recorder, or another repair, writes in"):
            await repair.repair(recorded.bus, recorded.output)


async def test_the_command_says_what_it_did(recorded: Recorded, nats_url: str) -> None:
    await cut(recorded, 50)
    command = [sys.executable, "-m", "services.recorder", "repair"]
    variables = {"NATS_URL": nats_url, "OUTPUT": str(recorded.output), "PATH": ""}

    def call(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*command, *more], env=variables, capture_output=True, text=True, timeout=60, check=False)

    looked = await asyncio.to_thread(call, "--look-only")
    assert (looked.returncode, looked.stdout.count("\n")) == (3, 1)
    repaired = await asyncio.to_thread(call)
    assert repaired.returncode == 0
    assert "The log lacks entries 51 to" in repaired.stdout
    assert "was written anew" in repaired.stdout
    again = await asyncio.to_thread(call)
    assert (again.returncode, again.stdout) == (0, "")
    await recorded.assert_whole()


async def test_a_raised_bound_survives_repair_and_provisioning(recorded: Recorded) -> None:
    """Whoever made room by hand has it still."""
    js = recorded.bus.client.jetstream()
    more = (streams.RESULTS.max_bytes or 0) + 50 * streams.MIB
    await js.update_stream(streams.RESULTS.evolve(max_bytes=more))
    await recorded.bus.provision()
    await cut(recorded, 50)
    await recorded.repaired()

    assert (await js.stream_info(RESULTS)).config.max_bytes == more


def test_runs_are_told_from_each_other_in_the_dropped_file() -> None:
    """A dropped entry can be read by a person."""
    stored = RunLog(run="r1").stored()[0]
    assert json.loads(log_copy.encoded(stored, ""))["subject"] == "attributes.started.r1"
