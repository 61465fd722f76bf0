"""One list from start to end, with whatever had to be started for it."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from services.orchestrator.cli import files, logs, progress
from services.orchestrator.cli.stack import Stack, StackError
from services.orchestrator.cli.words import say
from shared import streams, subjects
from shared.bus import Access, Bus, BusError, Missing, connect, decode
from shared.messages import (
    Accepted,
    ChangeRun,
    Finished,
    Presence,
    Refusal,
    RunSpec,
    RunState,
    Snapshot,
    StartRun,
    new_run_id,
)
from shared.providers import problem_of
from shared.roles import GATEWAY
from shared.service import Settings, end

ASK_SECONDS = 20.0
"""How long an orchestrator that has just been started may take to answer."""

FILES_SECONDS = 20.0
"""How long the recorder may take to complete the files after the run has ended."""

NOTICEABLE_SECONDS = 2.0
"""After which it is said that files are waited for."""

PRESENCE_SECONDS = 1.5
"""How long producers on a bus of one's own are listened for; they announce themselves once a second."""

TIDY_SECONDS = 1.2
"""For tidying up when the user leaves at once; what we started ends by itself without us."""

LEAVE_SECONDS = 1.7
"""After which we are gone, whatever still waits: a server that hangs, a disk that does not answer."""

PING = "$SRV.PING.orchestrator"


