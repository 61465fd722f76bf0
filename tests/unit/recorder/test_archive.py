"""The output files of runs: complete, in agreement, once each line, wherever the recorder was ended."""

import contextlib
import errno
import functools
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.recorder import recording
from services.recorder.absorbed import MAX_TEXTS, AbsorbedTexts
from services.recorder.archive import Archive
from services.recorder.folder import Folder
from shared.bus import Stored, StreamHead, encode
from shared.messages import MAX_TOPIC
from tests.unit.recorder.log_entries import RunLog
from tests.unit.recorder.test_folder import HOSTILE

HEAD = StreamHead("epoch1", 1, 1_000_000)
PLACE = "paris-attractions-20261124-103207-9f3ac1"
FILES = {"output.txt", "output.json", "output.jsonl", "metadata.json"}

OpenArchive = Callable[..., Archive]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenArchive]:
    """Opens the archive of `tmp_path/output`; what a test leaves open is closed."""
    with contextlib.ExitStack() as stack:

        def open_archive(head: StreamHead = HEAD, **options: Any) -> Archive:
            archive = Archive(Folder.at(tmp_path / "output"), head, **options)
            stack.callback(archive.close)
            return archive

        yield open_archive


def whole_run() -> RunLog:
    log = RunLog().accept("Eiffel Tower", "Louvre", "Café de Flore").repeat(1, "eiffel tower", "EIFFEL TOWER", "eiffel tower")
    return log.accept("Seine 🛶", "Père Lachaise").repeat(4, "the Seine").finish()


def array(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "output.json").read_bytes())
    return found


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metadata.json").read_bytes())
    return found


def copy(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "output.jsonl").read_bytes().splitlines()]


def assert_complete(folder: Path, log: RunLog) -> None:
    """All four files hold the run, whole, and agree."""
    assert (folder / "output.txt").read_text("utf-8").splitlines() == log.texts
    assert [element["text"] for element in array(folder)] == log.texts
    assert [line["accepted"]["text"] for line in copy(folder)] == log.texts
    assert metadata(folder)["accepted"] == len(log.texts)
    assert metadata(folder)["duplicates"] == log.duplicates
    assert metadata(folder)["digest"] == log.digest
    assert metadata(folder)["ended"]


def test_the_files_hold_the_run(opened: OpenArchive, tmp_path: Path) -> None:
    log = whole_run()
    with capture_logs() as logs:
        opened().take(log.stored(first=7))
    folder = tmp_path / "output" / PLACE

    assert_complete(folder, log)
    assert {entry.name for entry in folder.iterdir()} == FILES
    assert array(folder)[0] == {
        "text": "Eiffel Tower",
        "ordinal": 1,
        "provider": "random",
        "model": "zipf-1",
        "producer": "random-1a2b3c",
        "time": "2026-11-24T10:32:37.000+00:00",
        "facet": "landmarks",
        "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
        "possible_duplicate_of": None,
        "absorbed": {"count": 3, "texts": ["eiffel tower", "EIFFEL TOWER"]},
    }
    assert (copy(folder)[0]["epoch"], copy(folder)[0]["sequence"]) == ("epoch1", 8)
    did = {
        "candidates": 9,
        "accepted": 5,
        "duplicates": 4,
        "calls": 10,
        "failed": 1,
        "errors": {"rate_limit": 1},
        "input_tokens": 1000,
        "output_tokens": 500,
        "cached_tokens": 100,
        "reasoning_tokens": 0,
        "usd": 0.02,
        "mean_seconds": 2.5,
        "unique_per_call": 0.5,
        "unique_per_dollar": 250.0,
        "left": "",
    }
    assert metadata(folder) == {
        "version": "1.0",
        "run": log.run,
        "topic": "Paris attractions",
        "settings": json.loads(encode(log.spec)),
        "started": "2026-11-24T10:32:07.000+00:00",
        "ended": "2026-11-24T10:32:38.000+00:00",
        "status": "finished",
        "reason": "all 10 calls are done",
        "candidates": 11,
        "accepted": 5,
        "duplicates": 4,
        "late": 2,
        "malformed": 0,
        "seconds": 30.0,
        "attributes_per_minute": 10.0,
        "calls": 10,
        "tokens": 1500,
        "usd": 0.02,
        "coverage": 0.7,
        "coverage_low": 0.6,
        "coverage_high": 0.8,
        "new_share": 0.25,
        "marginal_usd": 0.004,
        "marginal_seconds": 0.5,
        "on_topic": 0.95,
        "on_topic_low": 0.9,
        "on_topic_high": 0.99,
        "judged": 20,
        "facets": {"landmarks": {"calls": 9, "accepted": 5, "duplicates": 4, "new_share": 0.25, "closed": ""}},
        "providers": {"random": did},
        "models": {"random/zipf-1": did},
        "digest": log.digest,
        "files": ["output.txt", "output.json", "output.jsonl", "metadata.json"],
        "epoch": "epoch1",
    }
    assert not [entry for entry in logs if entry["log_level"] != "info"]


