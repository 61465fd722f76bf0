"""What `make up` says while one waits for it."""

import os
from pathlib import Path

import pytest

from services.launcher.folder import Folder
from services.launcher.locks import hold
from services.launcher.up import announce_comparison, why_no_report


@pytest.mark.parametrize(("megabytes", "said"), [(20, ""), (400, "about 40 s")])
def test_a_comparison_that_takes_long_is_announced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], megabytes: int, said: str
) -> None:
    blocks = Folder(tmp_path).nats / "jetstream" / "BUS" / "streams" / "RESULTS" / "msgs"
    blocks.mkdir(parents=True)
    with (blocks / "1.blk").open("wb") as block:
        block.truncate(megabytes * 1_000_000)
    announce_comparison(Folder(tmp_path))

    found = capsys.readouterr().out
    assert said in found
    assert bool(found) == bool(said)


def test_a_stack_that_stopped_at_once_says_why_and_where_to_look(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make()
    folder.log("launcher").write_text("The log is not known to be whole: entry 7 is missing.\n")

    said = why_no_report(folder)

    assert "stopped as soon as it was ready" in said
    assert "entry 7 is missing" in said
    assert str(folder.logs) in said


def test_a_stack_that_cannot_write_what_runs_in_it_is_not_called_stopped(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make()
    lock = hold(folder.lock)
    assert lock is not None
    try:
        said = why_no_report(folder)
    finally:
        os.close(lock)

    assert "stopped" not in said
    assert "is the disk full?" in said


def test_a_first_start_has_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce_comparison(Folder(tmp_path))

    assert capsys.readouterr().out == ""
