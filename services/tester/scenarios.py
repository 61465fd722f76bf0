"""The scenarios: what is set up, what is done, and what must be found."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from services.tester import faults, invariants, readings, traced
from services.tester.collector import Collector
from services.tester.evidence import Evidence
from services.tester.invariants import Broken
from services.tester.report import Report, Result, say
from services.tester.stack import Stack, StackError
from services.tester.trial import LATENCY_SECONDS, attempt, chance_of, run_spec
from services.tester.watch import Late, Watched, until
from shared.bus import Bus, BusError
from shared.providers import with_keys
from shared.service import environment

SPANS_SECONDS = 8.0
"""How long the last spans may take: they are exported every second, in batches."""

RANDOM = "random"


class NotRun(Exception):
    """Raised when a scenario cannot be run here; the text says what it needs."""


@dataclass(slots=True)
class Stage:
    """What a scenario works with: one stack, one connection, one collector."""

    stack: Stack
    bus: Bus
    collector: Collector
    report: Report
    seconds: float
    """How long a run may take."""
    seed: int
    facts: list[str] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    async def begin(self, **spec: Any) -> Watched:
        """Have a run started."""
        wish = {"topic": "Test Topic", "providers": [RANDOM], "dedupe": "exact", "seed": self.seed, **spec}
        self.report.note(f"starts a run: {wish}")
        return await Watched.begin(self.stack.url, self.bus, self.stack.output, **wish)

    async def end(self, watched: Watched) -> Evidence:
        """Wait for a run's end and hold it against the invariants."""
        evidence = await watched.verdict(self.seconds, self.stack.producer_logs())
        self.broken += invariants.check(evidence)
        counts = f"{len(evidence.accepted)} attributes, {len(evidence.duplicates)} duplicates, {len(evidence.usages)} calls"
        self.facts.append(counts)
        return evidence

    async def run(self, **spec: Any) -> Evidence:
        """One run from start to end, in the time it may take, with the traces that it should leave."""
        since = time.monotonic()
        evidence = await self.end(await self.begin(**spec))
        self.facts.append(f"{time.monotonic() - since:.1f} s")
        with contextlib.suppress(Late):  # what is missing is said below
            await until(traced.ended(self.collector, evidence.run), SPANS_SECONDS, "the last spans")
        spans = self.collector.spans(run=evidence.run)
        self.facts.append(f"{len(spans)} spans")
        self.broken += traced.budget_told(spans, spec.get("iterations"))
        self.broken += traced.completed(spans, evidence)
        self.broken += traced.one_trace(spans)
        self.expect(evidence.finished is not None and evidence.finished.status == "finished", "the run did not finish in order")
        calls = spec.get("iterations", 0) * spec.get("producers", 0)
        self.expect(len(evidence.usages) == calls, f"{calls} model calls were wanted; {len(evidence.usages)} were reported")
        return evidence

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.broken.append(Broken("expected", otherwise))


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `play` does and judges; `producers` are started beforehand."""

    name: str
    words: str
    producers: int
    seconds: float
    play: Callable[[Stage], Awaitable[None]]
    latency: str = "0.05"
    """RANDOM_LATENCY_SECONDS."""
    provider: Callable[[], str] = lambda: RANDOM


async def basic(stage: Stage) -> None:
    await stage.run(producers=2, iterations=5)


async def load(stage: Stage) -> None:
    evidence = await stage.run(producers=5, iterations=10)
    stage.expect(len(evidence.accepted) >= 200, f"at least 200 attributes were wanted; there are {len(evidence.accepted)}")
    stage.expect(bool(evidence.duplicates), "five producers on one topic repeat each other, but no duplicate was found")


async def minimal(stage: Stage) -> None:
    await stage.run(producers=1, iterations=2)


async def empty(stage: Stage) -> None:
    evidence = await stage.run(producers=1, iterations=0)
    stage.expect(not evidence.candidates, "a run of no calls has candidates")


async def single_start(stage: Stage) -> None:
    evidence = await stage.run(producers=3, iterations=10)
    spans = stage.collector.spans(run=evidence.run)
    stage.broken += traced.started_once(stage.collector.spans(), spans, 3)
    stage.broken += traced.nothing_failed(spans)
    stage.expect(len(evidence.accepted) >= 50, f"at least 50 attributes were wanted; there are {len(evidence.accepted)}")
    wrong = [line for path in sorted(stage.stack.logs.glob("*.log")) for line in readings.complaints(path)]
    stage.expect(not wrong, f"services logged errors: {wrong[:3]}")


async def healing(stage: Stage) -> None:
    """A producer is killed in the middle of a call; the others are left alone."""
    watched = await stage.begin(producers=3, iterations=8, request_size=20)
    await watched.until_accepted(10)
    before = {child.name: child.pid for child in stage.stack.children()}
    victim = stage.stack.pick("producer", chance_of("healing", stage.seed))
    stage.report.note(f"kills {victim.name} (process {victim.pid})")
    stage.stack.kill(victim)
    killed_at = asyncio.get_running_loop().time()
    evidence = await stage.end(watched)
    await stage.stack.until_ready(but=victim.pid)
    after = {child.name: child.pid for child in stage.stack.children()}
    touched = [name for name, pid in before.items() if name != victim.name and after.get(name) != pid]
    stage.expect(not touched, f"processes that were not killed were replaced: {touched}")
    recovery = invariants.recovery(watched.readers(), killed_at)
    stage.broken += invariants.recovers(recovery)
    stage.broken += invariants.pays_once(evidence, 1)
    stage.broken += invariants.survives(stage.stack.ended(), stage.stack.killed)
    stage.expect(len(evidence.usages) == 24, f"24 model calls were wanted; {len(evidence.usages)} were reported")
    stage.facts.append(f"went on after {recovery:.2f} s" if recovery is not None else "did not go on")


async def trace_capture(stage: Stage) -> None:
    """The start of a run is seen in the traces while it goes on."""
    watched = await stage.begin(producers=2, iterations=3)
    seen = lambda: bool(stage.collector.spans("run.started", run=watched.run))  # noqa: E731
    await until(seen, 15, f"a span of the start of run {watched.run}")
    stage.expect(not stage.collector.spans("run", run=watched.run), "the start was only seen when the run had ended")
    evidence = await stage.end(watched)
    with contextlib.suppress(Late):
        await until(traced.ended(stage.collector, evidence.run), SPANS_SECONDS, "the last spans")
    spans = stage.collector.spans(run=evidence.run)
    stage.broken += [*traced.all_services(spans, 2), *traced.one_trace(spans), *traced.completed(spans, evidence)]
    stage.facts.append(f"{len(spans)} spans of {len({s.service for s in spans})} services")


async def webserver(stage: Stage) -> None:
    """The dashboard is there, a run is started and stopped in it, it stays, and the next topic starts clean."""
    async with httpx.AsyncClient(base_url=stage.stack.url, timeout=10, trust_env=False) as http:
        for path in ("/", "/livez", "/readyz", "/openapi.json"):
            response = await http.get(path)
            stage.expect(response.is_success, f"GET {path} gives {response.status_code}")
        watched = await stage.begin(topic="First topic", producers=2, iterations=1000, request_size=20)
        await watched.until_accepted(20)
        await watched.stop()
        before, since = watched.accepted, asyncio.get_running_loop().time()
        first = await stage.end(watched)
        stage.broken += invariants.stops(before, first, asyncio.get_running_loop().time() - since, within=10)
        stage.expect(first.finished is not None and first.finished.status == "stopped", "the run does not say it was stopped")
        stage.expect((await http.get("/")).is_success, "the dashboard went away with the run")
        second = await stage.end(await stage.begin(topic="Second topic", producers=2, iterations=2))
        stage.expect(second.accepted[:1] != [] and second.accepted[0].ordinal == 1, "the second run does not start at 1")
        listed = (await http.get("/api/runs")).json()
        stage.expect({first.run, second.run} <= {run["run"] for run in listed}, "a run is missing from the list of runs")


async def real_api(stage: Stage) -> None:
    """One producer, two calls, real money: a cent at most."""
    provider = key_holder()
    evidence = await stage.run(topic="paris attractions", providers=[provider], producers=1, iterations=2, request_size=20)
    stage.expect(bool(evidence.files.text), "output.txt is empty")


async def process_faults(stage: Stage) -> None:
    """Every fault of processes once, on one stack that outlives them all."""
    times: list[float] = []
    for fault in faults.PROCESS_FAULTS:
        since = time.monotonic()
        await stage.stack.until_ready()
        trial, evidence = await attempt(
            fault.name,
            stage.seed,
            lambda fault=fault: Watched.begin(  # type: ignore[misc]  # the default binds it now
                stage.stack.url, stage.bus, stage.stack.output, **run_spec(fault.name, stage.seed)
            ),
            lambda chance, fault=fault: fault.make(stage.stack, chance),  # type: ignore[misc]
            stage.stack.producer_logs,
        )
        if evidence is not None:
            trial.broken += invariants.pays_once(evidence, fault.repeats)
        trial.broken += invariants.survives(stage.stack.ended(), stage.stack.killed)
        facts = [f"recovery {'-' if trial.recovery is None else f'{trial.recovery:.2f} s'}", f"{trial.candidates} candidates"]
        facts += [f"{trial.lost} lost", f"{trial.doubled} doubled", f"{trial.wasted} calls wasted"]
        stage.report.add(Result(f"faults: {fault.name}", time.monotonic() - since, facts, trial.broken))
        if trial.recovery is not None:
            times.append(trial.recovery)
    stage.broken += invariants.mostly_recovers(times)
    stage.facts.append(f"{len(times)} faults, recovery up to {max(times, default=0):.2f} s, seed {stage.seed}")


def key_holder() -> str:
    """A provider that has a key. Raises NotRun when none has."""
    found = with_keys(environment())
    if not found:
        raise NotRun("it needs a key: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY")
    return found[0]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("basic", "2 producers, 5 calls each", 2, 30, basic),
        Scenario("load", "5 producers, 10 calls each, at least 200 attributes", 5, 60, load),
        Scenario("healing", "3 producers, 8 calls each, one is killed", 3, 90, healing, latency="0.4"),
        Scenario("single-start", "3 producers, 10 calls each, each started and each task given out once", 3, 60, single_start),
        Scenario("webserver", "dashboard, start, stop, a second topic", 2, 30, webserver, latency="0.3"),
        Scenario("real-api", "one producer, 2 calls to a real vendor", 1, 120, real_api, provider=key_holder),
        Scenario("empty", "no calls at all", 1, 20, empty),
        Scenario("minimal", "one producer, 2 calls", 1, 20, minimal),
        Scenario("trace-capture", "spans from every service while the run goes on", 2, 30, trace_capture, latency="1.2"),
        Scenario("faults", "every process killed and stopped in the middle of runs", 3, 60, process_faults, LATENCY_SECONDS),
    )
}


async def play(scenario: Scenario, report: Report, seed: int, seconds: float | None, port: int, keep: bool) -> Result:
    """Set a scenario up, play it, and take it down again; with `keep`, when somebody says so."""
    since = time.monotonic()
    result = Result(scenario.name)
    try:
        async with _staged(scenario, report, seed, seconds or scenario.seconds, port) as stage:
            result.facts, result.broken = stage.facts, stage.broken
            await scenario.play(stage)
            if keep:
                say(f"         still running: {stage.stack.url}, NATS at {stage.stack.nats_url}; Ctrl-C ends it")
                await asyncio.Event().wait()
    except NotRun as error:
        result.skipped = str(error)
    except (Late, StackError, BusError, httpx.HTTPError) as error:
        result.broken.append(Broken("expected", f"{type(error).__name__}: {error}"))
    result.seconds = time.monotonic() - since
    return result


@contextlib.asynccontextmanager
async def _staged(scenario: Scenario, report: Report, seed: int, seconds: float, port: int) -> AsyncIterator[Stage]:
    provider = scenario.provider()
    with tempfile.TemporaryDirectory(prefix="tester-", ignore_cleanup_errors=True) as folder:
        collector = Collector(port).start()
        stack = Stack(Path(folder), producers=scenario.producers, provider=provider)
        try:
            variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "RANDOM_LATENCY_SECONDS": scenario.latency}
            await stack.start(variables)
            report.note(f"{scenario.name}: {scenario.words}; the stack is at {stack.url}, its logs in {stack.logs}")
            bus = await stack.connect()
            try:
                yield Stage(stack, bus, collector, report, seconds, seed)
            finally:
                await bus.close()
        finally:
            await stack.stop()
            collector.stop()
