"""A key that several producers use: they hear each other, divide its limits, and pause together."""

import hashlib
import time
from collections.abc import Callable

from services.producer.limits import LONGEST_SECONDS, Limits
from shared import subjects
from shared.bus import Bus
from shared.messages import Pause, Presence, now
from shared.outside_text import as_line

SALT = "chorus key\n"
"""So that a fingerprint is found in no table of hashes of keys."""

WORK = {"n": 2**14, "r": 8, "p": 1}
"""Of scrypt (RFC 7914): 50 ms and 16 MB a guess, once at each start."""

SILENT_SECONDS = 4.0
"""A producer not heard of for this long no longer takes its part of the limits: three announcements missed."""


def fingerprint(key: str, stack: str = "") -> str:
    """What the bus is told of a key, or of an address that needs none: enough to know it again.

    It is another one in each `stack`, a text that all its producers share, and each guess of the key takes its time.
    """
    if not key:
        return ""
    return hashlib.scrypt(key.encode(), salt=(SALT + stack).encode(), dklen=16, **WORK).hex()


MOST_SHARERS = 99
"""Other producers of a key that are counted: as many as a run may have. Names that are made up must not leave us no part."""


class Key:
    """One producer's view of its key."""

    def __init__(self, bus: Bus, provider: str, producer: str, mark: str, limits: Limits) -> None:
        self.mark = mark
        """The key's fingerprint."""
        self.limits = limits
        self.on_pause: Callable[[], None] = lambda: None
        """Called when the key is paused, here or by another."""
        self._bus = bus
        self._provider = provider
        self._producer = producer
        self._heard: dict[str, float] = {}
        """When each other producer of the key was last heard of."""

    async def listen(self) -> None:
        """Hear of pauses, and of the other producers where there is a limit to divide."""
        await self._bus.listen(subjects.pause(self._provider), Pause, self._on_pause)
        if self.limits.configured:
            await self._bus.listen(subjects.presence_of_provider(self._provider), Presence, self._on_presence)

    async def pause(self, seconds: float, reason: str) -> None:
        """Stop using the key for so long, here and at all other producers of it."""
        self._pause(seconds)
        message = Pause(
            provider=self._provider,
            key=self.mark,
            seconds=round(min(seconds, LONGEST_SECONDS), 3),
            reason=as_line(reason),
            producer=self._producer,
            at=now(),
        )
        await self._bus.tell(subjects.pause(self._provider), message)

    async def _on_pause(self, pause: Pause) -> None:
        if pause.key == self.mark and pause.producer != self._producer:
            self._pause(pause.seconds)

    def _pause(self, seconds: float) -> None:
        self.limits.pause(seconds)
        self.on_pause()

    async def _on_presence(self, presence: Presence) -> None:
        moment = time.monotonic()
        counted = presence.producer in self._heard or len(self._heard) < MOST_SHARERS
        if presence.producer != self._producer and presence.key == self.mark and counted:
            self._heard[presence.producer] = moment if presence.state != "leaving" else float("-inf")
        self._heard = {name: at for name, at in self._heard.items() if at >= moment - SILENT_SECONDS}
        self.limits.sharers = 1 + len(self._heard)
