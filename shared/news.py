"""Hearing that something new was stored, without being told of everything."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared import subjects
from shared.bus_errors import translated


class News:
    """Hears of the next message that is stored on one of some subjects, and of no more until it listens again.

    So a reader that is behind is not told of each message that it will read anyway.
    """

    def __init__(self, client: Client, wanted: Sequence[str]) -> None:
        self._client = client
        self._heard = asyncio.Event()
        self._subjects = [subjects.stored(subject) for subject in wanted]
        self._listening: dict[str, Subscription | None] = {}
        """What nothing was heard of since `listen`."""

    async def listen(self) -> bool:
        """Listen on the subjects of which something was heard; whether there was one.

        Raises BusError when that fails; the next call tries the same subjects again.
        """
        self._heard.clear()
        silent = [subject for subject in self._subjects if subject not in self._listening]
        for subject in silent:
            self._listening[subject] = None  # before the subscription: what is heard at once shall take it out again
            subscription = None
            try:
                with translated():
                    subscription = await self._client.subscribe(subject, cb=self._listener(subject))
                    await subscription.unsubscribe(1)  # the server ends it with the first message
            except BaseException:  # or a subject that nothing is heard of would count as listened to for ever
                self._listening.pop(subject, None)
                await _end(subscription)
                raise
            if subject in self._listening:
                self._listening[subject] = subscription
        return bool(silent)

    def _listener(self, subject: str) -> Callable[[Msg], Awaitable[None]]:
        async def on_news(_: Msg) -> None:
            self._listening.pop(subject, None)
            self._heard.set()

        return on_news

    async def wait(self, seconds: float) -> bool:
        """Whether something was heard within `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), seconds)
        return self._heard.is_set()

    async def close(self) -> None:
        for subscription in self._listening.values():
            await _end(subscription)


async def _end(subscription: Subscription | None) -> None:
    """End it, if the server is there to be told."""
    if subscription is not None:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
