"""How far the log needs no reading any more, kept beside the runs' folders."""

import msgspec
from msgspec import Struct

from services.recorder.folder import Folder
from shared.bus import StreamHead

NAME = ".recorder.json"
MAX_BYTES = 4096


class Cursor(Struct, frozen=True):
    """Every run whose first entry has a sequence up to this one is complete. A log made anew has another epoch."""

    epoch: str
    sequence: int


def load(root: Folder, log: StreamHead) -> Cursor:
    """The cursor of this log, or its beginning: to read too much again is harmless, complete runs are left alone."""
    beginning = Cursor(log.epoch, 0)
    try:
        with root.open(NAME) as file:
            cursor = msgspec.json.decode(file.read(MAX_BYTES), type=Cursor)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return beginning
    # A log that ends before the cursor lost its tail and gives the same sequences out again.
    return cursor if cursor.epoch == log.epoch and cursor.sequence <= log.last else beginning


def save(root: Folder, cursor: Cursor) -> None:
    """Write the cursor. Raises OSError."""
    root.replace(NAME, [msgspec.json.encode(cursor) + b"\n"])
