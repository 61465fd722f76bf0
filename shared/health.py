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
WIDTH = max(len(READY), len(WAITING))


async def beat(path: Path, ready: Callable[[], bool]) -> None:
    """Write once a second whether the service is ready, for ever; says once when that fails, and tries again."""
    import asyncio  # a check needs none of it

    import structlog

    log = structlog.get_logger()
    failed = False
    while True:
        try:
            _write(path, READY if ready() else WAITING)
            failed = False
        except OSError as error:
            if not failed:
                log.error("health.not_written", file=str(path), error=str(error), hint="a check will call this service hung")
            failed = True
        await asyncio.sleep(BEAT_SECONDS)


def _write(path: Path, state: str) -> None:
    """In place and in one step: a check never finds half of it, and a disk that filled up meanwhile takes it all the same."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.pwrite(file, state.ljust(WIDTH).encode(), 0)
    finally:
        os.close(file)


def problem(path: Path, moment: float, *, only_alive: bool = False) -> str:
    """Why a service counts as ill, in words; empty if it is well.

    `only_alive` asks no more than that it runs: one that waits for NATS would not get well by being started anew.
    """
    try:
        age, state = moment - path.stat().st_mtime, path.read_text().strip()
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
