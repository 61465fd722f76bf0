"""How fast one address may ask: token buckets."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_ADDRESSES = 10_000
"""Addresses remembered, about 2 MB; the one that was silent longest is forgotten, and then has a full bucket again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, then `per_second`."""

    burst: float
    per_second: float


CHANGES = Rate(burst=60, per_second=5)
"""Starting and changing runs: more than people click and scripts need, less than would keep the orchestrator from its runs."""

READS = Rate(burst=400, per_second=100)
"""Everything else: a page asks about twice a second, and a person may have many."""

PUBLIC = Rate(burst=400, per_second=100)
"""What strangers may have: the page that asks for the token, and probes. Buckets of their own, which empty nobody else's."""

FAILURES = Rate(burst=10, per_second=0.2)
"""Wrong tokens and spent links. A right one is never counted nor refused: behind a proxy or NAT others share its address."""


class Buckets:
    """One bucket for each address."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._level: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> int:
        """Take one; returns 0, or the seconds until there is one to take."""
        level = self._refilled(address)
        taken = level >= 1
        self._level[address] = (level - 1 if taken else level, self._clock())
        self._level.move_to_end(address)
        if len(self._level) > MAX_ADDRESSES:
            self._level.popitem(last=False)
        return 0 if taken else math.ceil((1 - level) / self._rate.per_second)

    def _refilled(self, address: str) -> float:
        level, since = self._level.get(address, (self._rate.burst, self._clock()))
        return min(self._rate.burst, level + (self._clock() - since) * self._rate.per_second)


class Rates:
    """The buckets of a gateway."""

    def __init__(self, changes: Rate = CHANGES, reads: Rate = READS, public: Rate = PUBLIC, failures: Rate = FAILURES) -> None:
        self.changes = Buckets(changes)
        self.reads = Buckets(reads)
        self.public = Buckets(public)
        self.failures = Buckets(failures)
