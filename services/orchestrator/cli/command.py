"""Makes one list: from the flags to the files."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from services.orchestrator import forecast, routing
from services.orchestrator.cli import logs, progress
from services.orchestrator.cli.stack import Stack, StackError
from services.orchestrator.prices import Prices, missing_line
from services.orchestrator.routing import Route
from shared import providers, streams, subjects
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
from shared.roles import GATEWAY
from shared.service import Settings, end, environment, start_logging

ASK_SECONDS = 20.0
"""How long an orchestrator that has just been started may take to answer."""

FILES_SECONDS = 20.0
"""How long the recorder may take to complete the files after the run has ended."""

PRESENCE_SECONDS = 1.5
"""How long producers on a bus of one's own are listened for; they announce themselves once a second."""

CODE_INTERRUPTED = 130
"""Exit code after a second Ctrl-C, as shells use it."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the flags say."""

    topic: str
    producers: int
    iterations: int | None
    provider: str
    output: Path | None
    request_size: int
    max_items: int | None
    max_seconds: float | None
    max_usd: float | None
    max_tokens: int | None
    max_calls: int | None
    dedupe: str
    routing_strategy: str
    routing_config: str
    dry_run: bool
    seed: int
    objective: str
    facets: str
    stop_below: float
    strategy: str
    json: bool


async def make_list(wish: Wish, settings: Settings) -> int:
    """Make the list and return the exit code: 0 done (by a limit or by Ctrl-C), 1 failed, 2 the flags are wrong."""
    start_logging("orchestrator", "warn" if settings.log_level == "info" else settings.log_level)
    variables = environment()
    try:
        spec = specify(wish, _providers(wish, variables))
        prices = Prices.load(Path(variables["PRICES"]) if variables.get("PRICES") else None)
        routes = _routes(spec, variables)
        if wish.dry_run:
            found = forecast.forecast(spec, routes, prices)
            print(msgspec.json.encode(found).decode() if wish.json else "\n".join(forecast.in_words(spec, found)))
            return 0
        _check_prices(spec, routes, prices)
    except ValueError as error:
        return _fail(str(error), 2)
    if wish.provider == "env" and not providers.with_keys(variables):
        _say("No API key is set, so the bundled local model is used; --provider random needs no model at all.")
    session = _Session(spec, wish.output, settings, joined=variables.get("NATS_URL"))
    try:
        finished, folder = await session.run()
    except StackError as error:
        return _fail(str(error), 1)
    except BusError as error:
        return _fail(f"the bus failed: {error}", 1)
    except KeyboardInterrupt:
        return CODE_INTERRUPTED
    _summarise(spec, finished, folder, as_json=wish.json)
    return 1 if finished.status == "failed" else 0