class Left(Exception):
    """Raised when the user left at once; the exit code is as shells use it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class _Plan(NamedTuple):
    """What to start: on a NATS that is joined only what is not there."""

    services: list[str]
    providers: tuple[str, ...]
    producers: int
    """In all, of these providers."""
    relies_on_others: bool = False
    """Whether the run has a provider that only producers of others work for."""


class Session:
    """One run on the command line.

    A signal while there is a run ends it in good order; a second one, or one at any other moment, leaves at once.
    """

    def __init__(self, spec: RunSpec, output: Path | None, settings: Settings, variables: Mapping[str, str]) -> None:
        self.texts: list[str] = []
        """What is on the list so far, in its order: it goes to the user when the files cannot hold it."""
        self._spec = spec
        self._run = new_run_id()
        self._output = output
        self._settings = settings
        self._variables = variables
        self._joined = variables.get("NATS_URL")
        self._interrupted = asyncio.Event()
        self._leaving = asyncio.Event()
        self._signal = 0
        self._running = False
        """Whether there is a run, or may be one, that can be ended in good order."""
        self._started = asyncio.Event()

    async def run(self) -> tuple[Finished, Path | None]:
        """Run it; returns how it ended and the folder of its files, None if they are not complete.

        Raises StackError, BusError, Denied, or Left.
        """
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal, number)
        work, leaving = asyncio.ensure_future(self._work()), asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            work.cancel()
            await asyncio.wait({work}, timeout=TIDY_SECONDS)
            raise Left(self._signal)
        finally:
            leaving.cancel()
            for number in signals:
                loop.remove_signal_handler(number)  # what is printed from here on may wait for its reader

    def _on_signal(self, number: int) -> None:
        self._signal = number
        if self._running and not self._interrupted.is_set():
            self._interrupted.set()
            return
        self._leaving.set()
        last_resort = threading.Timer(LEAVE_SECONDS, os._exit, (128 + number,))
        last_resort.daemon = True
        last_resort.start()

    async def _work(self) -> tuple[Finished, Path | None]:
        try:
            return await self._from_plan_to_files()
        except SystemExit as error:  # a key file that cannot be used, say: out of a task it would be followed by a traceback
            raise StackError(str(error), 2) from error

    async def _from_plan_to_files(self) -> tuple[Finished, Path | None]:
        plan = await self._plan()
        stack = await Stack.start(plan.services, plan.providers, plan.producers, self._more_variables())
        showing = asyncio.ensure_future(self._show_logs(stack))
        in_order = False
        try:
            bus = await connect(stack.nats_url, "cli", self._access(stack.keys))
            try:
                if plan.relies_on_others and "orchestrator" in plan.services:
                    await asyncio.sleep(PRESENCE_SECONDS)  # it has just been started, and hears of them as we did
                done = await self._until_done(stack, bus)
            finally:
                await bus.close()
            in_order = True
            return done
        finally:
            await stack.stop(keep_logs=not in_order and not self._leaving.is_set())  # an error names the folder of the logs
            showing.cancel()

    def _access(self, keys: dict[str, str]) -> Access:
        """A client's: with the keys of the stack, or those of our own settings on a NATS that was joined."""
        nkey = keys.get("NATS_NKEY", self._settings.nats_nkey)
        known = keys.get("ORCHESTRATOR_KEY", self._settings.orchestrator_key)
        return Access(GATEWAY, nkey, self._settings.nats_ca, known, patient=False)

    async def _plan(self) -> _Plan:
        """What to start. Raises StackError when none of the run's providers can be asked."""
        names = self._spec.providers
        if self._joined is None:
            return _Plan(["nats", "orchestrator", "recorder"], names, self._spec.producers)
        bus = await connect(self._joined, "cli", self._access({}))
        try:
            services = ["recorder"]  # its own one, for the folder that was asked for
            try:
                await bus.ask(PING, ChangeRun(run=self._run), timeout=1)
            except BusError:
                services.insert(0, "orchestrator")
            live = await self._live(bus)
        finally:
            await bus.close()
        problems = {name: problem_of(name, self._variables) for name in names}
        here = tuple(name for name in names if not problems[name])
        if not here and not live:
            reasons = "; ".join(problems.values())
            raise StackError(f"no producer on this NATS offers {', '.join(names)}, and none can be started here: {reasons}", 2)
        if not here:
            return _Plan(services, ("random",), 0, relies_on_others=True)  # none: the launcher must be named one
        missing = max(0, self._spec.producers - sum(map(len, live.values())))
        return _Plan(services, here, missing, relies_on_others=bool(live.keys() - set(here)))

    async def _live(self, bus: Bus) -> dict[str, set[str]]:
        """The producers that are there, by those providers of the run that they work for."""
        live: dict[str, set[str]] = {}
        enough = asyncio.Event()

        async def heard(presence: Presence) -> None:
            if presence.provider in self._spec.providers and presence.state != "leaving":
                live.setdefault(presence.provider, set()).add(presence.producer)
                if sum(map(len, live.values())) >= self._spec.producers:
                    enough.set()

        await bus.listen(subjects.ALL_PRESENCE, Presence, heard)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), PRESENCE_SECONDS)
        return live

    def _more_variables(self) -> dict[str, str]:
        into = {"RECORD_INTO": str(self._output.absolute())} if self._output else {}
        return {"RECORD_RUN": self._run, "LOG_LEVEL": self._settings.log_level, **into}

    async def _show_logs(self, stack: Stack) -> None:
        if self._settings.log_level in ("debug", "trace"):
            await logs.show(stack.folder / "log")

    async def _until_done(self, stack: Stack, bus: Bus) -> tuple[Finished, Path | None]:
        conducting = asyncio.ensure_future(self._conduct(bus))
        others = [asyncio.ensure_future(w) for w in (stack.ended(), self._stop_on_interrupt(bus))]
        try:
            done, _ = await asyncio.wait({conducting, *others}, return_when=asyncio.FIRST_COMPLETED)
            if conducting in done:
                return conducting.result()
            for task in done:
                task.result()
            raise AssertionError("the others end only by an error")
        finally:
            await end([conducting, *others])

    async def _conduct(self, bus: Bus) -> tuple[Finished, Path | None]:
        shown = progress.choose(self._spec.topic)
        try:
            await self._start(bus)

            async def on_snapshot(snapshot: Snapshot) -> None:
                shown.snapshot(snapshot)

            await bus.listen(subjects.snapshot(self._run), Snapshot, on_snapshot)
            finished = await self._follow(bus, shown)
            self._running = False
            return finished, await self._files()
        finally:
            shown.close()

    async def _start(self, bus: Bus) -> None:
        """Ask for the run, again while the orchestrator is on its way up. Raises StackError when it refuses."""
        deadline = asyncio.get_running_loop().time() + ASK_SECONDS
        while True:
            self._running = True  # from when it may have been heard
            try:
                answer = await bus.ask(subjects.START_RUN, StartRun(spec=self._spec, run=self._run))
                break
            except Missing:
                self._running = False  # nobody heard it
                if self._interrupted.is_set():
                    raise Left(self._signal) from None
                if asyncio.get_running_loop().time() > deadline:
                    raise StackError(f"no orchestrator answered within {ASK_SECONDS:g} seconds") from None
                await asyncio.sleep(0.05)
        started = msgspec.json.decode(answer, type=dict[str, Any])
        if "error" in started:
            self._running = False
            refusal = decode(Refusal, answer)
            raise StackError(refusal.error, 2 if refusal.code == "invalid" else 1)
        decode(RunState, answer)
        self._started.set()

    async def _follow(self, bus: Bus, shown: progress.Progress) -> Finished:
        async for batch in bus.follow(streams.RESULTS.name or "", subjects.decisions_of_run(self._run)):
            for stored in batch:
                if stored.subject.startswith("attributes.accepted."):
                    attribute = decode(Accepted, stored.data)
                    self.texts.append(attribute.text)
                    shown.accepted(attribute)
                elif stored.subject.startswith("attributes.finished."):
                    return decode(Finished, stored.data)
        raise AssertionError("a stream is followed for ever")

    async def _stop_on_interrupt(self, bus: Bus) -> None:
        """Have the run stopped once a signal asked for it; never returns."""
        await self._interrupted.wait()
        say("Ending the run; once more to leave at once.")
        await self._started.wait()  # before, there is no run to stop, and it would start all the same
        stopped = False
        while True:
            if not stopped:
                with contextlib.suppress(BusError):
                    await bus.ask(subjects.STOP_RUN, ChangeRun(run=self._run))
                    stopped = True
            await asyncio.sleep(0.2)

    async def _files(self) -> Path | None:
        """The folder with the run's files, once the recorder has completed them; None if it did not in time."""
        loop = asyncio.get_running_loop()
        began, said = loop.time(), False
        while loop.time() < began + FILES_SECONDS:
            for folder in files.places(self._output, self._variables, self._run):
                if files.is_complete(folder, self._run):
                    return folder
            if not said and loop.time() > began + NOTICEABLE_SECONDS:
                said = True
                say(f"The run is over; waiting for its files in {files.root(self._output, self._variables)}. Ctrl-C leaves.")
            await asyncio.sleep(0.05)
        return None