def test_a_run_without_attributes_has_all_files(opened: OpenArchive, tmp_path: Path) -> None:
    log = RunLog()
    archive = opened()
    archive.take(log.stored())
    folder = tmp_path / "output" / PLACE

    assert {entry.name for entry in folder.iterdir()} == FILES
    assert (array(folder), metadata(folder)["ended"], metadata(folder)["status"]) == ([], None, "running")
    archive.take(log.finish().stored()[1:])
    assert_complete(folder, log)
    assert (folder / "output.txt").read_bytes() == b""


def test_attributes_are_in_the_text_at_once_and_in_the_rest_when_it_is_time(
    opened: OpenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = RunLog().accept("Louvre", "Seine", "Montmartre").stored()
    archive = opened()
    folder = tmp_path / "output" / PLACE
    archive.take(entries[:2])
    assert (folder / "output.txt").read_text() == "Louvre\n"
    assert (len(copy(folder)), array(folder), metadata(folder)["accepted"]) == (1, [], 0)

    later = time.monotonic() + recording.SNAPSHOT_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    archive.take(entries[2:3])
    assert (len(array(folder)), metadata(folder)["accepted"], metadata(folder)["seconds"]) == (2, 2, 30.0)

    archive.take(entries[3:])
    archive.close()  # told to stop in the middle of the run: the files agree
    assert (len(array(folder)), metadata(folder)["accepted"], metadata(folder)["ended"]) == (3, 3, None)


def test_a_restart_after_any_entry_leaves_each_line_once(tmp_path: Path) -> None:
    log = whole_run()
    entries = log.stored()
    for ended_after in range(1, len(entries)):
        output = tmp_path / str(ended_after)
        first = Archive(Folder.at(output), HEAD)
        first.take(entries[:ended_after])
        first.close()
        again = Archive(Folder.at(output), HEAD)
        again.take([stored for stored in entries if stored.sequence > again.sequence])
        again.close()

        assert_complete(output / PLACE, log)
        assert {entry.name for entry in (output / PLACE).iterdir()} == FILES


def test_files_torn_by_a_crash_are_completed(tmp_path: Path) -> None:
    """The copy and the text may each end anywhere: the disk does not keep the order of two files."""
    log = whole_run()
    entries = log.stored()
    running = Archive(Folder.at(tmp_path), HEAD)
    running.take(entries[:-1])
    running.close()
    folder = tmp_path / PLACE
    whole_copy, whole_text = (folder / "output.jsonl").read_bytes(), (folder / "output.txt").read_bytes()
    running_metadata = (folder / "metadata.json").read_bytes()

    for cut in range(0, len(whole_copy), 61):
        (folder / "metadata.json").write_bytes(running_metadata)
        (folder / "output.jsonl").write_bytes(whole_copy[:cut])
        (folder / "output.txt").write_bytes(whole_text[: (cut * 5) % len(whole_text)])
        (tmp_path / ".recorder.json").unlink(missing_ok=True)
        again = Archive(Folder.at(tmp_path), HEAD)
        again.take(entries)
        again.close()

        assert_complete(folder, log)
    assert {entry.name for entry in folder.iterdir()} == FILES


def test_a_damaged_copy_is_repaired_from_the_log(opened: OpenArchive, tmp_path: Path) -> None:
    log = whole_run()
    first = opened()
    first.take(log.stored()[:4])
    first.close()
    folder = tmp_path / "output" / PLACE
    damaged = (folder / "output.jsonl").read_bytes().replace(b"Louvre", b"Louvra")
    (folder / "output.jsonl").write_bytes(damaged)

    with capture_logs() as logs:
        opened().take(log.stored())

    assert_complete(folder, log)
    assert (folder / "output.jsonl.damaged-1").read_bytes() == damaged
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["recording.file_damaged"]


def test_what_the_log_lost_is_kept_aside(opened: OpenArchive, tmp_path: Path) -> None:
    """A log that lost its tail goes on with other decisions, or with none."""
    first = opened()
    first.take(RunLog().accept("Louvre", "Seine", "Orsay").stored())
    first.close()
    log = RunLog().accept("Louvre").finish()
    with capture_logs() as logs:
        opened().take(log.stored())
    folder = tmp_path / "output" / PLACE

    assert_complete(folder, log)
    assert (folder / "output.jsonl.damaged-1").read_bytes().count(b"\n") == 3
    assert (folder / "output.txt.damaged-1").read_text() == "Louvre\nSeine\nOrsay\n"
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["recording.file_damaged"] * 2


def test_a_replay_never_shows_less_than_before(opened: OpenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = whole_run()
    first = opened()
    first.take(log.stored()[:-1])
    first.close()
    monkeypatch.setattr(recording, "SNAPSHOT_SECONDS", 0)

    again = opened()
    again.take(log.stored()[:2])
    assert metadata(tmp_path / "output" / PLACE)["accepted"] == 5
    again.close()
    assert metadata(tmp_path / "output" / PLACE)["accepted"] == 5


def test_a_finished_run_is_left_alone(opened: OpenArchive, tmp_path: Path) -> None:
    log = whole_run()
    first = opened()
    first.take(log.stored())
    first.close()
    folder = tmp_path / "output" / PLACE
    (folder / "output.txt").write_text("edited by its owner\n")
    (tmp_path / "output" / ".recorder.json").unlink()

    other = RunLog(run="r2")
    again = opened()
    again.take([*log.stored(), *other.accept("Seine").stored(first=100)])

    assert (folder / "output.txt").read_text() == "edited by its owner\n"
    assert (tmp_path / "output" / "paris-attractions-r2" / "output.txt").read_text() == "Seine\n"


def test_the_cursor_spares_what_is_complete_and_keeps_what_is_not(opened: OpenArchive) -> None:
    unfinished = RunLog(run="r1").accept("Louvre").stored(first=50)
    complete = RunLog(run="r2").accept("Louvre").finish().stored(first=60)
    first = opened()
    first.take([*unfinished, *complete])
    first.close()

    again = opened()
    assert again.sequence == 49
    again.take([*unfinished, *complete, *RunLog(run="r1").finish().stored(first=100)[1:]])
    again.close()
    assert opened().sequence == 101


@pytest.mark.parametrize("head", [StreamHead("epoch2", 1, 1_000_000), StreamHead("epoch1", 1, 5)])
def test_the_cursor_of_another_log_is_not_used(opened: OpenArchive, head: StreamHead) -> None:
    first = opened()
    first.take(RunLog().finish().stored(first=50))
    first.close()

    assert opened(head).sequence == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"epoch":1}', b"\xff"])
def test_an_odd_cursor_is_not_used(opened: OpenArchive, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / ".recorder.json").write_bytes(content)

    assert opened().sequence == 0


def test_a_log_made_anew_with_the_same_run_gets_its_own_folder(opened: OpenArchive, tmp_path: Path) -> None:
    old, new = whole_run(), RunLog(begun="2026-11-25T10:32:07.000+00:00").accept("Notre-Dame").finish()
    opened().take(old.stored())
    with capture_logs() as logs:
        opened(StreamHead("epoch2", 1, 99)).take(new.stored())

    assert_complete(tmp_path / "output" / PLACE, old)
    assert_complete(tmp_path / "output" / "paris-attractions-2-20261124-103207-9f3ac1", new)
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["recording.folder_taken"]


def test_a_log_written_anew_goes_on_in_the_same_folder(opened: OpenArchive, tmp_path: Path) -> None:
    """After a repair the log has another epoch; an ended run stays as it is, an open one names its new places."""
    ended, going_on = whole_run(), RunLog(run="r2").accept("Louvre", "Seine")
    first = opened()
    first.take([*ended.stored(), *going_on.stored(first=50)])
    first.close()
    before = (tmp_path / "output" / PLACE / "output.jsonl").read_bytes()
    with capture_logs() as logs:
        again = opened(StreamHead("epoch2", 1, 99))
        again.take([*ended.stored(), *going_on.stored(first=40)])
        again.take(going_on.finish().stored(first=40)[-1:])

    assert (tmp_path / "output" / PLACE / "output.jsonl").read_bytes() == before
    assert_complete(tmp_path / "output" / "paris-attractions-r2", going_on)
    places = copy(tmp_path / "output" / "paris-attractions-r2")
    assert [(line["epoch"], line["sequence"]) for line in places] == [("epoch2", 41), ("epoch2", 42)]
    assert {entry.name for entry in (tmp_path / "output" / "paris-attractions-r2").iterdir()} == FILES
    assert not [entry for entry in logs if entry["log_level"] != "info"]


# ---- one run, just there -----------------------------------------------------------------------------------------


def test_one_run_is_written_just_where_it_is_wanted(opened: OpenArchive, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "notes.md").write_text("mine")
    log = whole_run()
    opened(one_run_exactly=True).take(log.stored())

    assert_complete(tmp_path / "output", log)
    assert {entry.name for entry in (tmp_path / "output").iterdir()} == FILES | {"notes.md"}


def test_an_earlier_run_in_the_wanted_place_stays(opened: OpenArchive, tmp_path: Path) -> None:
    earlier, later = whole_run(), RunLog(run="r2").accept("Louvre").finish()
    opened(one_run_exactly=True).take(earlier.stored())
    opened(one_run_exactly=True).take(later.stored(first=50))

    assert_complete(tmp_path / "output", earlier)
    assert_complete(tmp_path / "output" / "paris-attractions-r2", later)


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_of_somebody_else_in_the_wanted_place_stay(opened: OpenArchive, tmp_path: Path, name: str) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / name).write_text("[1]")
    log = whole_run()
    opened(one_run_exactly=True).take(log.stored())

    assert (tmp_path / "output" / name).read_text() == "[1]"
    assert_complete(tmp_path / "output" / PLACE, log)


