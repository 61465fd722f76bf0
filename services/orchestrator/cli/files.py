"""The folder of a list: whether it can be written, where it is, and whether it is complete."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

PROBE_BYTES = 4096
"""Written to see that the disk has room for anything: a block."""


def root(output: Path | None, variables: Mapping[str, str]) -> Path:
    """Where the recorder writes: just where asked, or into the folder of all runs."""
    return output or Path(variables.get("OUTPUT") or "output")


def check(output: Path | None, variables: Mapping[str, str]) -> None:
    """Raise ValueError, with a sentence for the user, unless files can be written there. Leaves nothing behind."""
    folder = root(output, variables).absolute()
    made: list[Path] = []
    try:
        for place in (*reversed(folder.parents), folder):
            if not place.is_dir():
                place.mkdir()
                made.append(place)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        name = "--output" if output else "OUTPUT"
        reason = error.strerror or type(error).__name__
        raise ValueError(f"{name}: no files can be written to {folder}: {reason}; choose another folder") from error
    finally:
        for place in reversed(made):
            with contextlib.suppress(OSError):
                place.rmdir()


def places(output: Path | None, variables: Mapping[str, str], run: str) -> list[Path]:
    """Where the recorder may have put the files: just where asked, or beside an earlier run that is there already."""
    return [*([output] if output else []), *root(output, variables).glob(f"*-{run}")]


def is_complete(folder: Path, run: str) -> bool:
    """Whether the recorder has completed the files of a run in this folder."""
    try:
        metadata = msgspec.json.decode((folder / "metadata.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return False
    return metadata.get("run") == run and bool(metadata.get("ended"))
