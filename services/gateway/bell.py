"""Waking all who wait for news, without a queue for any of them."""

import asyncio
import contextlib


class Bell:
    """Take a ticket, look at what there is, then wait: whatever comes after the ticket was taken ends the wait."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake everyone whose ticket was taken before now."""
        self._next.set()
        self._next = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """What to wait for; taken before looking, or news that comes in between would be slept through."""
        return self._next


async def wait(ticket: asyncio.Event, seconds: float) -> None:
    """Return when the bell rang, or after `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await ticket.wait()
