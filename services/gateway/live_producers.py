"""The producers that have lately said they are there."""

import time
from collections.abc import Callable

from shared.messages import Presence

SILENT_SECONDS = 5.0
"""A producer speaks once a second; after this long without a word it is gone."""

MAX_PRODUCERS = 1000
"""More are not shown: a bus with that many names has a fault, and the page could not show them anyway."""


class LiveProducers:
    """Presence by producer, forgotten when it falls silent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[float, Presence]] = {}

    def hear(self, presence: Presence) -> None:
        """Take a producer's word that it is there, or that it leaves."""
        if presence.state == "leaving":
            self._heard.pop(presence.producer, None)
            return
        if presence.producer not in self._heard and len(self._heard) >= MAX_PRODUCERS:
            self.all()
            if len(self._heard) >= MAX_PRODUCERS:
                return
        self._heard[presence.producer] = (self._clock(), presence)

    def all(self) -> list[Presence]:
        """Those heard of lately, by name."""
        oldest = self._clock() - SILENT_SECONDS
        self._heard = {name: heard for name, heard in self._heard.items() if heard[0] >= oldest}
        return [presence for _, (_, presence) in sorted(self._heard.items())]
