"""Whose a key file may be, and who else may read it."""

import os
from pathlib import Path

import nkeys  # type: ignore[import-untyped]  # it has no types
import pytest

from shared import nkey


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    file = tmp_path / "role.nk"
    file.write_bytes(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER))
    return file


def test_a_key_of_ones_own_is_ones_own(seed: Path) -> None:
    seed.chmod(0o600)
    nkey.check(str(seed))
    seed.chmod(0o640)
    with pytest.raises(SystemExit, match="is open to others"):
        nkey.check(str(seed))


def test_a_key_that_root_hands_out_may_be_read_by_the_group(seed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: seed.stat().st_uid + 1)
    seed.chmod(0o440)
    nkey.check(str(seed))
    seed.chmod(0o444)
    with pytest.raises(SystemExit, match="is open to others"):
        nkey.check(str(seed))
