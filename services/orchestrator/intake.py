"""Reads candidates in order and has them decided: the heart of the orchestrator."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from services.orchestrator import metrics
from services.orchestrator.decision_log import RETRY_SECONDS, DecisionLog
from services.orchestrator.decisions import Arrival
from services.orchestrator.run import Run
from shared import streams, subjects, traces
from shared.bus import Bus, BusError, Malformed, Stored, decode
from shared.messages import Candidate, candidate_id

CANDIDATES = streams.CANDIDATES.name or ""

CATCH_UP_SECONDS = 4.0
"""How long the count of a finished call waits for the decisions about its candidates; its slot stays taken meanwhile."""

log = structlog.get_logger()


class Intake:
    """Takes candidates from the bus to the log."""

    def __init__(
        self,
        bus: Bus,
        decisions: DecisionLog,
        runs: dict[str, Run],
        after: int,
        loaded: Callable[[Run], Awaitable[None]],
        decided: Callable[[Run], None],
    ) -> None:
        self._bus = bus
        self._log = decisions
        self._runs = runs
        self._loaded = loaded
        self._decided = decided
        self._at = after
        self._moved = asyncio.Condition()
        self.refused: Counter[str] = Counter()
        """Candidates that got no decision, by kind."""

    async def follow(self) -> None:
        """Decide candidates for ever. Raises what `DecisionLog.append` raises."""
        async for batch in self._bus.follow(CANDIDATES, [subjects.ALL_CANDIDATES], after=self._at):
            if batch:
                await self._decide(batch)
                async with self._moved:
                    self._at = batch[-1].sequence
                    self._moved.notify_all()

    async def decided_to(self, sequence: int) -> None:
        """Return once the candidates up to this sequence are decided, or after `CATCH_UP_SECONDS`."""
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS), self._moved:
                await self._moved.wait_for(lambda: self._at >= sequence)
        except TimeoutError:
            log.warning("intake.behind", at=self._at, wanted=sequence)

    async def caught_up(self) -> None:
        """Return once everything that is in CANDIDATES now is decided, however long the bus is away: none may be lost."""
        while True:
            try:
                end = (await self._bus.head(CANDIDATES)).last
                break
            except BusError as error:
                log.warning("intake.behind", at=self._at, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
        async with self._moved:
            await self._moved.wait_for(lambda: self._at >= end)

    async def _decide(self, batch: list[Stored]) -> None:
        arrivals: dict[str, list[Arrival]] = {}
        for stored in batch:
            candidate = self._read(stored)
            if candidate is not None:
                arrivals.setdefault(candidate.run, []).append(Arrival(stored.sequence, candidate, stored.trace))
        for name, group in arrivals.items():
            run = self._runs.get(name)
            if run is not None:
                await self._loaded(run)
            if run is None or not run.active:
                self._refuse("run_not_active", name, len(group))
                continue
            await self._decide_for(run, group)

    async def _decide_for(self, run: Run, group: list[Arrival]) -> None:
        tasks = dict.fromkeys(arrival.trace for arrival in group)
        began, late = time.monotonic(), run.late
        about: dict[str, traces.Value] = {"chorus.run": run.id, "chorus.candidates": len(group)}
        with traces.span(traces.DECIDE, about, parent=run.trace, links=tasks) as span:
            entries = run.decide(group)
            await self._log.append(entries)
            late = run.late - late
            accepted, duplicates = metrics.decided(entries)
            span.set({"chorus.accepted": accepted, "chorus.duplicates": duplicates, "chorus.late": late})
        metrics.LATE.add(by=late)
        metrics.DECIDE_SECONDS.add(time.monotonic() - began)
        self._decided(run)

    def _read(self, stored: Stored) -> Candidate | None:
        """The candidate, or None if it is malformed or not what its subject says: a producer may only speak for itself."""
        try:
            candidate = decode(Candidate, stored.data)
            if stored.subject != subjects.candidate(candidate.run, candidate.provider):
                raise Malformed(f"Candidate: says run {candidate.run} and provider {candidate.provider}")
            if candidate.id != candidate_id(candidate.task, candidate.text):
                raise Malformed("Candidate: its id is not the hash of its task and text")
        except (Malformed, ValueError) as error:
            self._refuse("malformed", stored.subject, 1, str(error))
            return None
        return candidate

    def _refuse(self, kind: str, what: str, count: int, error: str = "") -> None:
        self.refused[kind] += count
        metrics.REFUSED.add(kind, by=count)
        log.warning("candidate.refused", kind=kind, what=what, count=count, error=error)
