"""What `make up` says while one waits for it."""

from pathlib import Path

import pytest

from services.launcher.folder import Folder
from services.launcher.up import announce_comparison


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


def test_a_first_start_has_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce_comparison(Folder(tmp_path))

    assert capsys.readouterr().out == ""
