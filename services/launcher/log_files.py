"""The log files of a stack: bounded while it runs, and shown together."""

import shutil
import sys
import time
from pathlib import Path

from services.launcher.folder import Folder
from shared.terminal import printable

LOG_BYTES = 2 * 1024 * 1024
"""Of one log, and as much of its predecessor: 99 producers then fill at most 400 MB."""

LAST_BYTES = 8 * 1024
"""Of each log that is shown at first."""

POLL_SECONDS = 0.3


def trim(folder: Folder) -> None:
    """Move the content of logs that are too long to `<name>.log.1`.

    In place, since the children keep their files open; what is written between the two steps is lost.
    """
    for path in folder.logs.glob("*.log"):
        if path.stat().st_size > LOG_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            with path.open("r+b") as file:
                file.truncate(0)


def show(folder: Folder, follow: bool) -> None:
    """Print the end of every log, and what is added as long as `follow` says so. Ends at Ctrl-C."""
    places: dict[Path, int] = {}
    while True:
        for path in sorted(folder.logs.glob("*.log")):
            places[path] = _print_from(path, places.get(path))
        sys.stdout.flush()
        if not follow:
            return
        time.sleep(POLL_SECONDS)


def _print_from(path: Path, place: int | None) -> int:
    """Print the whole lines of a log after a place; returns where they end. None: only its last `LAST_BYTES`."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if place is None:
            place = max(0, size - LAST_BYTES)
        if place > size:
            place = 0  # it was trimmed
        file.seek(place)
        text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").split("\n")[:-1]:
        sys.stdout.write(f"{path.stem:<20} {printable(line)}\n")
    return place + len(whole)
