"""The tester's own OTLP/HTTP endpoint: takes the spans that the services export (https://opentelemetry.io/docs/specs/otlp/)."""

import gzip
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MAX_SPANS = 200_000
"""Spans that are kept, about 200 MB; the oldest go first."""

MAX_BODY = 16 * 1024 * 1024
"""Bytes of one export; exporters send about 500 spans at once, some 300 KB."""

TRACES = "/v1/traces"


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it arrived."""

    name: str
    service: str
    instance: str
    trace: str
    id: str
    parent: str
    seconds: float
    failed: bool
    attributes: dict[str, Any] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    """Ids of the spans it is linked to."""

    @property
    def run(self) -> str:
        return str(self.attributes.get("chorus.run", ""))


class Collector:
    """Listens on the loopback from `start` to `stop`; spans can be asked for at any time, from any thread."""

    def __init__(self, port: int = 0) -> None:
        self._spans: deque[Span] = deque(maxlen=MAX_SPANS)
        self._lock = threading.Lock()
        self.refused = 0
        """Exports that were no OTLP."""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self._take, self._refuse))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> "Collector":
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self, name: str = "", *, run: str = "", service: str = "") -> list[Span]:
        """What has arrived, oldest first: spans of this name (`chat` names all `chat <model>`), of this run and service."""
        with self._lock:
            found = list(self._spans)
        return [
            span
            for span in found
            if (not name or name in (span.name, span.name.partition(" ")[0]))
            and (not run or span.run == run)
            and (not service or span.service == service)
        ]

    def _take(self, body: bytes) -> None:
        spans = list(_spans(body))
        with self._lock:
            self._spans.extend(spans)

    def _refuse(self) -> None:
        with self._lock:
            self.refused += 1


def _handler(take: Callable[[bytes], None], refuse: Callable[[], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:  # the name is the library's
            length = int(self.headers.get("Content-Length") or 0)
            if self.path != TRACES or length > MAX_BODY:
                self.close_connection = True  # the body stays unread
                self._answer(HTTPStatus.NOT_FOUND if length <= MAX_BODY else HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            body = self.rfile.read(length)
            try:
                take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            except (DecodeError, OSError, EOFError):
                refuse()
                self._answer(HTTPStatus.BAD_REQUEST)
                return
            self._answer(HTTPStatus.OK, ExportTraceServiceResponse().SerializeToString())

        def _answer(self, status: HTTPStatus, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the report says what arrived."""

    return Handler


def _spans(body: bytes) -> Iterator[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    service=str(about.get("service.name", "")),
                    instance=str(about.get("service.instance.id", "")),
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    attributes=_attributes(span.attributes),
                    links=tuple(link.span_id.hex() for link in span.links),
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    def value(found: AnyValue) -> Any:
        kind = found.WhichOneof("value")
        if kind == "array_value":
            return tuple(value(one) for one in found.array_value.values)
        return getattr(found, kind) if kind else None

    return {pair.key: value(pair.value) for pair in pairs if isinstance(pair, KeyValue)}
