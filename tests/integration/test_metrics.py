"""What Prometheus reads of running services."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from nats.aio.msg import Msg
from prometheus_client.parser import text_string_to_metric_families

from services.tester.stack import free_port
from shared import subjects
from shared.bus import Bus, decode
from shared.messages import RunSpec, RunState, StartRun
from tests.conftest import eventually

RUN = "20261124-101500-aaaaaa"

SPEC = RunSpec(topic="Test topic", providers=("random",), producers=1, iterations=2, dedupe="exact")


@asynccontextmanager
async def service(nats_url: str, name: str, *arguments: str, **variables: str) -> AsyncIterator[int]:
    """Run a service with metrics until the block ends, then stop it in order; gives its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"services.{name}", *arguments),
        env={**os.environ, "NATS_URL": nats_url, "METRICS_PORT": str(port), **variables},
    )
    try:
        yield port
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def scraped(port: int) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels; empty while nobody answers."""
    try:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.TransportError:
        return {}
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


async def test_a_run_is_counted_by_each_service_that_works_on_it(bus: Bus, nats_url: str, tmp_path: Path) -> None:
    async with (
        service(nats_url, "orchestrator") as orchestrator,
        service(nats_url, "recorder", OUTPUT=str(tmp_path / "output")) as recorder,
        service(nats_url, "producer", "--provider", "random") as producer,
    ):
        await eventually(lambda: _answers(bus, "orchestrator"), 30)
        await bus.client.publish(subjects.candidate(RUN, "random"), b"not a candidate")
        await bus.client.publish(subjects.presence("random", "somebody"), b"not a presence")
        assert decode(RunState, await bus.ask(subjects.START_RUN, StartRun(spec=SPEC, run=RUN))).status in (
            "running",
            "waiting",
        )
        finished = await eventually(lambda: bus.last("RESULTS", subjects.finished(RUN)), 60)

        async def recorded() -> dict[tuple[str, ...], float]:
            found = await scraped(recorder)
            return found if found.get(("chorus_recorded_entries_total", "finished")) else {}

        files = await eventually(recorded)
        decisions, calls = await scraped(orchestrator), await scraped(producer)
        stats = (await bus.client.request("$SRV.STATS.orchestrator", timeout=5)).data

    accepted = decisions["chorus_candidates_decided_total", "accepted", ""]
    assert accepted == files["chorus_recorded_entries_total", "accepted"] > 0
    assert decisions["chorus_candidates_refused_total", "malformed"] == 1
    assert decisions["chorus_messages_malformed_total", "Presence"] == 1
    assert b'"messages_malformed":1' in stats.replace(b" ", b"")
    assert decisions["chorus_decide_seconds_count",] > 0
    assert decisions["chorus_tasks_outstanding",] == decisions["chorus_log_full",] == 0
    assert calls["chorus_calls_total", "ok", "random"] == 2
    for direction in ("input", "output"):
        used = calls["chorus_call_tokens_total", direction, "random"]
        assert used == decisions["chorus_usage_tokens_total", direction, "random"]
    assert calls["chorus_key_paused_seconds",] == files["chorus_files_repaired_total",] == 0
    assert files["chorus_recorder_lag_seconds",] < 60
    assert finished


async def _answers(bus: Bus, name: str) -> Msg | None:
    try:
        return await bus.client.request(f"$SRV.PING.{name}", timeout=0.5)
    except Exception:
        return None