def _providers(wish: Wish, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The providers of the run: those of the routes if there are any, else those of `--provider`. Raises ValueError."""
    if not wish.routing_strategy and not wish.routing_config:
        return providers.resolve(wish.provider, variables)
    if not wish.routing_strategy or not wish.routing_config:
        raise ValueError("--routing-strategy and --routing-config belong together: give both or none")
    _, routes = routing.parse(wish.routing_strategy, wish.routing_config)
    return providers.resolve(",".join(r.provider for r in routes), variables)


def _routes(spec: RunSpec, variables: Mapping[str, str]) -> list[Route]:
    """The routes of the run, each with its model."""
    if not spec.routing_strategy:
        return [Route(p, model) for p in spec.providers for model in providers.models_of(p, variables)]
    _, routes = routing.parse(spec.routing_strategy, spec.routing_config)
    return [Route(r.provider, r.model or providers.models_of(r.provider, variables)[0], r.weight) for r in routes]


def _check_prices(spec: RunSpec, routes: list[Route], prices: Prices) -> None:
    """Raise ValueError when a dollar budget meets a model without a price, before anything is started."""
    unpriced = [r for r in routes if prices.of(r.provider, r.model) is None]
    if spec.max_usd is not None and unpriced:
        lines = "; ".join(missing_line(r.provider, r.model) for r in unpriced)
        raise ValueError(f"--max-usd needs the price of every model; add to a file and name it in PRICES: {lines}")


def specify(wish: Wish, names: tuple[str, ...]) -> RunSpec:
    """The run that the flags mean. Raises ValueError with the flag's name and what is wrong with it."""
    fields: dict[str, Any] = {f: getattr(wish, f) for f in RunSpec.__struct_fields__ if f != "providers"}
    try:
        return msgspec.convert({**fields, "providers": names}, RunSpec)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        flag = f"--{place.rstrip('`').replace('_', '-')}: " if place else ""
        raise ValueError(flag + reason) from error


class _Session:
    """One list from start to end, with whatever had to be started for it."""

    def __init__(self, spec: RunSpec, output: Path | None, settings: Settings, joined: str | None) -> None:
        self._spec = spec
        self._run = new_run_id()
        self._output = output
        self._settings = settings
        self._joined = joined
        self._interrupted = asyncio.Event()
        self._aborted = asyncio.Event()
        self._started = asyncio.Event()

    async def run(self) -> tuple[Finished, Path | None]:
        """Run it; returns how it ended and the folder of its files. Raises StackError, BusError, KeyboardInterrupt."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        services, producers = await self._missing()
        stack = await Stack.start(services, self._spec.providers, producers, self._variables())
        showing = asyncio.ensure_future(self._show_logs(stack))
        in_order = False
        try:
            bus = await connect(stack.nats_url, "cli", self._access(stack.keys))
            try:
                done = await self._until_done(stack, bus)
            finally:
                await bus.close()
            in_order = True
            return done
        finally:
            await stack.stop(keep_logs=not in_order)  # an error names the folder of the logs
            showing.cancel()

    def _access(self, keys: dict[str, str]) -> Access:
        """A client's: with the keys of the stack, or those of our own settings on a NATS that was joined."""
        nkey = keys.get("NATS_NKEY", self._settings.nats_nkey)
        known = keys.get("ORCHESTRATOR_KEY", self._settings.orchestrator_key)
        return Access(GATEWAY, nkey, self._settings.nats_ca, known)

    def _on_signal(self) -> None:
        (self._aborted if self._interrupted.is_set() else self._interrupted).set()

    async def _missing(self) -> tuple[list[str], int]:
        """The services to start, and how many producers: on a bus of one's own only what is not there."""
        if self._joined is None:
            return ["nats", "orchestrator", "recorder"], self._spec.producers
        bus = await connect(self._joined, "cli", self._access({}))
        try:
            services = ["recorder"]  # its own one, for the folder that was asked for
            try:
                await bus.ask("$SRV.PING.orchestrator", ChangeRun(run=self._run), timeout=1)
            except BusError:
                return ["orchestrator", *services], self._spec.producers
            live: set[str] = set()

            async def heard(presence: Presence) -> None:
                if presence.provider in self._spec.providers:
                    live.add(presence.producer)

            await bus.listen(subjects.ALL_PRESENCE, Presence, heard)
            await asyncio.sleep(PRESENCE_SECONDS)
            return services, max(0, self._spec.producers - len(live))
        finally:
            await bus.close()

    def _variables(self) -> dict[str, str]:
        into = {"RECORD_INTO": str(self._output.absolute())} if self._output else {}
        return {"RECORD_RUN": self._run, "LOG_LEVEL": self._settings.log_level, **into}

    async def _show_logs(self, stack: Stack) -> None:
        if self._settings.log_level in ("debug", "trace"):
            await logs.show(stack.folder / "log")

    async def _until_done(self, stack: Stack, bus: Bus) -> tuple[Finished, Path | None]:
        watching = asyncio.ensure_future(self._conduct(bus))
        others = [asyncio.ensure_future(w) for w in (stack.ended(), self._aborted.wait(), self._stop_on_interrupt(bus))]
        try:
            waited: set[asyncio.Future[Any]] = {watching, others[0], others[1]}
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if watching in done:
                return await watching
            if self._aborted.is_set():
                raise KeyboardInterrupt
            await others[0]
            raise AssertionError("the launcher's end raises")
        finally:
            await end([watching, *others])

    async def _conduct(self, bus: Bus) -> tuple[Finished, Path | None]:
        shown = progress.choose(self._spec.topic)
        try:
            await self._start(bus)

            async def on_snapshot(snapshot: Snapshot) -> None:
                shown.snapshot(snapshot)

            await bus.listen(subjects.snapshot(self._run), Snapshot, on_snapshot)
            finished = await self._follow(bus, shown)
            return finished, await self._files()
        finally:
            shown.close()

    async def _start(self, bus: Bus) -> None:
        """Ask for the run, again while the orchestrator is on its way up. Raises StackError when it refuses."""
        deadline = asyncio.get_running_loop().time() + ASK_SECONDS
        while True:
            try:
                answer = await bus.ask(subjects.START_RUN, StartRun(spec=self._spec, run=self._run))
                break
            except Missing:
                if asyncio.get_running_loop().time() > deadline:
                    raise StackError(f"no orchestrator answered within {ASK_SECONDS:g} seconds") from None
                await asyncio.sleep(0.05)
        started = msgspec.json.decode(answer, type=dict[str, Any])
        if "error" in started:
            raise StackError(decode(Refusal, answer).error)
        decode(RunState, answer)
        self._started.set()

    async def _follow(self, bus: Bus, shown: progress.Progress) -> Finished:
        async for batch in bus.follow(streams.RESULTS.name or "", subjects.decisions_of_run(self._run)):
            for stored in batch:
                if stored.subject.startswith("attributes.accepted."):
                    shown.accepted(decode(Accepted, stored.data))
                elif stored.subject.startswith("attributes.finished."):
                    return decode(Finished, stored.data)
        raise AssertionError("a stream is followed for ever")

    async def _stop_on_interrupt(self, bus: Bus) -> None:
        await self._interrupted.wait()
        _say("Ending the run; once more to leave at once.")
        await self._started.wait()  # before, there is no run to stop, and it would start all the same
        while True:
            with contextlib.suppress(BusError):
                await bus.ask(subjects.STOP_RUN, ChangeRun(run=self._run))
                return
            await asyncio.sleep(0.2)

    async def _files(self) -> Path | None:
        """The folder with the run's files, once the recorder has completed them; None if it did not in time."""
        deadline = asyncio.get_running_loop().time() + FILES_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            for folder in self._places():
                if _is_complete(folder, self._run):
                    return folder
            await asyncio.sleep(0.05)
        _say(f"The files were not complete after {FILES_SECONDS:g} seconds.")
        return None

    def _places(self) -> list[Path]:
        """Where the recorder may have put the files: just where asked, or beside an earlier run that is there already."""
        root = self._output or Path(environment().get("OUTPUT") or "output")
        return [*([self._output] if self._output else []), *root.glob(f"*-{self._run}")]


def _is_complete(folder: Path, run: str) -> bool:
    try:
        metadata = msgspec.json.decode((folder / "metadata.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return False
    return metadata.get("run") == run and bool(metadata.get("ended"))


def _summarise(spec: RunSpec, finished: Finished, folder: Path | None, *, as_json: bool) -> None:
    if not as_json:
        print(f"{finished.accepted} unique attributes of “{spec.topic}” in {finished.seconds:.1f} s; {finished.reason}.")
        print(f"{finished.calls} calls, {finished.tokens} tokens, {money(finished.usd)}")
        if finished.coverage is not None:
            print(
                f"The list has about {finished.coverage:.0%} of what these models would say of the topic "
                f"({finished.coverage_low:.0%} to {finished.coverage_high:.0%})."
            )
        if finished.on_topic is not None:
            print(f"Of {finished.judged} attributes that a model judged, {finished.on_topic:.0%} belong to the topic.")
        print(f"Files: {folder}" if folder else "Files: incomplete, see above")
        return
    summary = msgspec.to_builtins(finished)
    candidates = finished.accepted + finished.duplicates
    rate = finished.accepted * 60 / finished.seconds if finished.seconds else 0.0
    summary |= {"topic": spec.topic, "candidates": candidates, "attributes_per_minute": round(rate, 1)}
    summary |= {"output": str(folder) if folder else None}
    print(msgspec.json.encode(summary).decode())


def money(usd: float | None) -> str:
    """Dollars for a person; what is unknown is not called nothing."""
    return "cost unknown" if usd is None else f"${usd:.4f}"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _fail(sentence: str, code: int) -> int:
    _say(f"orchestrator: {sentence}")
    return code
