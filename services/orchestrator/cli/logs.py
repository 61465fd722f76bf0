"""Shows the services' logs on standard error while a list is made, for `--log-level debug` and `trace`."""

import asyncio
import sys
from pathlib import Path

from shared.terminal import printable

LOOK_SECONDS = 0.25


async def show(folder: Path) -> None:
    """Copy what is added to the log files in `folder`, line by line, for ever."""
    places: dict[Path, int] = {}
    while True:
        _copy_new(folder, places)
        await asyncio.sleep(LOOK_SECONDS)


def _copy_new(folder: Path, places: dict[Path, int]) -> None:
    for path in sorted(folder.glob("*.log")):
        places[path] = _copy_from(path, places.get(path, 0))


def _copy_from(path: Path, place: int) -> int:
    with path.open("rb") as file:
        file.seek(place)
        added = file.read()
    whole_lines = added[: added.rfind(b"\n") + 1]
    sys.stderr.write(printable(whole_lines.decode(errors="replace"), keep="\n"))
    sys.stderr.flush()
    return place + len(whole_lines)
