"""The tester's OTLP endpoint takes what exporters send, and nothing else."""

import gzip
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.tester.collector import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    listening = Collector().start()
    yield listening
    listening.stop()


def export(name: str, run: str = "r1", service: str = "orchestrator") -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    span = resource.scope_spans.add().spans.add(name=name, trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    span.start_time_unix_nano, span.end_time_unix_nano = 1_000_000_000, 1_500_000_000
    span.attributes.add(key="chorus.run").value.string_value = run
    span.attributes.add(key="chorus.accepted").value.int_value = 3
    kinds = span.attributes.add(key="chorus.providers").value.array_value.values
    kinds.add().string_value = "random"
    return request.SerializeToString()


def post(collector: Collector, body: bytes, path: str = "/v1/traces", **headers: str) -> int:
    return httpx.post(collector.endpoint + path, content=body, headers=headers, trust_env=False).status_code


@pytest.mark.parametrize("packed", [False, True])
def test_spans_are_taken_and_found_again(collector: Collector, packed: bool) -> None:
    body = export("chat gpt-4o-mini", service="producer-openai")
    encoding = {"Content-Encoding": "gzip"} if packed else {}
    assert post(collector, gzip.compress(body) if packed else body, **encoding) == 200
    post(collector, export("run", run="r2"))
    (span,) = collector.spans("chat")
    assert (span.name, span.service, span.run, span.seconds) == ("chat gpt-4o-mini", "producer-openai", "r1", 0.5)
    assert span.attributes["chorus.accepted"] == 3
    assert span.attributes["chorus.providers"] == ("random",)
    assert [s.run for s in collector.spans(service="orchestrator")] == ["r2"]
    assert len(collector.spans()) == 2


def test_what_is_no_export_is_refused_and_counted(collector: Collector) -> None:
    assert post(collector, b"\xff\xff\xff") == 400
    assert post(collector, b"no gzip", **{"Content-Encoding": "gzip"}) == 400
    assert post(collector, b"", "/v1/metrics") == 404
    assert collector.refused == 2
    assert collector.spans() == []
