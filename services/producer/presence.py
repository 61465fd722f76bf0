"""Says once a second, and at every change, that this producer is there and what it does."""

import asyncio
import contextlib
from typing import Any

import msgspec

from shared import subjects
from shared.bus import Bus
from shared.messages import Presence, now

EVERY_SECONDS = 1.0


class Announcer:
    """The presence of one producer on the bus."""

    def __init__(self, bus: Bus, presence: Presence) -> None:
        self._bus = bus
        self._presence = presence
        self._changed = asyncio.Event()

    def show(self, **changes: Any) -> None:
        """Change what is announced, and announce it soon."""
        self._presence = msgspec.structs.replace(self._presence, **changes)
        self._changed.set()

    async def run(self) -> None:
        """Announce until cancelled, and then that this producer leaves."""
        try:
            while True:
                self._changed.clear()
                await self._tell()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), EVERY_SECONDS)
        finally:
            self.show(state="leaving", slots=0, busy=0, run="")
            await self._tell()

    async def _tell(self) -> None:
        await self._bus.tell(subjects.presence(self._presence.producer), msgspec.structs.replace(self._presence, at=now()))
