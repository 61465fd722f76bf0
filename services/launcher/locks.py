"""Files that say which process is alive.

The lock, not the number in the file, is the proof: the system lets go of it when the process ends, however it ends, so
neither a stale file nor a process id that was given to somebody else is ever believed.
"""

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

END_SECONDS = 5.0
"""How long a process left behind may take to stop before it is killed."""

ID_BYTES = 20
"""Room for a process id. It is taken before there is a process: on a full disk, naming one must not need any."""

TRIES = 10
"""A look at the lock (see `holder`) holds it too, for microseconds: one refusal does not mean a live process."""


def hold(path: Path) -> int | None:
    """Take the lock and return its descriptor, or None if a live process has it. It is held until the descriptor closes.

    Raises OSError when there is no room for its file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.pwrite(descriptor, b" " * ID_BYTES, 0)  # the last holder's id is no longer true
                return descriptor
            time.sleep(0.01)
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def name_holder(descriptor: int, pid: int) -> None:
    """Write down which process has the lock."""
    os.pwrite(descriptor, str(pid).encode().ljust(ID_BYTES), 0)


def holder(path: Path) -> int | None:
    """The process that has the lock, or None if none does. 0 if it has not written its id yet."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with contextlib.closing(os.fdopen(descriptor, "rb")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read(ID_BYTES).strip() or 0)
    return None


def end_holders(paths: list[Path]) -> list[int]:
    """Stop the processes that have these locks, by force after `END_SECONDS`; returns their ids.

    Raises TimeoutError if one is still there after that.
    """
    held = {path: pid for path in paths if (pid := holder(path)) is not None}
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for path in paths:
            if pid := holder(path):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
        if _released(paths):
            return list(held.values())
    raise TimeoutError(
        f"a process that an earlier start left behind does not end: {[p for p in paths if holder(p) is not None]}"
    )


def _released(paths: list[Path]) -> bool:
    deadline = time.monotonic() + END_SECONDS
    while any(holder(path) is not None for path in paths):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
