"""Traces: what each service did, when, and for which run, as OpenTelemetry spans from task to browser.

W3C trace context (https://www.w3.org/TR/trace-context/) travels in the header `traceparent` of every message, exported or not,
and its trace id in each attribute, file and event. Spans go out over OTLP/HTTP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set;
OpenTelemetry's own variables set everything else. Without it OpenTelemetry is not even imported.

Spans hold no prompt, no answer, no attribute and no key. They are made per call and per batch, never per attribute. Resource
attributes: `service.name` (orchestrator, producer-openai, recorder, gateway, local-model), `service.instance.id` (the instance
in `$SRV.INFO`), `service.version`.

This is the contract for whoever reads the traces. A run is one trace: all spans but `service.*` have its trace id, which is the
`trace` of the run's attributes, and the attribute `chorus.run`. Each span, by whom, below what, and its other attributes:

`POST /api/runs`    gateway, below the caller's traceparent:
                    http.request.method, http.route, http.response.status_code
`run`               orchestrator, below what asked for it: those of run.started and run.finished, which it also has as events
`run.started`       orchestrator, below `run`: chorus.topic, chorus.providers, chorus.producers, chorus.iterations,
                    chorus.max_items, chorus.recovered
`run.finished`      orchestrator, below `run`: chorus.status, chorus.reason, chorus.accepted, chorus.duplicates, chorus.calls
`task`              orchestrator, below `run`: chorus.task, chorus.task.kind, chorus.provider, chorus.outcome,
                    chorus.candidates, error.type
`chat <model>`      producer, below `task`: chorus.task, chorus.producer, chorus.outcome, chorus.attempts, chorus.candidates,
                    and OpenTelemetry's for generative AI: gen_ai.operation.name, gen_ai.provider.name, gen_ai.request.model,
                    gen_ai.response.model, gen_ai.usage.input_tokens, gen_ai.usage.output_tokens, error.type
`decide`            orchestrator, below `run`, linked to the tasks: chorus.candidates, chorus.accepted, chorus.duplicates,
                    chorus.late
`record`            recorder, below the first entry's span: chorus.entries, chorus.accepted, chorus.duplicates,
                    chorus.last_sequence
`deliver`           gateway, below the first entry's span: the same
`service.started`, `service.stopping`
                    every service, each a trace of its own

* `run.started`, `run.finished`, `service.started` and `service.stopping` have no length: they are exported when they happen, so
  a run is seen to have begun long before its `run` span ends. `run` is exported at the end, and never by a process that was
  killed: the orchestrator that goes on with the run begins another `run` and `run.started`, with `chorus.recovered` true.
* `task` begins when the task is published and ends when its usage is counted. One that was called back, or never came back,
  ends with the outcome `called_back` or `lost`. An orchestrator that was restarted does not end the tasks of the one before.
* `chat <model>` is one delivery of a task to a producer, retries included: a task handed out twice has two of them.
* `decide`, `record` and `deliver` are one batch of one run each. A run's first and last entry are entries too. A recorder or a
  gateway that was restarted reads again what it had read, with further spans.
* An attribute that is missing does not apply: there is no such limit, or no error.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.trace_export import Exporter, RecordedSpan

RUN = "run"
RUN_STARTED = "run.started"
RUN_FINISHED = "run.finished"
TASK = "task"
CHAT = "chat"
"""Followed by a space and the model."""
DECIDE = "decide"
RECORD = "record"
DELIVER = "deliver"
START_RUN = "POST /api/runs"
SERVICE_STARTED = "service.started"
SERVICE_STOPPING = "service.stopping"

MAX_LINKS = 32
"""Links of one span: as many tasks as a batch of candidates may well come from."""

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")

Value = str | bool | int | float | tuple[str, ...] | None
Attributes = Mapping[str, Value]

_context: ContextVar[str] = ContextVar("traceparent", default="")
_exporter: "Exporter | None" = None


class Span:
    """Something that is being done. `context` is its traceparent, to be handed on with what follows from it."""

    __slots__ = ("_recorded", "context")

    def __init__(self, context: str, recorded: "RecordedSpan | None" = None) -> None:
        self.context = context
        self._recorded = recorded

    def set(self, attributes: Attributes) -> None:
        """Add attributes; those that are None are left out."""
        if self._recorded is not None:
            self._recorded.set(_given(attributes))

    def event(self, name: str, attributes: Attributes) -> None:
        """Note that something happened meanwhile."""
        if self._recorded is not None:
            self._recorded.event(name, _given(attributes))

    def end(self, attributes: Attributes | None = None, *, error: str = "") -> None:
        """End it; `error` is the kind of error it ended with (`error.type`), never its text."""
        if self._recorded is not None:
            self._recorded.end(_given({**(attributes or {}), "error.type": error or None}), failed=bool(error))
            self._recorded = None


def send_to(endpoint: str) -> None:
    """Have this process, and all that it starts, export to this collector."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint


