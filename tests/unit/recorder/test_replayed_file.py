"""A growing file after a crash: each line once, and what was damaged is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.recorder.folder import Folder
from services.recorder.replayed_file import ReplayedFile

LINES = [f"line {n}\n".encode() for n in range(8)]
WHOLE = b"".join(LINES)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    opened = Folder.at(tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("step", [1, 3, 25])
def test_a_file_cut_anywhere_is_completed(folder: Folder, tmp_path: Path, step: int) -> None:
    for cut in range(len(WHOLE) + 1):
        (tmp_path / "f").write_bytes(WHOLE[:cut])
        file = ReplayedFile(folder, "f")
        for start in range(0, len(LINES), step):
            file.put(b"".join(LINES[start : start + step]))
        file.finish()

        assert (tmp_path / "f").read_bytes() == WHOLE, cut
    assert folder.names() == {"f"}


@pytest.mark.parametrize("at", [0, 8, 40, len(WHOLE) - 1])
def test_a_changed_byte_is_repaired_and_the_old_file_kept(folder: Folder, tmp_path: Path, at: int) -> None:
    damaged = WHOLE[:at] + b"#" + WHOLE[at + 1 :]
    (tmp_path / "f").write_bytes(damaged)
    file = ReplayedFile(folder, "f")

    with capture_logs() as logs:
        for line in LINES:
            file.put(line, sync=True)
        file.finish()

    assert (tmp_path / "f").read_bytes() == WHOLE
    assert (tmp_path / "f.damaged-1").read_bytes() == damaged
    assert [entry["event"] for entry in logs] == ["recording.file_damaged"]


def test_what_the_log_does_not_hold_is_kept_aside(folder: Folder, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "f").write_bytes(WHOLE + f"more {number}\n".encode())
        file = ReplayedFile(folder, "f")
        file.put(WHOLE)
        assert file.replaying
        file.finish()

        assert (tmp_path / "f").read_bytes() == WHOLE
        assert (tmp_path / f"f.damaged-{number}").read_bytes() == WHOLE + f"more {number}\n".encode()


def test_a_file_that_vanishes_or_grows_meanwhile_is_noticed(folder: Folder, tmp_path: Path) -> None:
    file = ReplayedFile(folder, "f")
    file.put(LINES[0])
    (tmp_path / "f").unlink()
    with pytest.raises(OSError, match="changed by somebody else"):
        file.put(LINES[1])

    (tmp_path / "f").unlink()
    file = ReplayedFile(folder, "f")
    file.put(LINES[0])
    (tmp_path / "f").write_bytes(LINES[0] + b"mine\n")
    with pytest.raises(OSError, match="changed by somebody else"):
        file.put(LINES[1])


def test_nothing_put_is_an_empty_file(folder: Folder, tmp_path: Path) -> None:
    file = ReplayedFile(folder, "f")
    file.put(b"")
    file.finish()

    assert (tmp_path / "f").read_bytes() == b""
