"""What the operator allows all runs together: how many there are, how large each is, and what they cost in a day.

A run's own limits are its user's (see `budget`); these hold whatever a user asks for. Pure: the clock is the caller's.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from services.orchestrator.prices import dollars, missing_line, pico
from shared.messages import RunSpec
from shared.service import Settings

MAX_DAYS = 1000
"""Days of which the spending is kept: a day takes some 100 bytes, and only the present one is asked for."""

Dollars = Annotated[float, Meta(gt=0, le=1_000_000)]


class Ceilings(Settings, frozen=True, kw_only=True):
    """The settings of the orchestrator that are ceilings. None does not apply."""

    max_usd_per_run: Dollars | None = None
    """Dollars that a run may cost; a run that names no limit of its own has this one."""
    max_usd_per_day: Dollars | None = None
    """Dollars that the calls of all runs may cost between two midnights of UTC."""
    max_runs: Annotated[int, Meta(ge=1, le=1000)] = 32
    """Active runs at once: each holds its list in memory, and they share the producers."""
    max_producers_per_run: Annotated[int, Meta(ge=1, le=99)] = 99
    """Producers that a run may ask for: a launcher starts a process for each."""

    def __post_init__(self) -> None:
        for name, usd in (("MAX_USD_PER_RUN", self.max_usd_per_run), ("MAX_USD_PER_DAY", self.max_usd_per_day)):
            if usd is not None and not usd > 0:  # "nan" is a float that no bound of a type refuses
                raise ValueError(f"{name} is no amount of dollars")

    def bounded(self, spec: RunSpec) -> RunSpec:
        """What a user asks for, with the limit of dollars that it lacks."""
        if spec.max_usd is None and self.max_usd_per_run is not None:
            return msgspec.structs.replace(spec, max_usd=self.max_usd_per_run)
        return spec

    def crowded(self, active: int) -> str:
        """Why no run can be started beside so many active ones, in words; empty if one can."""
        if active < self.max_runs:
            return ""
        return f"{self.max_runs} runs are active, which is the most (MAX_RUNS); stop one first"

    def problem(self, spec: RunSpec, unpriced: Sequence[tuple[str, str]] = ()) -> str:
        """Why such a run is refused, in words; empty if it may start. `unpriced` are its models without a price."""
        if spec.producers > self.max_producers_per_run:
            most = self.max_producers_per_run
            return f"{spec.producers} producers are asked for; a run may have {most} at most (MAX_PRODUCERS_PER_RUN)"
        most_usd = self.max_usd_per_run
        if most_usd is not None and spec.max_usd is not None and spec.max_usd > most_usd:
            return f"max_usd is ${spec.max_usd:.10g}; a run may cost ${most_usd:.10g} at most (MAX_USD_PER_RUN)"
        if unpriced and (setting := self.in_dollars):
            lines = "; ".join(missing_line(provider, model) for provider, model in unpriced)
            return f"{setting} needs the price of every model; add to the price table: {lines}"
        return ""

    @property
    def in_dollars(self) -> str:
        """The setting that has every model need a price; empty when none does."""
        if self.max_usd_per_run is not None:
            return "MAX_USD_PER_RUN"
        return "MAX_USD_PER_DAY" if self.max_usd_per_day is not None else ""


def day_of(at: str) -> str:
    """The day of a time as the wire writes it, in UTC: `2026-11-29`; empty, which is no day, for what is no time."""
    try:
        return datetime.fromisoformat(at).astimezone(UTC).date().isoformat() if at else ""
    except (ValueError, OverflowError):
        return ""


class Ledger:
    """The dollars of all runs by day, in picodollars. What a day's calls cost and may yet cost never passes the ceiling.

    A replay of the log rebuilds it by `spent`, in any order. A call under way is counted with whatever day it is: it ends on
    this one, or on the next, which it then is a part of.
    """

    def __init__(self, ceilings: Ceilings) -> None:
        self._ceiling = ceilings.max_usd_per_day
        self._spent: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self.reserved = 0
        """Picodollars that the calls under way may cost at most."""

    def of(self, day: str) -> int:
        """Picodollars that the calls that ended on a day have cost."""
        return self._spent.get(day, 0)

    def short(self, worst: int, day: str) -> str:
        """Why a call that costs at most so much cannot be made on this day, in words; empty if it can.

        A call that costs nothing can always be made.
        """
        if self._ceiling is None or not worst:
            return ""
        ceiling, named = pico(self._ceiling), f"the day's ceiling of ${self._ceiling:.10g} (MAX_USD_PER_DAY)"
        if worst > ceiling:
            return f"another call may cost ${dollars(worst):.3g}, which is more than {named}"
        if self.of(day) + worst > ceiling:
            return f"{named} is reached; it goes on after midnight UTC"
        if self.of(day) + self.reserved + worst > ceiling:
            return f"{named} is set aside for the calls under way; it goes on with what they leave"
        return ""

    def hold(self, task: str, worst: int) -> None:
        """Set aside what a call may cost at most, until `spent` or `release` name its task. Once more does nothing."""
        if task not in self._held:
            self._held[task] = worst
            self.reserved += worst

    def release(self, task: str) -> None:
        """Free what was set aside for a call that was not made."""
        self.reserved -= self._held.pop(task, 0)

    def spent(self, day: str, cost: int, task: str = "") -> None:
        """Count what a call that ended on this day has cost, and free what was set aside for its task."""
        self.release(task)
        self._spent[day] = self.of(day) + cost
        if len(self._spent) > MAX_DAYS:
            del self._spent[min(self._spent)]
