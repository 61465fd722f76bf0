"""The event streams that are open, and how many there may be."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from services.gateway.problems import Problem

MAX_CLIENTS = 1000
"""Event streams at once: about 40 KB each, and within the usual limit of open files."""

MAX_PER_ADDRESS = 64
"""Of them from one address: an office behind one, but not one page gone wild. Behind a proxy all come from its address."""

SHORTEST_GAP = 0.01
"""Seconds between two writes to one client: what comes meanwhile goes out together."""

GAP_PER_CLIENT = 0.0001
"""Added for each open stream: 1,000 clients get 10,000 writes a second in all, which one core can do."""


class Clients:
    """Counts the open event streams, in all and for each address."""

    def __init__(self, per_address: int = MAX_PER_ADDRESS, limit: int = MAX_CLIENTS) -> None:
        self._limit = limit
        self._per_address = per_address
        self._open: Counter[str] = Counter()
        self.open = 0

    @property
    def gap(self) -> float:
        """Seconds that two writes to one client are apart."""
        return SHORTEST_GAP + GAP_PER_CLIENT * self.open

    @contextlib.contextmanager
    def one_more(self, address: str) -> Iterator[None]:
        self.open += 1
        self._open[address] += 1
        try:
            yield
        finally:
            self.open -= 1
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def require_room(self, address: str) -> None:
        """Raises Problem when a cap is reached."""
        if self.open >= self._limit:
            raise Problem(503, f"{self._limit} clients are watching already; try again later.")
        if self._open[address] >= self._per_address:
            raise Problem(503, f"{self._per_address} clients of your address are watching already; close one.")
