"""The way of spans to a collector: OTLP over HTTP by OpenTelemetry's SDK. Imported only when there is a collector."""

import asyncio
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

from shared.traces import TRACEPARENT

DELAY_MILLISECONDS = 1000
"""Until a span is sent, unless OTEL_BSP_SCHEDULE_DELAY says otherwise: who watches a run wants to see it as it goes.
The other bounds are the SDK's: 2048 spans wait, then new ones are dropped; 512 go at once; a request takes at most 10 s."""

STOP_SECONDS = 1.5
"""For the last spans to be sent when a service stops."""

log = structlog.get_logger()


class RecordedSpan:
    """One span that will be exported."""

    __slots__ = ("_span", "context")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        place = span.get_span_context()
        self.context = f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}"

    def set(self, attributes: Mapping[str, Any]) -> None:
        self._span.set_attributes(attributes)

    def event(self, name: str, attributes: Mapping[str, Any]) -> None:
        self._span.add_event(name, attributes)

    def end(self, attributes: Mapping[str, Any], *, failed: bool) -> None:
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Exporter:
    """Sends the spans of one process from a thread of its own; no work waits for it."""

    def __init__(self, service: str, instance: str, version: str) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what fails is told by `Watched`, once
        resource = Resource.create({"service.name": service, "service.instance.id": instance, "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # at exit it would wait for 30 s
        delay = None if os.environ.get("OTEL_BSP_SCHEDULE_DELAY") else DELAY_MILLISECONDS
        self._watched = Watched(OTLPSpanExporter())
        self._provider.add_span_processor(BatchSpanProcessor(self._watched, schedule_delay_millis=delay))
        self._tracer = self._provider.get_tracer("chorus", version)

    def begin(self, name: str, attributes: Mapping[str, Any], parent: str, links: Sequence[str], kind: str) -> RecordedSpan:
        """Begin a span; traceparents that are none are left out."""
        above = _place(parent)
        around = trace.set_span_in_context(trace.NonRecordingSpan(above)) if above else Context()
        linked = [Link(place) for link in links if (place := _place(link))]
        return RecordedSpan(self._tracer.start_span(name, around, SpanKind[kind.upper()], attributes, linked))

    async def stop(self) -> None:
        """Send what is left, within `STOP_SECONDS`."""
        # The SDK's own limit is 30 s; this thread keeps no process alive.
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        await asyncio.to_thread(last.join, STOP_SECONDS)
        if last.is_alive():
            self._watched.failed()


class Watched(SpanExporter):
    """Says once that spans do not arrive, and once that they do again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.failed()
        elif self._failing:
            self._failing = False
            log.info("traces.exported_again")
        return result

    def failed(self) -> None:
        """Note that spans did not arrive."""
        if not self._failing:
            log.warning("traces.not_exported", hint="no collector takes them at OTEL_EXPORTER_OTLP_ENDPOINT; going on without")
        self._failing = True

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _place(traceparent: str) -> SpanContext | None:
    if not TRACEPARENT.fullmatch(traceparent):
        return None
    _, trace_id, span_id, flags = traceparent.split("-")[:4]
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
