"""What a stack consists of: its settings, and the program of each of its services."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from services.launcher import keys
from services.launcher.child_environment import OF_ALL
from services.launcher.children import Program
from services.launcher.connection import StreamSettings
from services.launcher.elastic import MAX_PRODUCERS, Demand, by_default
from services.launcher.errors import StartError
from shared import roles
from shared.providers import KEY_VARIABLES, KEYLESS, KEYS_ELSEWHERE, PROVIDERS, problem_of, resolve, with_keys
from shared.service import SUPERVISED, environment, load

NATS = "nats"
ORCHESTRATOR = "orchestrator"
GATEWAY = "gateway"
LOCAL_MODEL = "local-model"
SERVICES = (NATS, ORCHESTRATOR, "recorder", GATEWAY)
WRITERS = (ORCHESTRATOR, "recorder")
"""Of the log, and of its second copy."""

METRICS_PORTS = {"orchestrator": 9101, "recorder": 9102, LOCAL_MODEL: 9103}
"""Where Prometheus finds each service's numbers; the gateway's are on its own port."""

FIRST_PRODUCER_METRICS_PORT = 9110
"""Of the first provider's first producer; each producer has the next, and each provider the next hundred."""

OWN_VARIABLES = {provider: tuple(f"{name.partition('_')[0]}_" for name in names) for provider, names in KEY_VARIABLES.items()}
"""How the names of all variables of a provider begin: those of its keys, and what else its SDK reads."""

Port = Annotated[int, Meta(ge=1, le=65535)]


