"""The recorder on a real server: what is accepted is in the files, once, whoever is killed in between."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.recorder import log_copy
from services.recorder.comparison import compare
from services.recorder.folder import Folder
from services.recorder.recorder import Recorder
from shared import streams, subjects
from shared.bus import Bus, Entry, Missing, Taken, Unavailable, decode
from shared.messages import Accepted, Epoch
from shared.service import end
from tests.conftest import NatsServer, eventually
from tests.unit.recorder.log_entries import RunLog

ANSWER = b'{"type":"io.nats.jetstream.api.'
"""Begins the answers of the server, which a request can have stored as entries."""

FILES = {"output.txt", "output.json", "output.jsonl", "metadata.json"}


async def publish(bus: Bus, entries: list[Entry], size: int = streams.MAX_BATCH) -> None:
    """Write a run's entries as the orchestrator does, through whatever happens to the server."""
    for start in range(0, len(entries), size):
        batch = entries[start : start + size]
        while True:
            try:
                await bus.commit(batch)
                break
            except Taken:  # it was stored, only the answer was lost
                break
            except (Unavailable, Missing):
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def recording(bus: Bus, output: Path, **options: Any) -> AsyncIterator[None]:
    """A recorder in this process."""
    task = asyncio.create_task(Recorder(bus, output, **options).run())
    try:
        yield
    finally:
        await end([task])  # one cancel alone may be swallowed by a wait that ends at the same moment


