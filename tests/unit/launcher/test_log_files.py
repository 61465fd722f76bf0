"""Logs are bounded and shown line by line."""

import time
from pathlib import Path

import pytest

from services.launcher import log_files
from services.launcher.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.make()
    return folder


def test_a_log_that_is_too_long_is_moved_aside_while_its_writer_goes_on(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "LOG_BYTES", 10)
    with folder.log("gateway").open("ab", buffering=0) as writer:
        writer.write(b"more than ten bytes\n")
        log_files.trim(folder)
        writer.write(b"short\n")
        log_files.trim(folder)

    assert folder.log("gateway").read_bytes() == b"short\n"
    assert (folder.logs / "gateway.log.1").read_bytes() == b"more than ten bytes\n"


def test_a_log_that_is_shown_acts_on_no_terminal(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.log("gateway").write_text("a \x1b]0;TITLE\x07\x9b \u2028b\n")

    log_files.show(folder, follow=False)

    assert capsys.readouterr().out.removesuffix("\n").isprintable()
    assert folder.last_words("gateway").isprintable()


def test_logs_are_shown_with_the_names_of_their_services(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.log("gateway").write_text("one\ntwo\n")
    folder.log("recorder").write_text("three\nhalf a li")

    log_files.show(folder, follow=False)

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["gateway", "one"], ["gateway", "two"], ["recorder", "three"]]


def test_following_goes_on_where_it_was_and_starts_over_when_a_log_was_trimmed(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.log("nats").write_text("one\n")
    contents = iter(["one\ntwo\n", "3\n"])

    def next_content(_: float) -> None:
        try:
            folder.log("nats").write_text(next(contents))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(time, "sleep", next_content)

    with pytest.raises(KeyboardInterrupt):
        log_files.show(folder, follow=True)

    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["one", "two", "3"]


def test_only_the_end_of_a_long_log_is_shown_at_first(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "LAST_BYTES", 8)
    folder.log("nats").write_text("first\nlast\n")

    log_files.show(folder, follow=False)

    assert "last" in capsys.readouterr().out


def test_last_words_of_a_log(folder: Folder) -> None:
    folder.log("nats").write_text("first\nlast\n\n")

    assert folder.last_words("nats") == "last"
    assert folder.last_words("gateway") == "it wrote nothing to its log"
