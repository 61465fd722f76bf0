"""The work queue of tasks, as a producer sees it."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from shared import streams, waits
from shared.bus_errors import Unavailable, translated
from shared.wire import TRACEPARENT


class Delivery:
    """One task as handed out by the work queue: to be ended by exactly one of `done`, `retry` or `discard`."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.data = message.data
        self.subject = message.subject
        self.trace = (message.headers or {}).get(TRACEPARENT, "")
        self.attempt = message.metadata.num_delivered

    async def working(self) -> None:
        """Tell the queue that the task is still being worked on."""
        with translated():
            await self._message.in_progress()

    async def done(self) -> None:
        """Take the task off the queue. Raises Unavailable when the server did not confirm it."""
        with translated():
            await self._message.ack_sync(timeout=waits.REQUEST_SECONDS)

    async def retry(self, seconds: float) -> None:
        """Give the task back, to be handed out again after a delay: a bare nak would spin on a task that always fails."""
        with translated():
            await self._message.nak(delay=seconds)

    async def discard(self) -> None:
        """Take a task off the queue that cannot be done by anybody."""
        with translated():
            await self._message.term()


class WorkQueue:
    """The tasks of one provider, shared by all its producers."""

    def __init__(self, client: Client, js: JetStreamContext, provider: str) -> None:
        self._client = client
        self._js = js
        self._consumer = streams.producer_consumer(provider)
        self._pull: JetStreamContext.PullSubscription | None = None

    async def take(self) -> Delivery | None:
        """The next task, or None when none came within `waits.IDLE_SECONDS`. Raises Missing when there is no queue yet."""
        if not self._client.is_connected:
            # A request made now is kept and sent on reconnecting: each would bring a task that nobody here waits for.
            await asyncio.sleep(waits.RECONNECT_SECONDS)
            return None
        try:
            with translated():
                if self._pull is None:
                    self._pull = await self._js.pull_subscribe_bind(self._consumer, stream=streams.TASKS.name or "")
                (message,) = await self._pull.fetch(1, timeout=waits.IDLE_SECONDS)
                return Delivery(message)
        except Unavailable:
            return None
