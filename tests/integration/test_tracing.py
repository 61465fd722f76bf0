"""Traces of a real stack, as a collector receives them: one trace from the request to the browser."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.tester.collector import Collector, Span
from services.tester.stack import Stack, free_port
from shared.bus import Bus
from tests.conftest import eventually
from tests.integration.test_producer import producer
from tests.integration.vendor_producer import KEYS, a_task, give, reported, texts
from tests.vendors.faults import Fault
from tests.vendors.server import vendors

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = CALLER.split("-")[1]

REQUEST = {"topic": "Paris attractions", "providers": ["random"], "producers": 2, "iterations": 3, "dedupe": "exact"}

SERVICES = {"orchestrator", "producer-random", "recorder", "gateway"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector().start()
    yield running
    running.stop()


@asynccontextmanager
async def stack(folder: Path, **variables: str) -> AsyncIterator[Stack]:
    running = Stack(folder, producers=2)
    await running.start(variables)
    try:
        yield running
    finally:
        assert await running.stop() == 0


async def start_run(under_test: Stack, headers: dict[str, str] | None = None, **changes: object) -> str:
    """Ask the gateway for a run; returns its id."""
    async with httpx.AsyncClient(base_url=under_test.url) as client:
        answer = await client.post("/api/runs", json=REQUEST | changes, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run"])


async def events(under_test: Stack, run: str) -> list[dict[str, Any]]:
    """What a browser gets of a run's accepted attributes, until the run has ended."""
    found: list[dict[str, Any]] = []
    name = ""
    url = f"{under_test.url}/api/runs/{run}/events"
    async with asyncio.timeout(60), httpx.AsyncClient() as client, client.stream("GET", url) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: ") and name == "accepted":
                found.append(json.loads(line.removeprefix("data: ")))
    return found


def files(under_test: Stack, run: str) -> list[dict[str, Any]]:
    (folder,) = under_test.output.glob(f"*-{run}")
    listed: list[dict[str, Any]] = json.loads((folder / "output.json").read_bytes())
    return listed


def named(collector: Collector, run: str) -> Callable[[str], list[Span]]:
    return lambda name: collector.spans(name, run=run)


async def test_one_trace_from_the_request_to_the_browser(tmp_path: Path, collector: Collector) -> None:
    async with stack(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as under_test:
        run = await start_run(under_test, {"traceparent": CALLER})
        seen = await events(under_test, run)
        await eventually(lambda: collector.spans("run", run=run), 20)

    of = named(collector, run)
    assert {span.trace for span in collector.spans(run=run)} == {TRACE}
    assert {event["trace"] for event in seen} == {attribute["trace"] for attribute in files(under_test, run)} == {TRACE}
    assert {span.service for span in collector.spans(run=run)} == SERVICES
    (asked,), (whole,) = of("POST /api/runs"), of("run")
    assert asked.parent == CALLER.split("-")[2]
    assert whole.parent == asked.id
    assert whole.attributes["chorus.topic"] == "Paris attractions"
    assert (whole.attributes["chorus.status"], whole.attributes["chorus.accepted"]) == ("finished", len(seen))
    tasks, calls = of("task"), of("chat")
    assert [span.parent for span in tasks] == [whole.id] * 6
    assert {span.parent for span in calls} == {span.id for span in tasks}
    assert len(calls) == 6
    for call in calls:
        assert call.attributes["gen_ai.provider.name"] == "random"
        assert call.name == f"chat {call.attributes['gen_ai.request.model']}"
        assert call.attributes["gen_ai.usage.output_tokens"] > 0
    assert {link for span in of("decide") for link in span.links} == {span.id for span in calls}
    for name in ("decide", "record", "deliver"):
        assert sum(span.attributes["chorus.accepted"] for span in of(name)) == len(seen), name
    started = collector.spans("service.started")
    assert {span.service for span in started} == SERVICES | {"recorder-repair"}
    assert len({span.instance for span in started}) == 6
    assert {span.service for span in collector.spans("service.stopping")} == SERVICES | {"recorder-repair"}
    assert not any(attribute["text"] in repr(collector.spans()) for attribute in files(under_test, run))


async def test_a_run_is_seen_before_it_ends_and_goes_on_in_its_trace_after_a_crash(
    tmp_path: Path, collector: Collector
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "RANDOM_LATENCY_SECONDS": "0.3"}
    async with stack(tmp_path, **variables) as under_test:
        run = await start_run(under_test, iterations=20)
        (began,) = await eventually(lambda: collector.spans("run.started", run=run))
        assert not collector.spans("run", run=run)
        (orchestrator,) = (child for child in under_test.children() if child.name == "orchestrator")

        under_test.kill(orchestrator)

        await eventually(lambda: len(collector.spans("run.started", run=run)) == 2, 30)
        again = collector.spans("run.started", run=run)[1]
        assert (began.attributes["chorus.recovered"], again.attributes["chorus.recovered"]) == (False, True)
        await eventually(lambda: collector.spans("run.finished", run=run), 60)
    assert {span.trace for span in collector.spans(run=run)} == {began.trace}
    assert {attribute["trace"] for attribute in files(under_test, run)} == {began.trace}


async def test_a_collector_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    """Neither a run nor the stop waits for it; it is told once in each service's log, when its first request has failed."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    async with stack(tmp_path, **variables) as under_test:
        log = under_test.logs / "orchestrator.log"
        await eventually(lambda: "traces.not_exported" in log.read_text(), 20)
        run = await start_run(under_test)
        seen = await events(under_test, run)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert {event["trace"] for event in seen} != {""}
    told = [json.loads(line) for line in log.read_text().splitlines() if "traces." in line]
    assert [line["event"] for line in told] == ["traces.not_exported"]
    about_the_run = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "run.finished"]
    assert {line["trace_id"] for line in about_the_run} == {event["trace"] for event in seen}


async def test_no_key_prompt_or_answer_is_in_a_span(bus: Bus, nats_url: str, collector: Collector) -> None:
    """Also when the vendor's words quote a part of the key."""
    async with vendors(seed=7) as server:
        vendor = next(one for one in server.all if one.wire.provider == "openai")
        variables = {"OPENAI_API_KEY": KEYS["openai"], "OPENAI_BASE_URL": vendor.url}
        async with producer(nats_url, "--provider", "openai", "--trace-ep", collector.endpoint, **variables):
            await give(bus, a_task("openai", 0))
            await reported(bus, "openai", 1)
            vendor.next(Fault.UNAUTHORIZED)
            await give(bus, a_task("openai", 1))
            _, refused = await reported(bus, "openai", 2)
            calls = await eventually(lambda: len(found := collector.spans("chat")) == 2 and found)
    told = repr(calls)
    assert [span.attributes.get("error.type") for span in calls] == [None, "auth"]
    for secret in (KEYS["openai"][-6:], refused.error, *await texts(bus, "openai")):
        assert secret
        assert secret not in told
