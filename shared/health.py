"""Whether a service in a container is well: it says so in a file, and `python -m shared.health` reads it there.

A file, because most services have no port, and a check that opens a connection of its own every few seconds costs more than
the service at rest. Nothing heavy is imported: a check takes 30 ms.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

VARIABLE = "HEALTH_FILE"
"""Names the file; without it nothing is written."""

BEAT_SECONDS = 1.0

SILENT_SECONDS = 15.0
"""A loop that has not come round for this long hangs; the longest known stall, a large log read back, takes a few seconds."""

READY = "ready"
WAITING = "waiting"


async def beat(path: Path, ready: Callable[[], bool]) -> None:
    """Write once a second whether the service is ready, for ever."""
    import asyncio  # a check needs none of it

    fresh = path.with_suffix(".new")
    while True:
        fresh.write_text(READY if ready() else WAITING)
        fresh.replace(path)  # at once, so that a check never finds half of it
        await asyncio.sleep(BEAT_SECONDS)


def problem(path: Path, moment: float, *, only_alive: bool = False) -> str:
    """Why a service counts as ill, in words; empty if it is well.

    `only_alive` asks no more than that it runs: one that waits for NATS would not get well by being started anew.
    """
    try:
        age, state = moment - path.stat().st_mtime, path.read_text()
    except FileNotFoundError:
        return "has not started"
    if age > SILENT_SECONDS:
        return f"hangs: no sign of life for {age:.0f} s"
    return "" if only_alive or state == READY else "waits for NATS or its streams"


def main() -> None:
    """Exit with 0 if the service is well, else with 1 and why; `alive` as an argument asks only whether it runs."""
    sys.exit(problem(Path(os.environ[VARIABLE]), time.time(), only_alive="alive" in sys.argv[1:]) or 0)


if __name__ == "__main__":
    main()