def test_the_wanted_place_is_found_again_after_a_restart(opened: OpenArchive, tmp_path: Path) -> None:
    log = whole_run()
    first = opened(one_run_exactly=True)
    first.take(log.stored()[:5])
    first.close()
    opened(one_run_exactly=True).take(log.stored())

    assert_complete(tmp_path / "output", log)
    assert {entry.name for entry in (tmp_path / "output").iterdir()} == FILES


def test_two_recorders_do_not_write_the_same_files(opened: OpenArchive, tmp_path: Path) -> None:
    log = whole_run()
    first, second = opened(), opened()
    for stored in log.stored():
        first.take([stored])
        second.take([stored])

    assert_complete(tmp_path / "output" / PLACE, log)
    assert_complete(tmp_path / "output" / "paris-attractions-2-20261124-103207-9f3ac1", log)


# ---- hostile input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", [topic[:MAX_TOPIC] for topic in HOSTILE if topic.strip() and topic.isprintable()])
def test_no_topic_leads_outside_the_output_folder(opened: OpenArchive, tmp_path: Path, topic: str) -> None:
    before = {path for path in tmp_path.rglob("*") if "output" not in path.parts}
    log = RunLog(topic=topic).accept("Louvre").finish()
    archive = opened()
    archive.take(log.stored())
    archive.close()

    assert {path for path in tmp_path.rglob("*") if "output" not in path.parts} == before
    (folder,) = [entry for entry in (tmp_path / "output").iterdir() if entry.is_dir()]
    assert_complete(folder, log)
    assert metadata(folder)["topic"] == topic


