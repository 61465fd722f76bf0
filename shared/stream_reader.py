"""Reading a stream in order from the caller's own place."""

import contextlib
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js import api as js_api

from shared import waits
from shared.bus_errors import translated
from shared.wire import TRACEPARENT

READ_BATCH = 500
"""Messages of one read: the client then holds at most about 1 MB of them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One message of a stream."""

    sequence: int
    subject: str
    data: bytes
    trace: str


class StreamReader:
    """A place in a stream, read through a consumer that may be lost and made again."""

    def __init__(self, client: Client, stream: str, subjects: list[str], after: int) -> None:
        self._client = client
        self._js = client.jetstream(timeout=waits.REQUEST_SECONDS)
        self._stream = stream
        self._subjects = subjects
        self._name = ""
        self._pull: JetStreamContext.PullSubscription | None = None
        self._delivered = 0
        self._connection = 0
        self.at = after
        self.pending: int | None = None
        """Messages that the stream still has for us, as of the last read; None before the first."""

    async def read(self) -> list[Stored]:
        """The next messages in order, or none if none came in time. Raises Missing or Unavailable."""
        if self._client.stats["reconnects"] != self._connection:
            await self.forget()  # what was on its way over the broken connection counts as delivered, and is not sent again
        with translated():
            if self._pull is None:
                self._connection = self._client.stats["reconnects"]
                self._delivered = 0
                self._pull = await self._open()
                if not self.pending:
                    return []  # so that reading what is there does not wait for what may come
            try:
                messages = await self._pull.fetch(READ_BATCH, timeout=waits.IDLE_SECONDS)
            except TimeoutError:  # the client's own, or asyncio's when its clock runs out first
                if not self._client.is_connected:
                    raise
                return []
        fresh: list[Stored] = []
        for message in messages:
            place = message.metadata
            if place.sequence.consumer != self._delivered + 1:  # one was lost on the way: read on from the last that came
                await self.forget()
                break
            self._delivered = place.sequence.consumer
            self.pending = place.num_pending
            if place.sequence.stream > self.at:  # a consumer may go backwards when its server was killed
                self.at = place.sequence.stream
                trace = (message.headers or {}).get(TRACEPARENT, "")
                fresh.append(Stored(self.at, message.subject, message.data, trace))
        return fresh

    async def _open(self) -> JetStreamContext.PullSubscription:
        info = await self._js.add_consumer(
            self._stream,
            js_api.ConsumerConfig(
                deliver_policy=js_api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.at + 1,
                ack_policy=js_api.AckPolicy.NONE,
                filter_subjects=self._subjects,
                mem_storage=True,
                inactive_threshold=30.0,  # a reader that died leaves nothing behind for longer than this
            ),
        )
        self._name = info.name
        self.pending = info.num_pending
        return await self._js.pull_subscribe_bind(consumer=info.name, stream=self._stream)

    async def forget(self) -> None:
        """Have the next read make a new consumer at the same place."""
        pull, self._pull = self._pull, None
        if pull is not None:
            with contextlib.suppress(nats.errors.Error):
                await pull.unsubscribe()

    async def close(self) -> None:
        """Leave nothing behind on the server, if it is there to be told."""
        opened = self._pull is not None
        await self.forget()
        if opened and self._client.is_connected:
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                await self._js.delete_consumer(self._stream, self._name)
