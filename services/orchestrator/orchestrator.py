"""The orchestrator service: its runs, the requests it answers, and the telemetry it sends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from services.orchestrator import endings, log_entries, metrics, recovery
from services.orchestrator.ceilings import Ceilings, Ledger
from services.orchestrator.conductor import Conductor
from services.orchestrator.decision_log import DecisionLog
from services.orchestrator.dedupe import Deduper
from services.orchestrator.dispatch import FIRST_SEEN_SECONDS, Load
from services.orchestrator.forecast import forecast
from services.orchestrator.prices import Prices, missing_line
from services.orchestrator.producers import Producers
from services.orchestrator.rates import Rate
from services.orchestrator.reports import Reports
from services.orchestrator.routing import Route, RoutingError, parse
from services.orchestrator.run import Run
from services.orchestrator.run_spans import RunSpans
from shared import streams, subjects, traces
from shared.bus import Bus, Entry, Fenced, Missing
from shared.messages import (
    Action,
    ChangeRun,
    Forecast,
    ForecastRun,
    Presence,
    Refusal,
    RunSpec,
    RunState,
    Snapshot,
    Spent,
    Started,
    StartRun,
    new_run_id,
    now,
)
from shared.providers import DEFAULT_MODELS, PROVIDERS
from shared.service import Service

SNAPSHOT_SECONDS = 0.5
"""Between two snapshots of a run: as often as a person can read a number."""

RESULTS = streams.RESULTS.name or ""

log = structlog.get_logger()


class Orchestrator:
    """Holds the active runs and gives each event on the bus to the run it belongs to."""

    def __init__(
        self, bus: Bus, decisions: DecisionLog, prices: Prices, ceilings: Ceilings, offered: tuple[str, ...] | None
    ) -> None:
        self._bus = bus
        self._prices = prices
        self._log = decisions
        self._ceilings = ceilings
        self._ledger = Ledger(ceilings)
        self._offered = offered
        """Providers whose producers are started as a run asks for them; None where nobody tells."""
        self._since = asyncio.get_running_loop().time()
        self._runs: dict[str, Run] = {}
        self._conductors: dict[str, Conductor] = {}
        self._conducting: dict[str, asyncio.Task[None]] = {}
        self._rates: dict[str, Rate] = {}
        self._producers = Producers()
        self._load = Load()
        self._loading: asyncio.Task[Deduper] | None = None
        self._starting = asyncio.Lock()  # asked twice at once with one id, one run starts
        self._reports: Reports
        self._completing: asyncio.Task[None]
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(
        cls,
        service: Service,
        prices: Prices,
        ceilings: Ceilings = Ceilings(),  # noqa: B008  # it is frozen
        offered: tuple[str, ...] | None = None,
    ) -> "Orchestrator":
        """Take over the log, rebuild the active runs, and go on with them."""
        decisions = await DecisionLog.take_over(service.bus, service.id)
        self = cls(service.bus, decisions, prices, ceilings, offered)
        heads = {p: (await service.bus.head(streams.reports(p))).last for p in PROVIDERS}
        recovered = await recovery.active_runs(service.bus, prices, asyncio.get_running_loop().time())
        if ceilings.max_usd_per_day is not None:
            await recovery.spending(service.bus, self._ledger)
        after = {p: min([head, *(one.run.places.get(p, 0) for one in recovered)]) for p, head in heads.items()}
        self._reports = Reports(service.bus, decisions, self._conductors, prices, after, self._loaded)
        for one in recovered:
            spans = RunSpans(one.run.id, one.run.spec, one.trace, recovered=True)
            self._conduct(self._hold(one.run, spans, one.history))
        self._completing = asyncio.create_task(endings.complete(service.bus))
        return self

    async def serve(self, service: Service) -> None:
        """Answer requests and listen to the producers."""
        metrics.RUNS.read = lambda: len(self._runs)
        metrics.OUTSTANDING.read = lambda: sum(self._load.tasks.copy().values())
        metrics.LOG_FULL.read = lambda: int(self._log.full)
        await self._bus.listen(subjects.ALL_PRESENCE, Presence, self._producers.announced)
        await service.endpoint(subjects.START_RUN, StartRun, self._on_start)
        await service.endpoint(subjects.FORECAST_RUN, ForecastRun, self._on_forecast)
        await service.endpoint(subjects.STOP_RUN, ChangeRun, self._changing(_stop, None))
        await service.endpoint(subjects.PAUSE_RUN, ChangeRun, self._changing(Conductor.pause, "paused"))
        await service.endpoint(subjects.RESUME_RUN, ChangeRun, self._changing(Conductor.resume, "resumed"))

    # ---- the loops -------------------------------------------------------------------------------------------------

    async def read_reports(self, provider: str) -> None:
        """Decide and count for ever what the producers of a provider report."""
        await self._reports.follow(provider)

    async def wake_for_producers(self) -> None:
        """Have the runs look again whenever a producer comes or goes."""
        while True:
            await self._producers.changed.wait()
            self._producers.changed.clear()
            for conductor in self._conductors.values():
                conductor.wake()

    async def send_snapshots(self) -> None:
        """Tell how the active runs stand, twice a second."""
        while True:
            await asyncio.sleep(SNAPSHOT_SECONDS)
            for conductor in list(self._conductors.values()):
                if conductor.run.id not in self._rates:
                    continue  # it ended while the others were told of
                await self._bus.tell(subjects.snapshot(conductor.run.id), self._snapshot(conductor.run))
                await conductor.save()

    async def watch_for_successor(self) -> None:
        """Return never; raise Fenced once another orchestrator has taken over, so that two never answer side by side."""
        async for batch in self._bus.follow(RESULTS, [subjects.ALL_EPOCHS], after=self._log.fence):
            if successors := [stored for stored in batch if log_entries.is_entry(stored)]:
                raise Fenced(f"another orchestrator has taken over ({successors[-1].subject})")

    async def keep_room(self) -> None:
        """Have room for the states of new runs, for ever."""
        await endings.keep_room(self._bus)

    async def stop_on_failure(self) -> None:
        """Return never; raise what a run's conductor raised."""
        await self._failed

    # ---- runs ------------------------------------------------------------------------------------------------------

    def _hold(self, run: Run, spans: RunSpans, history: Sequence[Spent] = ()) -> Conductor:
        """Take up a run; nothing is handed out for it yet."""
        run.trace = spans.context
        caught_up = self._reports.caught_up
        conductor = Conductor(run, spans, self._bus, self._log, caught_up, self._producers, self._load, self._ledger, history)
        self._begin_loading(run.spec)
        self._runs[run.id] = run
        self._conductors[run.id] = conductor
        self._rates[run.id] = Rate()
        return conductor

    def _conduct(self, conductor: Conductor) -> None:
        name = conductor.run.id
        with traces.working(conductor.run.trace):  # for all that the task does
            task = asyncio.create_task(conductor.conduct(), name=f"run {name}")
        task.add_done_callback(lambda done: self._ended(name, done))
        self._conducting[name] = task

    def _ended(self, id: str, done: asyncio.Task[None]) -> None:
        for held in (self._conductors, self._runs, self._rates, self._conducting):
            held.pop(id, None)
        if not done.cancelled() and (error := done.exception()) and not self._failed.done():
            self._failed.set_exception(error)

    def _begin_loading(self, spec: RunSpec) -> None:
        """Begin to load what a run's deduplication needs: it takes seconds, and calls can be made meanwhile."""
        if spec.dedupe != "exact" and self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(Deduper, "semantic"))

    async def _loaded(self, run: Run) -> None:
        """Return once what the run's deduplication needs is loaded. Shielded: what is loaded serves all runs."""
        if run.spec.dedupe != "exact" and self._loading is not None:
            await asyncio.shield(self._loading)

    def _snapshot(self, run: Run) -> Snapshot:
        moment = asyncio.get_running_loop().time()
        return Snapshot(
            state=run.state(),
            outstanding=len(run.outstanding),
            per_minute=round(self._rates[run.id].sample(moment, run.accepted), 1),
            producers=sum(len(self._producers.live(p)) for p in run.spec.providers),
            at=now(),
        )

    # ---- requests --------------------------------------------------------------------------------------------------

    async def _on_start(self, request: StartRun) -> RunState | Refusal:
        name = request.run or new_run_id()
        async with self._starting:
            if name in self._runs:
                return self._runs[name].state()
            if crowded := self._ceilings.crowded(len(self._runs)):
                return Refusal(error=crowded, code="conflict")
            if await self._bus.last(RESULTS, subjects.started(name)):
                return Refusal(error=f"run {name} has ended; start a new one", code="conflict")
            spec = self._ceilings.bounded(request.spec)
            if problem := self._problem(spec) or self._nobody(spec):
                return Refusal(error=problem, code="invalid")
            return await self._start_run(name, spec)

    def _nobody(self, spec: RunSpec) -> str:
        """Why none of the providers can be asked, in words; empty if one can, or may in a moment."""
        young = asyncio.get_running_loop().time() - self._since < FIRST_SEEN_SECONDS
        if any(self._producers.live(p) or p in (self._offered or ()) for p in spec.providers):
            return ""
        if self._offered is None and young:
            return ""
        return (
            f"no producer of {' or '.join(spec.providers)} is running, and none will be started for the run: "
            "start one, give its provider a key, or choose another provider"
        )

    def _problem(self, spec: RunSpec) -> str:
        """Why a run cannot be started as it is wished, in words; empty if it can."""
        if bool(spec.routing_strategy) != bool(spec.routing_config):
            return "routing_strategy and routing_config belong together: give both or none"
        try:
            routes = self._routes(spec)
        except RoutingError as error:
            return str(error)
        strangers = {r.provider for r in routes} - set(spec.providers)
        if strangers:
            return f"routing_config names {', '.join(sorted(strangers))}, which is not among the providers"
        unpriced = [r for r in routes if r.model and self._prices.of(r.provider, r.model) is None]
        if problem := self._ceilings.problem(spec, [(r.provider, r.model) for r in unpriced]):
            return problem
        if spec.max_usd is not None and unpriced:
            lines = "; ".join(missing_line(r.provider, r.model) for r in unpriced)
            return f"a dollar budget needs the price of every model; add to the price table: {lines}"
        return ""

    def _routes(self, spec: RunSpec) -> list[Route]:
        """The routes of a run with their models, as far as live producers have said which these are."""
        announced = {p: self._producers.models(p) or [""] for p in spec.providers}
        if not spec.routing_strategy:
            return [Route(p, model) for p, models in announced.items() for model in models]
        _, routes = parse(spec.routing_strategy, spec.routing_config)
        return [Route(r.provider, r.model or announced.get(r.provider, [""])[0], r.weight) for r in routes]

    async def _on_forecast(self, request: ForecastRun) -> Forecast | Refusal:
        spec = request.spec
        if problem := self._problem(msgspec.structs.replace(spec, max_usd=None)):
            return Refusal(error=problem, code="invalid")
        routes = [Route(r.provider, r.model or DEFAULT_MODELS[r.provider], r.weight) for r in self._routes(spec)]
        return forecast(spec, routes, self._prices)

    async def _start_run(self, name: str, spec: RunSpec) -> RunState:
        after = {p: (await self._bus.head(streams.reports(p))).last for p in spec.providers}
        started = Started(run=name, spec=spec, reports_after=after, at=now())
        spans = RunSpans(name, spec, traces.current())
        await self._log.append([Entry(subjects.started(name), started, spans.context)])
        run = Run(name, spec, started.at, after, prices=self._prices)
        conductor = self._hold(run, spans)
        self._conduct(conductor)
        log.info("run.started", run=name, topic=spec.topic, providers=spec.providers, producers=spec.producers)
        await conductor.announce("started")
        await conductor.save()
        return run.state()

    def _changing(
        self, change: Callable[[Conductor], Awaitable[None]], action: Action | None
    ) -> Callable[[ChangeRun], Awaitable[msgspec.Struct]]:
        async def on_change(request: ChangeRun) -> RunState | Refusal:
            conductor = self._conductors.get(request.run)
            if conductor is None:
                return await self._not_active(request.run)
            if action and conductor.ending:
                return Refusal(error=f"run {request.run} is being ended", code="conflict")
            await change(conductor)
            if action:
                await conductor.announce(action)
            await conductor.save()
            return conductor.run.state()

        return on_change

    async def _not_active(self, id: str) -> Refusal:
        try:
            known = await self._bus.last(RESULTS, subjects.started(id))
        except Missing:
            known = None
        if known is None:
            return Refusal(error=f"there is no run {id}", code="not_found")
        return Refusal(error=f"run {id} has ended already", code="conflict")


async def _stop(conductor: Conductor) -> None:
    conductor.end("stopped", "stopped by the user")
