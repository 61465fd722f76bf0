"""Says once a second, and at every change, that this producer is there and what it does."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from shared import subjects
from shared.bus import Bus
from shared.messages import Presence, now

EVERY_SECONDS = 1.0


class Announcer:
    """The presence of one producer on the bus."""

    def __init__(self, bus: Bus, describe: Callable[[], Presence]) -> None:
        self._bus = bus
        self._describe = describe
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Announce soon what is now."""
        self._changed.set()

    async def run(self) -> None:
        """Announce until cancelled, and then that this producer leaves."""
        try:
            while True:
                self._changed.clear()
                await self._tell(self._describe())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), EVERY_SECONDS)
        finally:
            await self._tell(msgspec.structs.replace(self._describe(), state="leaving", slots=0, busy=0, run="", task=""))

    async def _tell(self, presence: Presence) -> None:
        await self._bus.tell(
            subjects.presence(presence.provider, presence.producer), msgspec.structs.replace(presence, at=now())
        )
