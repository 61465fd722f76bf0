"""The orchestrator as it is shipped, ended at one named point of its work. Nothing in the product knows of this.

    EXIT_AT=after_commit EXIT_AFTER=3 python -m tests.faults.mains

The process ends by `os._exit` at the third time it comes to that point; with VICTIM set, it kills that process instead, the
server, and goes on. `BROKEN` names a deliberately broken variant, for proof that the checker sees what it should see.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client

from services.orchestrator.decision_log import DecisionLog
from services.orchestrator.orchestrator import Orchestrator
from services.orchestrator.run import Run
from shared.bus import Bus, Unavailable
from shared.messages import Accepted

EXIT_CODE = 86
"""By which the test knows that it was this."""

POINTS = (
    "taken_over",  # the epoch is claimed, nothing rebuilt yet
    "before_decide",  # candidates are read
    "before_commit",  # decided in memory, nothing written
    "mid_batch",  # all of a batch sent but its last message, which commits it
    "after_commit",  # decisions stored, the place not moved yet
    "after_issued",  # the log says that a call may be made, the queue does not
    "after_task",  # a task is in the queue, not yet counted
    "after_spent",  # the log says what a call cost, nothing else does
    "before_finished",  # everything decided, the run's end not written
    "after_finished",  # the end written, the state not saved
)


class Point:
    """Ends the process, or its victim, when it is passed the n-th time."""

    def __init__(self, name: str, after: int, victim: int) -> None:
        self.name = name
        self._left = after
        self._victim = victim

    def passed(self) -> None:
        self._left -= 1
        if self._left != 0:
            return
        if self._victim:
            os.kill(self._victim, signal.SIGKILL)
        else:
            os._exit(EXIT_CODE)


def exit_at(point: Point) -> None:
    """Put the point into this process's orchestrator."""
    install = {
        "taken_over": _at_take_over,
        "before_decide": _at_decide,
        "mid_batch": _at_request,
        "after_task": _at_publish,
    }
    install.get(point.name, _at_commit)(point)


def _wrap(owner: type, name: str, around: Callable[[Any], Any]) -> None:
    """Put something around a method."""
    setattr(owner, name, around(getattr(owner, name)))


def _at_take_over(point: Point) -> None:
    def around(take_over: Any) -> Any:
        async def taking_over(*arguments: Any, **more: Any) -> Any:
            log = await take_over(*arguments, **more)
            point.passed()
            return log

        return taking_over

    _wrap(DecisionLog, "take_over", around)


def _at_decide(point: Point) -> None:
    def around(decide: Any) -> Any:
        def deciding(*arguments: Any, **more: Any) -> Any:
            point.passed()
            return decide(*arguments, **more)

        return deciding

    _wrap(Run, "decide", around)


def _at_commit(point: Point) -> None:
    when, _, what = point.name.partition("_")

    def concerns(entries: Any) -> bool:
        kinds = {entry.subject.split(".")[1] for entry in entries}
        return bool(kinds & ({what} if what in ("finished", "issued", "spent") else {"accepted", "duplicate"}))

    def around(commit: Any) -> Any:
        async def committing(self: Bus, entries: Any, *more: Any, **named: Any) -> Any:
            if when == "before" and concerns(entries):
                point.passed()
            sequence = await commit(self, entries, *more, **named)
            if when == "after" and concerns(entries):
                point.passed()
            return sequence

        return committing

    _wrap(Bus, "commit", around)


def _at_request(point: Point) -> None:
    def around(request: Any) -> Any:
        async def requesting(self: Client, *arguments: Any, **more: Any) -> Any:
            headers = more.get("headers") or {}
            if headers.get("Nats-Batch-Commit") and headers.get("Nats-Batch-Sequence") != "1":
                await self.flush()  # all but the last are with the server
                point.passed()
            return await request(self, *arguments, **more)

        return requesting

    _wrap(Client, "request", around)


def _at_publish(point: Point) -> None:
    def around(publish: Any) -> Any:
        async def publishing(self: Bus, subject: str, *arguments: Any, **more: Any) -> Any:
            sequence = await publish(self, subject, *arguments, **more)
            if subject.startswith("control.task."):
                point.passed()
            return sequence

        return publishing

    _wrap(Bus, "publish", around)


# ---- broken variants -------------------------------------------------------------------------------------------------


def _without_fence() -> None:
    """Does not say in whose epoch and after what it writes, and does not look whether another has taken over."""

    def around(commit: Any) -> Any:
        async def committing(self: Bus, entries: Any, *_: Any, **__: Any) -> Any:
            return await commit(self, entries)

        return committing

    def deaf(_: Any) -> Any:
        async def watching(self: Orchestrator) -> None:
            await asyncio.Event().wait()

        return watching

    _wrap(Bus, "commit", around)
    _wrap(Orchestrator, "watch_for_successor", deaf)


def _writing_blindly() -> None:
    """Loses the answer to every fourth batch, and writes it again without a look at the log."""
    count = 0

    def around(commit: Any) -> Any:
        async def committing(self: Bus, entries: Any, fence: int = 0, **_: Any) -> Any:
            nonlocal count
            sequence = await commit(self, entries, fence)
            if any(isinstance(entry.message, Accepted) for entry in entries):
                count += 1
                if count % 4 == 0:
                    raise Unavailable("the answer was lost")
            return sequence

        return committing

    def never(_: Any) -> Any:
        async def unstored(self: DecisionLog, batch: Any) -> Any:
            return batch

        return unstored

    _wrap(Bus, "commit", around)
    _wrap(DecisionLog, "_unstored", never)


def _moving_on_early() -> None:
    """Moves its place before the decisions are stored: holds one batch back, writes the next, and dies."""
    count = 0

    def around(append: Any) -> Any:
        async def appending(self: DecisionLog, entries: Any) -> None:
            nonlocal count
            if any(isinstance(entry.message, Accepted) for entry in entries):
                count += 1
                if count == 4:
                    return  # "it will be written soon"
            await append(self, entries)
            if count == 5:
                os._exit(EXIT_CODE)

        return appending

    _wrap(DecisionLog, "append", around)


def _losing_answers() -> None:
    """No breakage but a fault: the answer to each second task is lost, and the task done before one is sure of it."""
    count = 0

    def around(publish: Any) -> Any:
        async def publishing(self: Bus, subject: str, *arguments: Any, **more: Any) -> Any:
            nonlocal count
            sequence = await publish(self, subject, *arguments, **more)
            if subject.startswith("control.task."):
                count += 1
                if count % 2:
                    await asyncio.sleep(1.5)  # until it is reported
                    raise Unavailable("the answer was lost")
            return sequence

        return publishing

    _wrap(Bus, "publish", around)


BROKEN: dict[str, Callable[[], None]] = {
    "no_fence": _without_fence,
    "blind_writes": _writing_blindly,
    "early_place": _moving_on_early,
    "lost_answers": _losing_answers,
}


def main() -> None:
    from services.orchestrator.__main__ import main as orchestrator

    if name := os.environ.get("EXIT_AT"):
        exit_at(Point(name, int(os.environ.get("EXIT_AFTER", "1")), int(os.environ.get("VICTIM", "0"))))
    if name := os.environ.get("BROKEN"):
        BROKEN[name]()
    orchestrator()


if __name__ == "__main__":
    main()
