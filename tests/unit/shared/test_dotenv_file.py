"""Whose `.env` is obeyed: it says where keys are sent."""

import os
from pathlib import Path

import pytest

from shared import dotenv_file
from shared.service import environment


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dotenv_file, "_said", set())
    monkeypatch.delenv("TOPIC", raising=False)
    monkeypatch.chdir(tmp_path)


def written(folder: Path, text: str = "TOPIC=from the file\n", mode: int = 0o600) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / ".env"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_file_of_the_current_folder_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    assert environment()["TOPIC"] == "from the file"
    assert capsys.readouterr().err == ""


def test_a_file_in_a_folder_above_is_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert "TOPIC" not in environment()


def test_within_the_project_the_projects_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    monkeypatch.setattr(dotenv_file, "PROJECT", tmp_path)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert environment()["TOPIC"] == "from the file"
    written(tmp_path / "below", "TOPIC=nearer\n")
    assert environment()["TOPIC"] == "nearer"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_ignored_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    file = written(tmp_path, mode=mode)
    assert "TOPIC" not in environment()
    assert "TOPIC" not in environment()
    told = f"{file} is ignored: others may write to it; if what it says is yours, chmod go-w {file}.\n"
    assert capsys.readouterr().err == told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("by_link", [False, True])
def test_a_file_of_somebody_else_is_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str], by_link: bool) -> None:
    """Also a link of his: in a folder that all may write to, it would choose which file is read."""
    file = tmp_path / ".env"
    if by_link:
        file.symlink_to(written(tmp_path / "elsewhere"))
    else:
        written(tmp_path)
    os.chown(file, 12345, 12345, follow_symlinks=False)
    assert "TOPIC" not in environment()
    assert capsys.readouterr().err == f"{file} is ignored: it belongs to somebody else.\n"


def test_a_file_that_is_no_text_is_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path).write_bytes(b"TOPIC=\xff\n")
    assert "TOPIC" not in environment()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_or_a_pipe_of_that_name_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    assert "TOPIC" not in environment()


def test_a_key_that_others_may_read_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "OPENAI_API_KEY=sk-0123456789\nTOPIC=t\n", 0o644)
    assert environment()["TOPIC"] == environment()["TOPIC"] == "t"
    told = capsys.readouterr().err
    assert told == f"{file} holds OPENAI_API_KEY, and others on this machine may read it: chmod 600 {file}\n"


def test_without_a_key_others_may_read_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, mode=0o644)
    assert environment()["TOPIC"] == "from the file"
    assert capsys.readouterr().err == ""
