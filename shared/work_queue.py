"""The work queue of tasks, as a producer sees it."""

import asyncio

import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from shared import metrics, streams, waits
from shared.bus_errors import Malformed, Unavailable, translated
from shared.connection import BusClient
from shared.wire import TRACEPARENT

TASKS = streams.TASKS.name or ""

log = structlog.get_logger()


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

    def __init__(self, client: BusClient, js: JetStreamContext, provider: str) -> None:
        self._client = client
        self._js = js
        self._consumer = streams.producer_consumer(provider)
        self._pull: JetStreamContext.PullSubscription | None = None

    async def take(self) -> Delivery | None:
        """The next task, or None when none came within `waits.IDLE_SECONDS`. Raises Missing when there is no queue yet.

        A task that the orchestrator did not sign is taken off the queue and not handed out. Raises Denied when this role may
        not ask the queue.
        """
        if not self._client.is_connected:
            # A request made now is kept and sent on reconnecting: each would bring a task that nobody here waits for.
            await asyncio.sleep(waits.RECONNECT_SECONDS)
            return None
        try:
            with translated(self._client.denied, f"$JS.API.CONSUMER.MSG.NEXT.{TASKS}.{self._consumer}"):
                if self._pull is None:
                    self._pull = await self._js.pull_subscribe_bind(self._consumer, stream=TASKS)
                (message,) = await self._pull.fetch(1, timeout=waits.IDLE_SECONDS)
        except Unavailable:
            return None
        delivery = Delivery(message)
        try:
            self._client.verifier.check(message.subject, message.data, message.headers)
        except Malformed as error:
            metrics.MALFORMED.add("Task")
            log.warning("task.refused", subject=message.subject, error=str(error))
            await delivery.discard()
            return None
        return delivery
