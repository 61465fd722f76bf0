"""The lock, not the number in the file, says which process is alive."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.launcher import locks

SLEEPER = "import signal, sys; sys.stdout.write('up'); sys.stdout.flush(); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


def left_behind(path: Path, program: str) -> subprocess.Popen[bytes]:
    """A process that holds the lock at `path`, as a child of a launcher that is gone."""
    descriptor = locks.hold(path)
    assert descriptor is not None
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, pass_fds=(descriptor,))
    locks.name_holder(descriptor, process.pid)
    os.close(descriptor)
    assert process.stdout is not None
    assert process.stdout.read(2) == b"up"
    process.stdout.close()
    threading.Thread(target=process.wait).start()  # an orphan is reaped by init
    return process


def test_a_held_lock_is_refused_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    descriptor = locks.hold(path)
    assert descriptor is not None
    assert locks.holder(path) == 0  # it has not said its name yet

    locks.name_holder(descriptor, 4711)

    assert locks.holder(path) == 4711
    assert locks.hold(path) is None
    os.close(descriptor)


def test_a_stale_file_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text(str(os.getpid()))

    assert locks.holder(path) is None
    assert locks.end_holders([path]) == []


def test_nobody_holds_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert locks.holder(tmp_path / "none.lock") is None


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text("123456")
    descriptor = locks.hold(path)
    assert descriptor is not None

    locks.name_holder(descriptor, 78)

    assert locks.holder(path) == 78
    os.close(descriptor)


def test_naming_a_holder_needs_no_room(tmp_path: Path) -> None:
    """On a full disk a child that has just been started can still be named."""
    path = tmp_path / "a.lock"
    descriptor = locks.hold(path)
    assert descriptor is not None
    room = os.fstat(descriptor).st_size

    locks.name_holder(descriptor, 2**22)

    assert os.fstat(descriptor).st_size == room > 0
    os.close(descriptor)


def test_a_process_left_behind_is_ended(tmp_path: Path) -> None:
    process = left_behind(tmp_path / "a.lock", SLEEPER)

    assert locks.end_holders([tmp_path / "a.lock", tmp_path / "none.lock"]) == [process.pid]
    assert locks.holder(tmp_path / "a.lock") is None


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "END_SECONDS", 0.2)
    process = left_behind(tmp_path / "a.lock", STUBBORN)

    assert locks.end_holders([tmp_path / "a.lock"]) == [process.pid]
    assert locks.holder(tmp_path / "a.lock") is None
