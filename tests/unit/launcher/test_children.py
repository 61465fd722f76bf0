"""A supervised process is started again when it ends, and gone when it is stopped."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.launcher import children
from services.launcher.children import Child, Program
from services.launcher.fleet import Fleet
from services.launcher.folder import Folder
from services.launcher.locks import hold, holder
from tests.conftest import eventually

SAY_AND_WAIT = "import signal, sys; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SAY_AND_WAIT
WATCH_INPUT = "import sys; print('up', flush=True); sys.stdin.read(); print('input closed', flush=True)"
FAIL = "raise SystemExit('it cannot')"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.make()
    return folder


@pytest.fixture
async def child(folder: Folder) -> AsyncIterator[Callable[[str], Child]]:
    """Starts Python code as a child, and stops it after the test."""
    started: list[Child] = []

    def start(code: str) -> Child:
        child = Child(Program("test", (sys.executable, "-c", code)), folder, lambda: None)
        started.append(child)
        child.start()
        return child

    yield start
    for each in started:
        await each.stop()


def says(folder: Folder, text: str) -> Callable[[], bool]:
    return lambda: text in folder.log("test").read_text() if folder.log("test").exists() else False


async def test_a_killed_child_comes_back_as_another_process(child: Callable[[str], Child], folder: Folder) -> None:
    it = child(SAY_AND_WAIT)
    await eventually(says(folder, "up"))
    first = it.pid

    os.kill(first, signal.SIGKILL)

    await eventually(lambda: it.restarts == 1 and it.state == "starting" and it.pid != first)
    assert holder(folder.child_lock("test")) == it.pid


async def test_a_child_that_fails_at_once_is_started_ever_more_rarely(child: Callable[[str], Child], folder: Folder) -> None:
    it = child(FAIL)

    began = asyncio.get_running_loop().time()
    await eventually(lambda: it.failures == 3)

    assert asyncio.get_running_loop().time() - began >= children.FIRST_DELAY * 3  # once, then twice the first delay
    assert folder.last_words("test") == "it cannot"
    assert it.state == "waiting"


async def test_a_program_that_does_not_exist_is_tried_again(folder: Folder) -> None:
    it = Child(Program("test", ("/does/not/exist",)), folder, lambda: None)
    it.start()

    await eventually(lambda: it.failures == 2)

    await it.stop()
    assert it.state == "stopped"


async def test_a_stopped_child_is_gone_and_stays_so(child: Callable[[str], Child], folder: Folder) -> None:
    it = child(SAY_AND_WAIT)
    await eventually(says(folder, "up"))

    await it.stop()

    assert holder(folder.child_lock("test")) is None
    assert (it.state, it.pid, it.restarts) == ("stopped", 0, 0)


async def test_a_child_that_ignores_the_request_is_killed(
    child: Callable[[str], Child], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "STOP_SECONDS", 0.2)
    it = child(STUBBORN)
    await eventually(says(folder, "up"))

    await it.stop()

    assert holder(folder.child_lock("test")) is None


async def test_a_child_stopped_before_it_has_started_never_runs_on(child: Callable[[str], Child], folder: Folder) -> None:
    it = child(SAY_AND_WAIT)

    await it.stop()

    assert it.state == "stopped"
    assert holder(folder.child_lock("test")) is None


async def test_a_child_sees_its_input_open_until_the_launcher_goes(child: Callable[[str], Child], folder: Folder) -> None:
    child(WATCH_INPUT)
    await eventually(says(folder, "up"))
    assert not says(folder, "input closed")()


async def test_a_child_is_not_started_twice(child: Callable[[str], Child], folder: Folder) -> None:
    """A process of the same name that is still there (its launcher was killed) keeps a second one from starting."""
    lock = hold(folder.child_lock("test"))
    assert lock is not None
    it = child(SAY_AND_WAIT)
    await eventually(lambda: it.failures >= 1)
    assert it.pid == 0

    os.close(lock)

    await eventually(lambda: it.pid != 0)


async def test_a_child_whose_lock_has_no_room_is_tried_again(folder: Folder) -> None:
    (folder.root / "children").rmdir()
    it = Child(Program("test", (sys.executable, "-c", SAY_AND_WAIT)), folder, lambda: None)
    it.start()
    await eventually(lambda: it.failures >= 1)

    folder.make()

    await eventually(lambda: it.pid)
    assert holder(folder.child_lock("test")) == it.pid
    await it.stop()


async def test_a_child_that_cannot_be_named_is_still_watched(
    child: Callable[[str], Child], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system may need new room even to write over what is there."""

    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(children, "name_holder", no_room)
    it = child(SAY_AND_WAIT)
    first = await eventually(lambda: it.pid)

    os.kill(first, signal.SIGKILL)
    await eventually(lambda: it.restarts == 1 and it.state == "starting" and it.pid != first)
    await it.stop()

    assert holder(folder.child_lock("test")) is None


async def test_children_stop_in_the_order_that_loses_nothing(folder: Folder) -> None:
    fleet = Fleet(folder)
    code = "import signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); print('up', flush=True)"
    code += "; signal.sigwait([signal.SIGTERM]); open(sys.argv[1], 'a').write(sys.argv[2])"
    order = folder.root / "order"
    names = ["nats", "recorder", "gateway", "local-model", "producer-random-1", "orchestrator", "producer-local-1"]
    for name in names:
        fleet.add(Program(name, (sys.executable, "-c", code, str(order), name + "\n"))).start()
    await eventually(lambda: all(folder.log(n).exists() and folder.log(n).read_text() for n in names))

    await fleet.remove_all()

    stopped = order.read_text().split()
    assert sorted(stopped[:2]) == ["producer-local-1", "producer-random-1"]
    assert stopped[2:] == ["gateway", "orchestrator", "recorder", "local-model", "nats"]
    assert fleet.children == {}


async def test_a_restart_that_was_asked_for_comes_soon_and_counts_as_no_failure(
    child: Callable[[str], Child], folder: Folder
) -> None:
    """A server that is started again and again while its disk is full must be back at once when there is room."""
    it = child(SAY_AND_WAIT)
    for number in range(1, 5):
        await eventually(says(folder, "up\n" * number))
        assert it.failures <= 1
        it.restart()
    await eventually(lambda: it.restarts == 4, children.FIRST_DELAY * 25)