class LauncherSettings(StreamSettings, frozen=True, kw_only=True):
    """What `make up` may be told."""

    port: Port = 8080
    """Of the dashboard."""
    producers: Annotated[int, Meta(ge=0, le=MAX_PRODUCERS)] = 3
    """Kept ready for runs, over all providers; runs that ask for more get more."""
    max_producers: Annotated[int, Meta(ge=1, le=MAX_PRODUCERS)] | None = None
    """The most that runs get, over all providers; by default as `elastic.by_default` says. More are kept only if `producers` is
    more."""
    provider: str = "env"
    nats_keys: str = ""
    """Folder of the roles' keys on a NATS that is joined and has our permissions; a NATS of the stack's own has its own."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What to start: which services, where, and which producers are kept ready."""

    services: tuple[str, ...]
    base: Demand
    port: int
    join: str
    """Address of the NATS to join when the stack has none of its own."""
    nats_port: int
    """-1: any free one."""
    local_model_url: str
    local_model_port: int
    """0: the user has one at `local_model_url`."""
    log_level: str
    with_keys: tuple[str, ...] = ()
    """The providers whose keys are here: the gateway is told their names, and no key."""
    most_producers: int = MAX_PRODUCERS
    """That runs get, over all providers."""
    metrics: bool = False
    """Whether the services serve their numbers, on ports that are known beforehand."""
    replicas: int | None = None
    """On how many servers each stream is kept; None: as it is."""
    keys: Path | None = None
    """Folder of the roles' keys; None on a NATS without."""
    monitor_url: str = ""
    """HTTP monitoring address of the NATS to join."""
    accept_unsynced: bool = False
    """Whether that one may do without writing through to disk."""
    one_run: bool = False
    """Whether the recorder writes one run only, and then no second copy of the log."""

    @property
    def has_nats(self) -> bool:
        return NATS in self.services

    @property
    def guards_log(self) -> bool:
        """Whether the log is compared with its second copy: both are ours, so nobody writes to them meanwhile."""
        return not self.one_run and self.has_nats and set(WRITERS) <= set(self.services)

    def service(self, name: str, nats_url: str) -> Program:
        """The program of the orchestrator, recorder or gateway."""
        variables = self._variables(nats_url, name, METRICS_PORTS.get(name, 0))
        probe = ""
        if name == GATEWAY:
            # HOST is ours to say: some shells set it to the machine's name, and the stack is for this machine alone.
            variables |= {"HOST": "127.0.0.1", "PORT": str(self.port), KEYS_ELSEWHERE: ",".join(self.with_keys)}
            probe = f"http://127.0.0.1:{self.port}/livez"
        if name == ORCHESTRATOR:
            variables["OFFERED"] = ",".join((*self.with_keys, *KEYLESS))  # what a run may ask for, and is started then
        secrets = (*OF_ALL, "GATEWAY_") if name == GATEWAY else OF_ALL
        return Program(name, _python(f"services.{name}"), variables, secrets, service=name, probe=probe)

    def producer(self, provider: str, number: int, nats_url: str) -> Program:
        metrics_port = FIRST_PRODUCER_METRICS_PORT + 100 * PROVIDERS.index(provider) + number - 1
        role = roles.producer(provider)
        variables = self._variables(nats_url, role, metrics_port) | {"LOCAL_MODEL_URL": self.local_model_url}
        command = _python("services.producer", "--provider", provider)
        secrets = OF_ALL + OWN_VARIABLES.get(provider, ())
        return Program(f"{role}-{number}", command, variables, secrets, service=role)

    def repair(self, nats_url: str) -> Program:
        """What compares the log with its second copy, and ends."""
        variables = self._variables(nats_url, roles.REPAIR, 0) | {SUPERVISED: ""}
        return Program(roles.REPAIR, _python("services.recorder", "repair"), variables, OF_ALL)

    def local_model(self, nats_url: str) -> Program:
        command = _python("services.local_model", "--port", str(self.local_model_port))
        variables = self._variables(nats_url, LOCAL_MODEL, METRICS_PORTS[LOCAL_MODEL])
        return Program(LOCAL_MODEL, command, variables, OF_ALL, service=LOCAL_MODEL)

    def _variables(self, nats_url: str, role: str, metrics_port: int) -> dict[str, str]:
        port = metrics_port if self.metrics else 0  # said also when it is 0: one port in our own environment is not for all
        own = {"NATS_URL": nats_url, "LOG_LEVEL": self.log_level, "METRICS_PORT": str(port), SUPERVISED: "1"}
        return own | (keys.variables(self.keys, role) if self.keys else {})


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def chosen(
    services: str,
    *,
    provider: str | None = None,
    producers: int | None = None,
    port: int | None = None,
    nats_port: int = -1,
    metrics: bool = False,
) -> Stack:
    """The stack that flags and environment ask for; what is None comes from the environment.

    Raises StartError with a sentence for the user.
    """
    variables = environment()
    try:
        settings = load(LauncherSettings, variables, provider=provider, producers=producers, port=port)
        providers = resolve(settings.provider, variables)
    except (SystemExit, ValueError) as error:
        raise StartError(str(error)) from error
    names = tuple(dict.fromkeys(name.strip() for name in services.split(",") if name.strip()))
    if unknown := [name for name in names if name not in SERVICES]:
        raise StartError(f"unknown service {unknown[0]!r}; choose from {', '.join(SERVICES)}")
    local_model_url = variables.get("LOCAL_MODEL_URL", "")
    local_model_port = 0 if local_model_url else _free_port()
    return Stack(
        services=names,
        base=Demand(providers, settings.producers),
        port=settings.port,
        join=settings.nats_url,
        nats_port=nats_port if nats_port > 0 and is_free(nats_port) else -1,
        local_model_url=local_model_url or f"http://127.0.0.1:{local_model_port}/v1",
        local_model_port=local_model_port,
        log_level=settings.log_level,
        with_keys=tuple(name for name in with_keys(variables) if not problem_of(name, variables)),
        most_producers=settings.max_producers or by_default(),
        metrics=metrics,
        replicas=settings.stream_replicas,
        keys=Path(settings.nats_keys).absolute() if settings.nats_keys else None,
        monitor_url=settings.nats_monitor_url,
        accept_unsynced=settings.accept_unsynced,
        one_run=bool(variables.get("RECORD_RUN")),
    )


def is_free(port: int) -> bool:
    """Whether this machine's loopback has nobody listening on a port."""
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