def test_a_link_in_place_of_the_folder_is_not_followed(opened: OpenArchive, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / PLACE).symlink_to(outside)
    log = whole_run()
    opened().take(log.stored())

    assert list(outside.iterdir()) == []
    assert_complete(tmp_path / "output" / "paris-attractions-2-20261124-103207-9f3ac1", log)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_link_in_place_of_a_file_is_not_followed(opened: OpenArchive, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (tmp_path / "output" / PLACE).mkdir(parents=True)
    (tmp_path / "output" / PLACE / name).symlink_to(outside)
    log = whole_run()
    opened().take(log.stored())

    assert outside.read_text() == "precious"
    assert_complete(tmp_path / "output" / "paris-attractions-2-20261124-103207-9f3ac1", log)


def test_a_text_with_line_breaks_is_one_line_of_the_text(opened: OpenArchive, tmp_path: Path) -> None:
    odd = ["a\nb", "c\r\nd", "e\N{LINE SEPARATOR}f", "g\x85h", "i\x0bj"]
    opened().take(RunLog().accept(*odd).finish().stored())
    folder = tmp_path / "output" / PLACE

    assert (folder / "output.txt").read_text("utf-8").splitlines() == ["a b", "c d", "e f", "g h", "i j"]
    assert [element["text"] for element in array(folder)] == odd


def test_malformed_entries_are_counted_and_lose_nothing(opened: OpenArchive, tmp_path: Path) -> None:
    log = RunLog().accept("Louvre", "Seine").repeat(1, "louvre").finish()
    started, louvre, seine, duplicate, finished = log.stored()
    of_another_run = RunLog(run="r2").accept("Orsay").stored()[1].data
    junk = [b"", b"\xff", b"{" * 10_000, of_another_run, seine.data.replace(b'"ordinal":2', b'"ordinal":"2"')]
    bad = [Stored(9, f"attributes.accepted.{log.run}.{n}", data, "") for n, data in enumerate(junk)]
    bad.append(Stored(9, duplicate.subject, b"[]", ""))

    with capture_logs() as logs:
        opened().take([started, louvre, *bad, seine, duplicate, finished])

    assert_complete(tmp_path / "output" / PLACE, log)
    assert metadata(tmp_path / "output" / PLACE)["malformed"] == len(bad)
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["recorder.malformed"] * len(bad)


def test_a_run_whose_first_entry_is_malformed_is_recorded_all_the_same(opened: OpenArchive, tmp_path: Path) -> None:
    log = RunLog(run="r1").accept("Louvre").finish()
    started, *rest = log.stored()
    opened().take([Stored(1, started.subject, b"{}", ""), *rest])

    assert_complete(tmp_path / "output" / "topic-r1", log)
    assert metadata(tmp_path / "output" / "topic-r1")["settings"] is None


def test_a_message_written_over_several_lines_is_one_line_of_the_copy(opened: OpenArchive, tmp_path: Path) -> None:
    log = RunLog().accept("Louvre", "Seine").finish()
    entries = log.stored()
    pretty = json.dumps(json.loads(entries[1].data) | {"from_the_future": [1]}, indent=1).replace("\n", "\r\n").encode()
    opened().take([entries[0], Stored(2, entries[1].subject, pretty, ""), *entries[2:]])

    assert_complete(tmp_path / "output" / PLACE, log)
    assert copy(tmp_path / "output" / PLACE)[0]["accepted"]["from_the_future"] == [1]


def test_a_gap_and_a_changed_text_are_told(opened: OpenArchive, tmp_path: Path) -> None:
    log = RunLog().accept("Louvre", "Seine", "Orsay", "Montmartre")
    entries = log.finish().stored()
    changed = Stored(4, entries[3].subject, entries[3].data.replace(b"Orsay", b"Orsai"), "")

    with capture_logs() as logs:
        opened().take([entries[0], entries[1], changed, entries[4], entries[5]])

    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert [entry["event"] for entry in errors] == ["recording.gap", "recording.digest_differs", "recording.differs_from_run"]
    assert (errors[0]["expected"], errors[0]["found"], errors[1]["ordinal"]) == (2, 3, 3)
    folder = tmp_path / "output" / PLACE
    assert metadata(folder)["accepted"] == len(array(folder)) == len((folder / "output.txt").read_text().splitlines()) == 3


def test_an_entry_of_a_run_that_never_began_is_told(opened: OpenArchive, tmp_path: Path) -> None:
    with capture_logs() as logs:
        opened().take(RunLog().accept("Louvre").stored()[1:])

    assert [entry["event"] for entry in logs] == ["recorder.stray_entry"]


def odd(log: RunLog, *about: tuple[str, bytes]) -> list[Stored]:
    """Messages of the log that are no entries of the run's chain, by the end of their subjects."""
    return [Stored(500 + n, f"attributes.{end}", data, "") for n, (end, data) in enumerate(about)]


def test_entries_that_no_file_tells_of_are_passed_over_wherever_they_stand(opened: OpenArchive, tmp_path: Path) -> None:
    """What calls cost, and what a newer version writes: the first of each kind that is not known is said."""
    log = whole_run()
    started, *rest = log.stored()
    run = log.run.encode()
    others = odd(
        log,
        (f"issued.{log.run}.t1", b'{"run":"%s","task":{}}' % run),
        (f"spent.{log.run}.t1", b'{"run":"%s","task":"t1","cost":5}' % run),
        (f"novel.{log.run}", b"{}"),
        (f"novel.{log.run}.x.y", b""),
        ("other.strange", b"\x00"),
        ("issued.never-begun.t1", b"{}"),
    )
    archive = opened()
    with capture_logs() as logs:
        archive.take([*others, started, *others, *rest, *others])
        archive.take(others)

    assert_complete(tmp_path / "output" / PLACE, log)
    assert metadata(tmp_path / "output" / PLACE)["malformed"] == 0
    assert [path.name for path in (tmp_path / "output").iterdir() if path.is_dir()] == [PLACE]
    told = [(entry["event"], entry["subject"]) for entry in logs if entry["log_level"] != "info"]
    assert told == [
        ("recorder.unknown_kind", f"attributes.novel.{log.run}"),
        ("recorder.unknown_kind", "attributes.other.strange"),
    ]


ANSWER = b'{"stream":"REPORTS_random","seq":3}'
"""The server's to who published something: it is stored where the request says, also on an entry's subject."""


@pytest.mark.parametrize("kind", ["started", "accepted", "duplicate", "settled", "finished"])
@pytest.mark.parametrize("run", ["never-begun", "a/b", "..", "\u202e", "x" * 200])
def test_what_is_no_entry_begins_no_run_and_leads_nowhere(opened: OpenArchive, tmp_path: Path, kind: str, run: str) -> None:
    log = whole_run()
    entries = log.stored()
    none = odd(log, (f"{kind}.{run}", ANSWER), (f"{kind}.{run}.x", ANSWER))
    with capture_logs() as logs:
        opened().take([*none, *entries[:3], *none, *entries[3:], *none])

    assert_complete(tmp_path / "output" / PLACE, log)
    assert [path.name for path in (tmp_path / "output").iterdir() if path.is_dir()] == [PLACE]
    assert {entry["event"] for entry in logs if entry["log_level"] != "info"} == {"recorder.malformed"}


def test_what_is_no_entry_is_counted_with_its_run(opened: OpenArchive, tmp_path: Path) -> None:
    log = whole_run()
    none = odd(log, (f"accepted.{log.run}.x", ANSWER), (f"settled.{log.run}.1", ANSWER), (f"duplicate.{log.run}.y", ANSWER))
    started, *rest = log.stored()
    opened().take([started, *none, *rest])

    assert_complete(tmp_path / "output" / PLACE, log)
    assert metadata(tmp_path / "output" / PLACE)["malformed"] == 3


class RefusingDisk:
    """Stands for the os module and refuses one system call that needs the disk, the n-th."""

    NEEDING = frozenset({"mkdir", "open", "stat", "listdir", "fsync", "replace", "rename"})

    def __init__(self, refused: int) -> None:
        self.calls = 0
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        return functools.partial(self._call, name) if name in self.NEEDING else getattr(os, name)

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self._refused:
            raise OSError(errno.EIO, "Input/output error")
        return getattr(os, name)(*args, **options)


def record(output: Path, entries: list[Stored]) -> None:
    """What the recorder does between two of its starts."""
    root = Folder.at(output)
    try:
        archive = Archive(root, HEAD)
    except OSError:
        root.close()
        raise
    with contextlib.closing(archive):
        for stored in entries:
            archive.take([stored])


@pytest.mark.parametrize("begun", [0, 4], ids=["a new run", "a run begun before"])
def test_whichever_call_the_disk_refuses_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: int) -> None:
    log = whole_run()
    refused = 0
    interrupted = True
    while interrupted:
        refused += 1
        output = tmp_path / str(refused)
        record(output, log.stored()[:begun])
        with monkeypatch.context() as patched:
            disk = RefusingDisk(refused)
            patched.setattr("services.recorder.folder.os", disk)
            patched.setattr("services.recorder.replayed_file.os", disk)
            with contextlib.suppress(OSError):
                record(output, log.stored())
            interrupted = disk.calls >= refused
        record(output, log.stored())

        assert [entry.name for entry in output.iterdir() if entry.is_dir()] == [PLACE]
        assert_complete(output / PLACE, log)
    assert refused > 30


def test_a_disk_that_is_full_after_any_byte_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: a write is then cut short, and the next one refused."""
    log = whole_run()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for full_at in range(0, 3000, 211):
        output = tmp_path / str(full_at)
        with capture_logs(), contextlib.suppress(OSError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (full_at, hard))
            try:
                record(output, log.stored())
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        record(output, log.stored())

        assert_complete(output / PLACE, log)
        assert {entry.name for entry in (output / PLACE).iterdir()} == FILES


def test_texts_absorbed_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    absorbed = AbsorbedTexts()
    for number in range(50):
        absorbed.add(1, f"text {number}")
        absorbed.add(1, "text 0")
    assert (absorbed.of(1).count, len(absorbed.of(1).texts)) == (100, MAX_TEXTS)
    assert (absorbed.of(2).count, absorbed.of(2).texts) == (0, [])

    monkeypatch.setattr("services.recorder.absorbed.MAX_TEXTS_OF_RUN", 22)
    for ordinal in range(2, 10):
        absorbed.add(ordinal, "one")
    assert [len(absorbed.of(n).texts) for n in range(2, 10)] == [1, 1, 0, 0, 0, 0, 0, 0]
    assert absorbed.of(9).count == 1