def start(service: str, instance: str, version: str, variables: Mapping[str, str]) -> None:
    """Export the spans of this process from now on, if the variables name where to."""
    global _exporter  # one exporter a process, as there is one log
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(variables.get(name) for name in ENDPOINTS):
        return
    for name, value in variables.items():
        if name.startswith("OTEL_"):
            os.environ.setdefault(name, value)  # OpenTelemetry reads no .env
    from shared.trace_export import Exporter

    _exporter = Exporter(service, instance, version)
    mark(SERVICE_STARTED)


async def stop() -> None:
    """Export what is left, within `trace_export.STOP_SECONDS`."""
    global _exporter
    if _exporter is None:
        return
    mark(SERVICE_STOPPING)
    stopped, _exporter = _exporter, None
    await stopped.stop()


def begin(name: str, attributes: Attributes, *, parent: str = "", links: Iterable[str] = (), kind: str = "internal") -> Span:
    """Begin a span. `parent` and `links` are traceparents; without a valid parent it is the first of a new trace.

    `kind` is internal, server (it answers a request), client (it makes one), producer or consumer (of a message).
    """
    if _exporter is not None:
        recorded = _exporter.begin(name, _given(attributes), parent, list(links)[:MAX_LINKS], kind)
        return Span(recorded.context, recorded)
    known = TRACEPARENT.fullmatch(parent)
    trace, flags = (known[1], known[2]) if known else (secrets.token_hex(16), "01")
    return Span(f"00-{trace}-{secrets.token_hex(8)}-{flags}")


def mark(name: str, attributes: Attributes | None = None, *, parent: str = "") -> None:
    """A span without length: it is exported at once, where one with a length is only when it ends."""
    if _exporter is not None:
        begin(name, attributes or {}, parent=parent).end()


@contextlib.contextmanager
def span(
    name: str, attributes: Attributes, *, parent: str = "", links: Iterable[str] = (), kind: str = "internal"
) -> Iterator[Span]:
    """Do something within a span; log lines and requests made meanwhile belong to it. An exception marks it as failed."""
    begun = begin(name, attributes, parent=parent, links=links, kind=kind)
    try:
        with working(begun.context):
            yield begun
    except BaseException as error:
        begun.end(error=type(error).__name__)
        raise
    begun.end()


@contextlib.contextmanager
def working(context: str) -> Iterator[None]:
    """Work on something that has this traceparent: log lines meanwhile carry its trace id."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


def current() -> str:
    """The traceparent of what is being worked on; empty when there is none."""
    return _context.get()


def trace_id(context: str) -> str:
    """The trace id of a traceparent, 32 hex digits; empty when it is none."""
    known = TRACEPARENT.fullmatch(context)
    return known[1] if known else ""


def add_trace_id(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: lines of work that has a trace name it."""
    if (found := trace_id(_context.get())) and "trace_id" not in line:
        line["trace_id"] = found
    return line


def _given(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
