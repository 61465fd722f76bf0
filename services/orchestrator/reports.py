"""Reads what producers report, has it decided and counted: the heart of the orchestrator.

Each provider has a stream and a loop of its own, so that nobody waits for another's flood. Within a stream a call's candidates
stand before its usage: once that is counted, the next avoid list can name them all.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import structlog

from services.orchestrator import metrics
from services.orchestrator.conductor import CLAIMANT, Conductor
from services.orchestrator.decision_log import RETRY_SECONDS, DecisionLog, Unwritten
from services.orchestrator.decisions import Arrival
from services.orchestrator.gate import Gate, Refused
from services.orchestrator.prices import Prices
from services.orchestrator.run import Outstanding, Run
from shared import streams, subjects, traces
from shared.bus import Bus, BusError, Entry, Stored
from shared.messages import Begun, Candidate, Usage

AT_ONCE = 200
"""Messages worked off before other work has its turn; as many decisions as one atomic batch holds."""

READ_AT_ONCE = 500
"""Messages of one read, which takes the loop some 15 ms: nobody's decision waits longer for another provider's flood."""

FEW_AT_ONCE = 50
"""While most of what a provider reports is passed over."""

REFUSED_SECONDS = 0.0005
"""Rest for each message that was passed over: who floods his own stream has 2,000 read a second, and fills it alone."""

TRIM_SECONDS = 5.0
"""Between two looks at whether a stream is so full that what the log has should go."""

UNREADABLE_SECONDS = 30.0
"""How long the end of a run waits for the reports of its last calls while the bus is there: a flood before them has no end."""

log = structlog.get_logger()


class Reports:
    """Takes reports from the bus to the log, and tells the conductors of them."""

    def __init__(
        self,
        bus: Bus,
        decisions: DecisionLog,
        conductors: Mapping[str, Conductor],
        prices: Prices,
        after: Mapping[str, int],
        loaded: Callable[[Run], Awaitable[None]],
    ) -> None:
        self._bus = bus
        self._log = decisions
        self._conductors = conductors
        self._prices = prices
        self._loaded = loaded
        self._at = dict(after)
        self._moved = asyncio.Condition()
        self._looked: dict[str, float] = {}
        """When it was last looked how full each stream is."""
        self._read_at_once: dict[str, int] = {}
        self.gate = Gate()

    async def follow(self, provider: str) -> None:
        """Work off the reports of a provider for ever. Raises what `DecisionLog.append` raises."""
        stream, wanted = streams.reports(provider), subjects.reports_of_provider(provider)
        most = self._read_at_once.get
        async for batch in self._bus.follow(stream, wanted, self._at[provider], lambda: most(provider, READ_AT_ONCE)):
            before = self.gate.refused_of[provider]
            for some in _slices(batch):
                refused = self.gate.refused_of[provider]
                await self._work_off(provider, some)
                await self._move(provider, some[-1].sequence)
                await asyncio.sleep(REFUSED_SECONDS * (self.gate.refused_of[provider] - refused))
            lies = 2 * (self.gate.refused_of[provider] - before) > len(batch)
            self._read_at_once[provider] = FEW_AT_ONCE if lies else READ_AT_ONCE
            await self._move(provider, batch.at)
            await self._trim(provider, stream)

    async def caught_up(self, providers: Iterable[str]) -> None:
        """Return once everything that these providers have reported by now is worked off: nothing paid for may be lost.

        Waits as long as the bus is away. A flood is not waited for longer than `UNREADABLE_SECONDS`.
        """
        ends = {provider: await self._end(provider) for provider in providers}
        patience = UNREADABLE_SECONDS
        while behind := [p for p, end in ends.items() if self._at[p] < end]:
            try:
                async with asyncio.timeout(1.0), self._moved:
                    await self._moved.wait()
            except TimeoutError:
                pass
            patience -= 1.0 if self._bus.connected else 0.0
            if patience <= 0:
                log.error("reports.behind", providers=behind, hint="a flood of reports; the last ones of a run are not read")
                return

    async def _end(self, provider: str) -> int:
        while True:
            try:
                return (await self._bus.head(streams.reports(provider))).last
            except BusError as error:
                log.warning("reports.unreachable", provider=provider, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _move(self, provider: str, at: int) -> None:
        async with self._moved:
            self._at[provider] = max(self._at[provider], at)
            self._moved.notify_all()

    async def _trim(self, provider: str, stream: str) -> None:
        """Take off a stream what is worked off, if it is about to be full; unless another orchestrator has taken over."""
        if time.monotonic() - self._looked.get(provider, float("-inf")) < TRIM_SECONDS:
            return
        self._looked[provider] = time.monotonic()
        try:
            if await self._log.is_ours():
                await self._bus.trim(stream, self._at[provider])
        except BusError as error:
            log.warning("reports.not_trimmed", provider=provider, error=str(error))

    # ---- one slice of a stream -------------------------------------------------------------------------------------

    async def _work_off(self, provider: str, some: Sequence[Stored]) -> None:
        """Decide and count these in their order; what they become goes into the log before anybody is told."""
        found = [(stored, message) for stored in some if (message := self.gate.read(provider, stored))]
        for name in {message.run: None for _, message in found}:
            if conductor := self._conductors.get(name):
                await self._loaded(conductor.run)
        waiting: dict[str, list[Arrival]] = {}
        for stored, message in found:
            if isinstance(message, Begun):
                self._note_claim(provider, message)
                continue
            try:
                conductor, held = self._outstanding(provider, message, stored)
                if isinstance(message, Candidate):
                    waiting.setdefault(message.run, []).append(self.gate.candidate(message, held, stored))
                    continue
            except Refused as reason:
                self.gate.refuse(provider, str(reason), message.task)
                continue
            except Exception:  # a fault of ours that a report brings about must not end all runs, again at each start
                log.exception("report.broken", subject=stored.subject[:200], sequence=stored.sequence)
                self.gate.refuse(provider, "broken", message.task)
                continue
            await self._decide(conductor.run, waiting.pop(message.run, []))
            await self._count(conductor, message, stored.sequence)
        for name, arrivals in waiting.items():
            if conductor_or_none := self._conductors.get(name):
                await self._decide(conductor_or_none.run, arrivals)

    def _note_claim(self, provider: str, claim: Begun) -> None:
        """Note that a producer makes a call: the server may forget who claimed it, and we must not."""
        conductor = self._conductors.get(claim.run)
        held = conductor.run.outstanding.get(claim.task) if conductor else None
        if held and not held.begun and held.task.provider == provider and claim.producer != CLAIMANT:
            held.begun, held.since = True, asyncio.get_running_loop().time()  # its time runs from here

    def _outstanding(self, provider: str, message: Candidate | Usage, stored: Stored) -> tuple[Conductor, Outstanding]:
        """The run and the task that a report belongs to. Raises Refused for what was not asked of this provider, or is over."""
        conductor = self._conductors.get(message.run)
        if conductor is None or not conductor.run.active:
            raise Refused("run_not_active")
        if stored.sequence <= conductor.run.places.get(provider, 0):
            raise Refused("known")  # the log has it, from before a restart
        held = conductor.run.outstanding.get(message.task)
        if held is None or held.task.provider != provider:
            raise Refused("not_outstanding")
        return conductor, held

    async def _decide(self, run: Run, arrivals: list[Arrival]) -> None:
        if not arrivals:
            return
        tasks = dict.fromkeys(arrival.trace for arrival in arrivals)
        began, late = time.monotonic(), run.late
        about: dict[str, traces.Value] = {"chorus.run": run.id, "chorus.candidates": len(arrivals)}
        with traces.span(traces.DECIDE, about, parent=run.trace, links=tasks) as span:
            undecidable = run.undecidable
            entries = run.decide(arrivals)
            if run.undecidable > undecidable:
                provider, count = arrivals[0].candidate.provider, run.undecidable - undecidable
                self.gate.refuse(provider, "undecidable", run.id, count=count)
            await self._write(entries)
            late = run.late - late
            accepted, duplicates = metrics.decided(entries)
            span.set({"chorus.accepted": accepted, "chorus.duplicates": duplicates, "chorus.late": late})
        metrics.LATE.add(by=late)
        metrics.DECIDE_SECONDS.add(time.monotonic() - began)
        if run.full and (conductor := self._conductors.get(run.id)):
            conductor.wake()

    async def _count(self, conductor: Conductor, usage: Usage, sequence: int) -> None:
        """Count a call and take in what it says of pairs: both go into the log, so that a replay does not ask again."""
        run = conductor.run
        held = run.outstanding.get(usage.task)
        if held is None:  # withdrawn or written off while its candidates were decided
            self.gate.refuse(usage.provider, "not_outstanding", usage.task)
            return
        if held.being_withdrawn and usage.error_kind == "lost":
            return  # whoever withdraws it says what became of it
        spent, judgements = self.gate.spent(usage, held, sequence, self._prices)
        await conductor.spend(spent, run.settle(spent, judgements))

    async def _write(self, entries: list[Entry]) -> None:
        try:
            await self._log.append(entries)
        except Unwritten:
            return  # the log says which; nobody else waits for it


def _slices(messages: Sequence[Stored]) -> Iterable[Sequence[Stored]]:
    return (messages[start : start + AT_ONCE] for start in range(0, len(messages), AT_ONCE))
