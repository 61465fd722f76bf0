"""What every service shares: settings, logs, registration in $SRV, signals, drain."""

import asyncio
import contextlib
import io
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import msgspec
import structlog
from nats.micro import add_service
from nats.micro.request import Request

from shared import dotenv_file, health, metrics, traces
from shared.bus import TRACEPARENT, Access, Bus, Malformed, connect, decode, encode
from shared.messages import Refusal
from shared.providers import KEY_VARIABLES
from shared.terminal import printable

VERSION = "0.1.0"

LOG_LEVELS = {
    "trace": logging.NOTSET,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}

SUPERVISED = "CHORUS_SUPERVISED"
"""Set by the launcher: standard input is a pipe that closes when the launcher is gone, and the service then stops."""

SECRETS = (*(name for names in KEY_VARIABLES.values() for name in names), "GATEWAY_TOKEN")
"""The variables whose value may be in a file."""

CANCEL_AGAIN_SECONDS = 1.0
"""Long enough for a task to tidy up after a cancellation that it did notice."""

log = structlog.get_logger()

MessageT = TypeVar("MessageT", bound=msgspec.Struct)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of every service; each field is read from the environment variable of the same name in capitals."""

    nats_url: str = "nats://127.0.0.1:4222"
    nats_nkey: str = ""
    """File with the seed of this service's key (`make keys`); empty on a NATS without keys."""
    nats_ca: str = ""
    """File with the authority that signed the server's certificate; TLS is then required."""
    orchestrator_key: str = ""
    """File with the orchestrator's public key, by which orders are known to be its; without it, all are taken."""
    log_level: str = "info"
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Where Prometheus finds the service's numbers; 0: nowhere."""
    metrics_host: str = "127.0.0.1"
    umask: Annotated[str, msgspec.Meta(pattern="^[0-7]{1,4}$")] = "077"
    """What others may not do with the files that are written, as the shell's umask; see `own_files`."""

    def access(self, role: str = "") -> Access:
        """How to get onto the bus with these settings."""
        return Access(role, self.nats_nkey, self.nats_ca, self.orchestrator_key)


SettingsT = TypeVar("SettingsT", bound=Settings)


def environment() -> dict[str, str]:
    """The process environment over the `.env` file of this folder or of the project that it is in (see `dotenv_file`).

    A secret may be in a file instead, which `<NAME>_FILE` names: what a process is started with, others can read.
    Exits with one line when that file cannot be read.
    """
    variables = {**dotenv_file.read(SECRETS), **os.environ}
    for name in SECRETS:
        if file := variables.get(f"{name}_FILE"):
            variables[name] = _secret(name, Path(file))
    return variables


def _secret(name: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"{name}_FILE is {str(file)!r}, which cannot be read: {type(error).__name__}.") from error


