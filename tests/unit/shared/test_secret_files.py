"""A secret in a file, as containers are given theirs."""

from pathlib import Path

import pytest

from shared.service import environment


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


def test_a_key_is_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("sk-from-a-file\n")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    assert environment()["OPENAI_API_KEY"] == "sk-from-a-file"


def test_a_file_that_is_not_there_is_named_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match=r"GATEWAY_TOKEN_FILE is '.*none', which cannot be read: FileNotFoundError"):
        environment()


def test_other_variables_that_end_so_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificates"))
    assert "SSL_CERT" not in environment()