@contextlib.asynccontextmanager
async def process(url: str, folder: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The recorder as a process, with its log in `folder`."""
    variables = {"NATS_URL": url, "OUTPUT": str(folder / "output"), **settings}
    with (folder / "recorder.log").open("ab") as output:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.recorder", env={**os.environ, **variables}, stderr=output, stdout=output
        )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


def ended(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "metadata.json").read_bytes())["ended"])
    except FileNotFoundError:
        return False


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


async def assert_agrees_with_the_bus(folder: Path, bus: Bus, log: RunLog) -> None:
    """The files of an ended run hold what the log holds, and nothing twice."""
    batches = bus.history("RESULTS", [f"attributes.accepted.{log.run}.*"])
    entries = [stored async for batch in batches for stored in batch if not stored.data.startswith(ANSWER)]
    stored = [(s.sequence, decode(Accepted, s.data).text) for s in entries]
    texts = [text for _, text in stored]
    head = await bus.head("RESULTS")
    metadata = json.loads((folder / "metadata.json").read_bytes())
    copy = [json.loads(line) for line in (folder / "output.jsonl").read_bytes().splitlines()]

    assert texts == log.texts
    assert (folder / "output.txt").read_text("utf-8").splitlines() == texts
    assert [element["text"] for element in json.loads((folder / "output.json").read_bytes())] == texts
    assert [(line["sequence"], line["accepted"]["text"]) for line in copy] == stored
    assert {line["epoch"] for line in copy} <= {head.epoch}
    assert (metadata["accepted"], metadata["duplicates"], metadata["digest"]) == (len(texts), log.duplicates, log.digest)
    assert contents(folder).keys() == FILES


def long_run(attributes: int, run: str = "r1") -> RunLog:
    log = RunLog(run=run)
    chance = random.Random(7)  # noqa: S311  # a fixed seed is the point
    for number in range(1, attributes + 1):
        log.accept(f"place {number} é")
        if chance.random() < 0.3:
            log.repeat(chance.randint(1, number), f"PLACE {number}")
    return log


# ---- the service -------------------------------------------------------------------------------------------------


async def test_the_service_records_and_stops_when_told(bus: Bus, nats_url: str, tmp_path: Path) -> None:
    log = RunLog(run="r1").accept("Louvre", "Seine").repeat(1, "louvre")
    folder = tmp_path / "output" / "paris-attractions-r1"
    async with process(nats_url, tmp_path) as recorder:
        await publish(bus, log.entries)
        await eventually(lambda: lines(folder / "output.txt") == 2)
        assert not ended(folder)
        assert json.loads((await bus.client.request("$SRV.PING.recorder", b"")).data)["name"] == "recorder"

        written = len(log.entries)
        await publish(bus, log.accept("Orsay").finish().entries[written:])
        await eventually(lambda: ended(folder))
        recorder.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(recorder.wait(), 10) == 0

    await assert_agrees_with_the_bus(folder, bus, log)
    second_copy = f".log-{(await bus.head('RESULTS')).epoch}.jsonl"
    there = {entry.name for entry in (tmp_path / "output").iterdir()}
    assert there == {"paris-attractions-r1", ".recorder.json", second_copy}


async def test_stopped_in_the_middle_of_a_run_it_leaves_files_that_agree(bus: Bus, nats_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "output" / "paris-attractions-r1"
    async with process(nats_url, tmp_path) as recorder:
        await publish(bus, RunLog(run="r1").accept("Louvre", "Seine").entries)
        await eventually(lambda: lines(folder / "output.txt") == 2)
        recorder.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(recorder.wait(), 10) == 0

    assert len(json.loads((folder / "output.json").read_bytes())) == 2
    assert json.loads((folder / "metadata.json").read_bytes())["accepted"] == 2


async def test_killed_again_and_again_it_writes_each_line_once(bus: Bus, nats_url: str, tmp_path: Path) -> None:
    log = long_run(3000).finish()
    folder = tmp_path / "output" / "paris-attractions-r1"
    publishing = asyncio.create_task(publish(bus, log.entries, size=25))
    for killed_at in (1, 400, 900, 1500, 2200):
        async with process(nats_url, tmp_path) as recorder:
            await eventually(lambda at=killed_at: lines(folder / "output.jsonl") >= at, seconds=30)  # type: ignore[misc]  # mypy sees no type for a lambda's default
            recorder.kill()
    await publishing
    async with process(nats_url, tmp_path):
        await eventually(lambda: ended(folder), seconds=30)

    await assert_agrees_with_the_bus(folder, bus, log)


async def test_a_killed_server_costs_nothing(
    bus: Bus, nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.waits.REQUEST_SECONDS", 0.5)  # what was asked of a dying server is never answered
    log = long_run(1500).finish()
    folder = tmp_path / "output" / "paris-attractions-r1"
    async with recording(bus, tmp_path / "output"):
        publishing = asyncio.create_task(publish(bus, log.entries, size=20))
        for killed_at in (1, 600):
            await eventually(lambda at=killed_at: lines(folder / "output.txt") >= at, seconds=30)  # type: ignore[misc]  # mypy sees no type for a lambda's default
            await asyncio.to_thread(nats_server.restart)
        await publishing
        await eventually(lambda: ended(folder), seconds=30)

    await assert_agrees_with_the_bus(folder, bus, log)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"RECORD_RUN": "../../etc"}, "RECORD_RUN is '../../etc'"),
        ({"RECORD_INTO": "/tmp/x"}, "set RECORD_RUN too"),  # noqa: S108  # never made
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'loud'"),
    ],
)
async def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path, settings: dict[str, str], hint: str) -> None:
    async with process("nats://127.0.0.1:1", tmp_path, **settings) as recorder:
        assert await asyncio.wait_for(recorder.wait(), 20) == 1

    (line,) = (tmp_path / "recorder.log").read_text().splitlines()
    assert hint in line


# ---- which runs, and where ---------------------------------------------------------------------------------------


async def test_runs_at_once_and_other_entries_of_the_log_do_not_mix(bus: Bus, tmp_path: Path) -> None:
    logs = [long_run(100, run=f"r{n}").finish() for n in range(3)]
    async with recording(bus, tmp_path):
        await bus.publish(subjects.epoch(1), Epoch(epoch=1, orchestrator="orchestrator-1"))
        await asyncio.gather(*(publish(bus, log.entries, size=10) for log in logs))
        for log in logs:
            await eventually(lambda at=tmp_path / f"paris-attractions-{log.run}": ended(at))  # type: ignore[misc]  # mypy sees no type for a lambda's default

    for log in logs:
        await assert_agrees_with_the_bus(tmp_path / f"paris-attractions-{log.run}", bus, log)


async def test_one_run_into_one_folder(bus: Bus, nats_url: str, tmp_path: Path) -> None:
    wanted, other = long_run(50, run="wanted").finish(), long_run(50, run="other").finish()
    await publish(bus, [*other.entries, *wanted.entries])
    async with process(nats_url, tmp_path, RECORD_RUN="wanted", RECORD_INTO=str(tmp_path / "here")):
        await eventually(lambda: ended(tmp_path / "here"))

    await assert_agrees_with_the_bus(tmp_path / "here", bus, wanted)
    assert not (tmp_path / "output").exists()


async def test_one_run_in_the_folder_of_all(bus: Bus, tmp_path: Path) -> None:
    wanted, other = long_run(50, run="wanted").finish(), long_run(50, run="other").finish()
    await publish(bus, [*other.entries, *wanted.entries])
    async with recording(bus, tmp_path / "output", only_run="wanted"):
        await eventually(lambda: ended(tmp_path / "output" / "paris-attractions-wanted"))

    assert [entry.name for entry in (tmp_path / "output").iterdir()] == ["paris-attractions-wanted"]


async def test_a_log_made_anew_is_read_from_its_beginning(bus: Bus, tmp_path: Path) -> None:
    old, new = long_run(300, run="old").finish(), long_run(20, run="new").finish()
    unfinished = RunLog(run="unfinished").accept("Louvre")
    async with recording(bus, tmp_path):
        await publish(bus, [*old.entries, *unfinished.entries])
        await eventually(lambda: lines(tmp_path / "paris-attractions-unfinished" / "output.txt") == 1)
        before = contents(tmp_path / "paris-attractions-old")

        await bus.client.jetstream().delete_stream("RESULTS")
        await bus.provision()
        await publish(bus, new.entries)
        await eventually(lambda: ended(tmp_path / "paris-attractions-new"), seconds=20)

    await assert_agrees_with_the_bus(tmp_path / "paris-attractions-new", bus, new)
    assert contents(tmp_path / "paris-attractions-old") == before
    assert (tmp_path / "paris-attractions-unfinished" / "output.txt").read_text() == "Louvre\n"


async def test_the_copy_holds_what_is_no_entry_and_what_a_newer_version_writes(bus: Bus, tmp_path: Path) -> None:
    """The server stores its answers where requests tell it to; a newer log has kinds of entries that this version lacks."""
    taken = await bus.subjects_of("RESULTS")
    await bus.client.jetstream().update_stream(streams.RESULTS.evolve(subjects=[*taken, "attributes.novel.>"]))
    log = long_run(40)
    with capture_logs() as logs:
        async with recording(bus, tmp_path):
            await publish(bus, log.entries)
            for kind in ("settled.r1.7", "accepted.r1.none", "started.no-run", "finished.no-run", "duplicate.no-run.c1"):
                await bus.client.publish("$JS.API.STREAM.INFO.NONE", b"", reply=f"attributes.{kind}")
            for number in range(3):
                await bus.client.jetstream().publish(f"attributes.novel.r1.{number}", b'{"run":"r1"}')
            await publish(bus, log.finish().entries[-1:])
            await eventually(lambda: ended(tmp_path / "paris-attractions-r1"))
            head = await bus.head("RESULTS")
            await eventually(lambda: lines(tmp_path / log_copy.name_of(head.epoch)) == head.last + 1)

    root = Folder.at(tmp_path)
    kept = log_copy.read(root, log_copy.name_of(head.epoch), root.size(log_copy.name_of(head.epoch)))
    assert [line.stored for line in kept] == [s async for batch in bus.history("RESULTS", [">"]) for s in batch]
    found = await compare(bus, root)
    root.close()
    assert head.last == len(log.entries) + 8
    assert (found.log_damaged, found.copy_damaged, found.broken) == (False, 0, {})
    assert found.sentences() == ["The log holds 5 entries that are none or cannot be read; they are passed over."]
    assert sum(entry["event"] == "recorder.unknown_kind" for entry in logs) == 1
    await assert_agrees_with_the_bus(tmp_path / "paris-attractions-r1", bus, log)


# ---- what befalls the disk ---------------------------------------------------------------------------------------


async def test_an_output_that_cannot_be_written_is_told_and_tried_again(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.recorder.recorder.RETRY_SECONDS", 0.2)
    log = long_run(50).finish()
    output = tmp_path / "output"
    output.write_text("a file where the folder should be")
    with capture_logs() as logs:
        async with recording(bus, output):
            await publish(bus, log.entries)
            await eventually(lambda: sum(entry["event"] == "recorder.cannot_write" for entry in logs) >= 2)
            output.unlink()
            await eventually(lambda: ended(output / "paris-attractions-r1"))

    (first, *_) = [entry for entry in logs if entry["event"] == "recorder.cannot_write"]
    assert str(output) in first["error"]
    assert "make room or give access" in first["hint"]
    await assert_agrees_with_the_bus(output / "paris-attractions-r1", bus, log)


class SlowDisk:
    """Stands for `os.fsync`: each takes until the loop of the service has come round so many times, or until it is let go."""

    ROUNDS = 20
    DEADLINE_SECONDS = 2.0
    """After which the loop has stood still: it waits for the disk itself."""

    def __init__(self) -> None:
        self.rounds = 0
        self.syncs = 0
        self.stood_still = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, handle: int) -> None:
        until, deadline = self.rounds + self.ROUNDS, time.monotonic() + self.DEADLINE_SECONDS
        while not self.stood_still and self.rounds < until:
            time.sleep(0.001)
            self.stood_still += time.monotonic() > deadline
        self.syncs += 1
        self.go_on.wait(60)

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Count how often the loop comes round."""

        async def come_round() -> None:
            while True:
                self.rounds += 1
                await asyncio.sleep(0.001)

        task = asyncio.create_task(come_round())
        try:
            yield
        finally:
            await end([task])


async def test_the_loop_goes_on_whatever_is_written(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the service is taken for one that hangs, and killed, each time it writes a long list: a loop that writes nothing
    itself stands still for none of its files."""
    monkeypatch.setattr("services.recorder.recording.SNAPSHOT_SECONDS", 0)
    monkeypatch.setattr("services.recorder.archive.CURSOR_SECONDS", 0)
    disk, log = SlowDisk(), long_run(50)
    folder = tmp_path / "paris-attractions-r1"
    async with disk.beside():
        monkeypatch.setattr(os, "fsync", disk)
        async with recording(bus, tmp_path):
            await publish(bus, log.entries)
            await eventually(lambda: lines(folder / "output.txt") == 50, 30)
            await publish(bus, log.finish().entries[-1:])
            await eventually(lambda: ended(folder), 30)
            await publish(bus, RunLog(run="r2").accept("Louvre").entries)  # its files are brought up to date at the stop
            await eventually(lambda: lines(tmp_path / "paris-attractions-r2" / "output.txt") == 1, 30)

    assert not disk.stood_still
    assert disk.syncs > 10
    await assert_agrees_with_the_bus(folder, bus, log)


async def test_told_to_stop_while_it_writes_it_ends_when_that_is_written(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, folder = SlowDisk(), tmp_path / "paris-attractions-r1"
    log = RunLog(run="r1").accept("Louvre", "Seine")
    async with disk.beside():
        monkeypatch.setattr(os, "fsync", disk)
        recorder = asyncio.create_task(Recorder(bus, tmp_path).run())
        await publish(bus, log.entries)
        await eventually(lambda: lines(folder / "output.txt") == 2, 30)
        disk.go_on.clear()
        before = disk.syncs
        await publish(bus, log.accept("Orsay").entries[3:])
        await eventually(lambda: disk.syncs > before)
        stopping, told = asyncio.create_task(end([recorder])), disk.rounds
        await eventually(lambda: disk.rounds > told + 500)
        assert not recorder.done()
        disk.go_on.set()
        await asyncio.wait_for(stopping, 30)

    texts = (folder / "output.txt").read_text().splitlines()
    assert texts == ["Louvre", "Seine", "Orsay"][: len(texts)]
    assert [element["text"] for element in json.loads((folder / "output.json").read_bytes())] == texts
    again = Folder.at(tmp_path)
    assert again.lock()
    again.close()


async def test_a_file_removed_while_the_run_goes_on_is_written_again(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.recorder.recorder.RETRY_SECONDS", 0.1)
    log = RunLog(run="r1").accept("Louvre", "Seine")
    folder = tmp_path / "paris-attractions-r1"
    async with recording(bus, tmp_path):
        await publish(bus, log.entries)
        await eventually(lambda: lines(folder / "output.txt") == 2)
        (folder / "output.txt").unlink()
        written = len(log.entries)
        await publish(bus, log.accept("Orsay").finish().entries[written:])
        await eventually(lambda: ended(folder))

    await assert_agrees_with_the_bus(folder, bus, log)


async def test_the_second_copy_is_taken_up_once_nobody_else_has_it(bus: Bus, tmp_path: Path) -> None:
    """As after a repair beside which it was started: else the log would have no second copy until the next restart."""
    other = Folder.at(tmp_path)
    assert other.lock()
    run = long_run(20).finish()
    async with recording(bus, tmp_path):
        await publish(bus, run.entries)
        await eventually(lambda: ended(tmp_path / f"paris-attractions-{run.run}"), 20)
        assert not log_copy.names(other)
        other.close()
        await eventually(lambda: sum(map(lines, tmp_path.glob(".log-*.jsonl"))) == len(run.entries) + 1, 20)
