"""Trace context with and without a collector, and what is not loaded when there is none."""

import asyncio
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared import traces
from shared.service import start_logging

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

MALFORMED = [
    "",
    "00",
    PARENT.upper(),
    "ff" + PARENT[2:],
    PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
    PARENT.replace("00f067aa0ba902b7", "0" * 16),
    PARENT[:-1],
    f"{PARENT}\n",
]


def test_a_span_below_another_belongs_to_its_trace() -> None:
    span = traces.begin("task", {}, parent=PARENT)

    assert TRACEPARENT.fullmatch(span.context)
    assert traces.trace_id(span.context) == traces.trace_id(PARENT) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span.context != PARENT


def test_who_asked_not_to_be_traced_is_not() -> None:
    assert traces.begin("task", {}, parent=PARENT[:-2] + "00").context.endswith("-00")


@pytest.mark.parametrize("parent", MALFORMED)
def test_what_is_no_trace_context_begins_a_trace(parent: str) -> None:
    first, second = (traces.begin("task", {}, parent=parent).context for _ in range(2))

    assert TRACEPARENT.fullmatch(first)
    assert traces.trace_id(first) != traces.trace_id(second)
    assert traces.trace_id(parent) == ""


@given(st.text(max_size=80))
def test_no_text_breaks_it(parent: str) -> None:
    assert TRACEPARENT.fullmatch(traces.begin("task", {"text": parent}, parent=parent, links=[parent]).context)


def test_later_versions_of_the_header_are_understood() -> None:
    assert traces.trace_id("01" + PARENT[2:] + "-more") == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_work_belongs_to_a_trace_until_it_ends_or_fails() -> None:
    seen = []

    def work() -> None:
        with traces.span("record", {}, parent=PARENT) as span:
            seen.append((traces.current(), span.context))
            raise KeyError

    with pytest.raises(KeyError):
        work()
    ((inside, context),) = seen
    assert inside == context
    assert traces.current() == ""


async def test_works_side_by_side_do_not_mix() -> None:
    async def work(context: str) -> str:
        with traces.working(context):
            await asyncio.sleep(0)
            return traces.current()

    contexts = [traces.begin("task", {}).context for _ in range(5)]

    assert await asyncio.gather(*map(work, contexts)) == contexts


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    start_logging("test", "info")
    yield written
    structlog.contextvars.clear_contextvars()


def test_log_lines_carry_the_trace_id_of_what_they_are_about(lines: io.StringIO) -> None:
    log = structlog.get_logger()
    with traces.working(PARENT):
        log.info("task.taken")
    log.info("idle")

    inside, outside = map(json.loads, lines.getvalue().splitlines())
    assert inside["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert "trace_id" not in outside


SERVICES = ["orchestrator.orchestrator", "producer.__main__", "recorder.__main__", "local_model.__main__", "gateway.__main__"]


@pytest.mark.parametrize("service", SERVICES)
def test_without_a_collector_opentelemetry_is_not_loaded(service: str) -> None:
    """It would take a fifth of the time in which a service starts. So would what serves the metrics, when nobody asks."""
    program = f"""
import sys
import services.{service}
from shared import metrics, traces
traces.start("test", "test-1", "0", {{}})
traces.begin("run", {{}}).end()
metrics.serve("127.0.0.1", 0)
print(sorted({{m.partition(".")[0] for m in sys.modules}} & {{"opentelemetry", "prometheus_client"}}))
"""
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()

    assert loaded == ("['prometheus_client']" if service.startswith("gateway") else "[]")
