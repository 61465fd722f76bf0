"""The `.env` file: whose is obeyed, and what is said of one that is not.

It names where keys are sent, so one that somebody else left in a folder above must not be taken for the user's own.
"""

import os
import stat
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TextIO

from dotenv import dotenv_values

NAME = ".env"

PROJECT = Path(__file__).resolve().parents[1]
"""Where the project is checked out."""

ROOT = 0

_said: set[str] = set()
"""Sentences that this process said: it reads the file more than once."""


class _NotTrusted(Exception):
    """Raised when a file is not the user's own; the text says why."""


def read(secrets: Collection[str]) -> dict[str, str]:
    """The variables of the current folder's file; without it, those of the project's if the current folder is in the project.

    A file is ignored, with one sentence on standard error, unless it belongs to the user or root and nobody else may write to
    it. It is also said when others may read one that holds any of `secrets`.
    """
    for file in _places():
        try:
            if not file.is_file():  # a pipe would be waited for
                continue
            with file.open(encoding="utf-8") as opened:
                about = _own(file, opened)
                found = {name: value for name, value in dotenv_values(stream=opened).items() if value is not None}
        except (_NotTrusted, OSError, UnicodeDecodeError) as error:
            _say(f"{file} is ignored: {error}.")
            continue
        held = sorted(name for name in secrets if found.get(name))
        if held and about.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            _say(f"{file} holds {' and '.join(held)}, and others on this machine may read it: chmod 600 {file}")
        return found
    return {}


def _places() -> Iterator[Path]:
    here = Path.cwd()
    yield here / NAME
    if PROJECT in here.parents:
        yield PROJECT / NAME


def _own(file: Path, opened: TextIO) -> os.stat_result:
    """What the system says of an open file. Raises _NotTrusted unless it, and the link that led to it, are the user's own."""
    about = os.fstat(opened.fileno())
    if not {about.st_uid, file.lstat().st_uid} <= {os.geteuid(), ROOT}:
        raise _NotTrusted("it belongs to somebody else")
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _NotTrusted(f"others may write to it; if what it says is yours, chmod go-w {file}")
    return about


def _say(sentence: str) -> None:
    if sentence not in _said:
        _said.add(sentence)
        sys.stderr.write(sentence + "\n")
