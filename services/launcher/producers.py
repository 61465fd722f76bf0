"""The producers of one stack, as many as are wanted."""

import time
from collections.abc import Callable, Mapping

import structlog

from services.launcher.children import Program
from services.launcher.fleet import Fleet
from shared.providers import problem_of

SURPLUS_SECONDS = 30.0
"""How long a producer is kept that no run wants: the next run often comes soon, and a start takes a second."""

log = structlog.get_logger()


class Producers:
    """Starts producers as they are wanted and stops those that have not been for `SURPLUS_SECONDS`."""

    def __init__(self, fleet: Fleet, program: Callable[[str, int], Program], variables: Mapping[str, str]) -> None:
        self._fleet = fleet
        self._program = program
        self._variables = variables
        self._running: dict[str, dict[int, str]] = {}
        """Child names by provider and number."""
        self._surplus_since: dict[str, float] = {}
        self._refused: set[str] = set()

    async def match(self, counts: Mapping[str, int]) -> None:
        """Bring the producers to these numbers."""
        for provider, count in counts.items():
            if self._can_start(provider):
                self._start_missing(provider, count)
        for provider in list(self._running):
            await self._stop_surplus(provider, counts.get(provider, 0))

    def _can_start(self, provider: str) -> bool:
        problem = problem_of(provider, self._variables)
        if problem and provider not in self._refused:
            self._refused.add(provider)  # said once, not every second
            log.error("producer.unusable", provider=provider, error=problem, hint="then start the stack again")
        return not problem

    def _start_missing(self, provider: str, count: int) -> None:
        running = self._running.setdefault(provider, {})
        for number in range(1, count + 1):
            if number not in running:
                child = self._fleet.add(self._program(provider, number))
                child.start()
                running[number] = child.program.name

    async def _stop_surplus(self, provider: str, count: int) -> None:
        running = self._running[provider]
        surplus = [number for number in running if number > count]
        if not surplus:
            self._surplus_since.pop(provider, None)
            return
        since = self._surplus_since.setdefault(provider, time.monotonic())
        if time.monotonic() - since < SURPLUS_SECONDS:
            return
        log.info("producer.surplus", provider=provider, stopped=len(surplus))
        await self._fleet.remove([running.pop(number) for number in surplus])
        del self._surplus_since[provider]
