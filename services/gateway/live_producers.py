"""The producers that have lately said they are there."""

import time
from collections.abc import Callable, Iterable, Mapping

from shared.messages import Presence
from shared.providers import PROVIDERS, resolve, with_keys

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


def default_providers(variables: Mapping[str, str], live: Iterable[Presence]) -> tuple[str, ...]:
    """The providers of a run that names none: those with a key here, else those whose producers are there, else local.

    Where each service has a machine or a container of its own, the gateway has no keys and the producers have theirs.
    Raises ValueError, with a sentence for the user, for a key that cannot be one.
    """
    if with_keys(variables):
        return resolve("env", variables)
    there = {presence.provider for presence in live}
    return tuple(provider for provider in PROVIDERS if provider in there) or ("local",)