def load(kind: type[SettingsT], variables: Mapping[str, str], **overrides: Any) -> SettingsT:
    """Read settings from environment variables; `overrides` that are not None win. Exits with one line if one is wrong."""
    names = {f.name: f.name.upper() for f in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {field: variables[name] for field, name in names.items() if variables.get(name)}
    values |= {k: v for k, v in overrides.items() if v is not None}
    try:
        settings = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SystemExit(f"A setting is wrong: {error}. Settings are the variables {', '.join(names.values())}.") from error
    if settings.log_level not in LOG_LEVELS:
        raise SystemExit(f"LOG_LEVEL is {settings.log_level!r}; it may be {', '.join(LOG_LEVELS)}.")
    return settings


def own_files(settings: Settings) -> None:
    """Have what this process and its children write from here on be the user's alone, unless UMASK says otherwise."""
    os.umask(int(settings.umask, 8))


def start_logging(service: str, level: str) -> None:
    """Log to standard error: JSON lines, or colours on a terminal. Every line names its service."""
    terminal = sys.stderr.isatty()
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        traces.add_trace_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    processors += (
        [_printable_values, structlog.dev.ConsoleRenderer(exception_formatter=_printable_traceback)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LOG_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(_Forgiving(sys.stderr)),  # type: ignore[arg-type]  # all that it uses
    )
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # its errors reach us through error_cb; twice is noise
    structlog.contextvars.bind_contextvars(service=service)


def _printable_values(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Values hold what models and strangers wrote; all but texts are shown with escapes anyway."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in entry.items()}


def _printable_traceback(file: TextIO, failure: Any) -> None:
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, failure)  # the rich one shows locals: keys
    file.write(printable(plain.getvalue(), keep="\n"))


class _Forgiving:
    """A file on which a line may be lost, but never whoever writes it: on a full disk, a log line would end its service."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


class Service:
    """A running service: its name, its instance id, its bus, and the event that says it shall stop."""

    def __init__(self, name: str, description: str, bus: Bus, stopping: asyncio.Event) -> None:
        self.name = name
        self.description = description
        self.id = instance_id(name)
        self.bus = bus
        self.stopping = stopping
        self._micro: Any = None

    @property
    def ready(self) -> bool:
        """Whether it can be asked: registered, and connected at this moment."""
        return self._micro is not None and self.bus.client.is_connected

    async def register(self) -> None:
        """Answer `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` (NATS ADR-32)."""
        place = {"host": socket.gethostname(), "pid": str(os.getpid())}  # by which a supervisor knows its own children
        self._micro = await add_service(
            self.bus.client,
            name=self.name,
            version=VERSION,
            description=self.description,
            metadata={"instance": self.id, **place},
            stats_handler=lambda endpoint: metrics.bus_stats(),
        )

    async def provisioned(self, exist: Callable[[], Awaitable[bool]] | None = None) -> bool:
        """Wait until the streams exist, saying once that it waits; False when told to stop before.

        `exist` asks whether they do, for a role that may not ask of all.
        """
        said = False
        while not self.stopping.is_set():
            if await (exist or self.bus.provisioned)():
                return True
            if not said:
                log.warning("bus.not_provisioned", hint="the launcher or `launcher provision` makes the streams; waiting")
                said = True
            await asyncio.sleep(0.1)
        return False

    async def endpoint(
        self, subject: str, kind: type[MessageT], handle: Callable[[MessageT], Awaitable[msgspec.Struct]]
    ) -> None:
        """Answer requests on `subject`; a malformed one is answered with a Refusal that says what is wrong."""

        async def on_request(request: Request) -> None:
            try:
                with traces.working((request.headers or {}).get(TRACEPARENT, "")):
                    answer = await handle(decode(kind, request.data))
            except Malformed as error:
                answer = Refusal(error=str(error), code="invalid")
            except Exception as error:
                log.exception("service.endpoint_failed", subject=subject)
                answer = Refusal(error=f"{type(error).__name__}: {error}", code="unavailable")
            await request.respond(encode(answer))

        await self._micro.add_endpoint(name=subject.rsplit(".", 1)[1], subject=subject, handler=on_request)

    async def run_until_stopped(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run the service's coroutines until it is told to stop or one of them fails; then end the others."""
        tasks = [asyncio.ensure_future(w) for w in (self.stopping.wait(), self._connection_lost(), *work)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(tasks)
        for task in done:
            task.result()

    async def _connection_lost(self) -> None:
        await self.bus.closed.wait()
        if not self.stopping.is_set():
            # The client closes without a word on any protocol error it does not know; a new process connects anew.
            raise SystemExit("The connection to NATS was closed for good; exiting so that the supervisor starts a new process.")

    async def close(self) -> None:
        if self._micro is not None and not self.bus.closed.is_set():
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._micro.stop(), 2)
        await self.bus.close()


async def end(tasks: Collection["asyncio.Future[Any]"]) -> None:
    """Cancel tasks and wait until they have ended.

    A task that goes on is cancelled again after `CANCEL_AGAIN_SECONDS`: a cancellation that meets an arriving message is lost
    in `asyncio.wait_for` (before Python 3.12), and the NATS client reads with it. The service would then never stop.
    """
    while going := [task for task in tasks if not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


def instance_id(name: str) -> str:
    """A fresh id for one running instance: `producer-random-3fa2c1`."""
    return f"{name}-{secrets.token_hex(3)}"


@contextlib.asynccontextmanager
async def service(name: str, settings: Settings, description: str, *, ready: bool = True) -> AsyncIterator[Service]:
    """Connect, register, and on the way out drain. Stops on SIGTERM, SIGINT, or when the launcher is gone.

    With `ready=False` the service calls `register` itself once it can answer: until then it counts as not there.
    """
    start_logging(name, settings.log_level)
    own_files(settings)
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    known: list[Service] = []
    beating = _say_alive(lambda: any(one.ready for one in known))
    connecting = asyncio.ensure_future(_connect(name, settings))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not connecting.done():
        connecting.cancel()
        raise SystemExit(0)  # told to stop before there was a bus
    bus = await connecting
    if isinstance(bus, SystemExit):
        raise bus
    running = Service(name, description, bus, stopping)
    known.append(running)
    traces.start(name, running.id, VERSION, environment())
    end_metrics = metrics.serve(settings.metrics_host, settings.metrics_port)
    try:
        if ready:
            await running.register()
        yield running
    finally:
        await running.close()
        await end(beating)
        end_metrics()
        await traces.stop()


async def _connect(name: str, settings: Settings) -> Bus | SystemExit:
    """The bus, or why it cannot be had; raised out of a task, that sentence would be followed by a traceback."""
    try:
        return await connect(settings.nats_url, name, settings.access())
    except SystemExit as error:
        return error


def _say_alive(ready: Callable[[], bool]) -> "list[asyncio.Future[None]]":
    """Say so in the file that a container's health is read from, if this is one; from before there is a bus."""
    file = os.environ.get(health.VARIABLE)
    return [asyncio.ensure_future(health.beat(Path(file), ready))] if file else []


def stop_on_signals(stopping: asyncio.Event) -> None:
    """Set `stopping` on SIGTERM and SIGINT, and when the launcher is gone."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if os.environ.get(SUPERVISED):
        loop.add_reader(sys.stdin.fileno(), lambda: _stop_at_end_of_input(loop, stopping))


def _stop_at_end_of_input(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        stopping.set()


def run(main: Callable[[], Coroutine[Any, Any, int | None]]) -> None:
    """Run a service's `main` on uvloop and exit with its code."""
    import uvloop

    sys.exit(uvloop.run(main()) or 0)
