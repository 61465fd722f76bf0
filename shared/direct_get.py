"""Batches of direct gets: many messages of a stream for one request, without a consumer (NATS ADR-31)."""

import asyncio
import contextlib
import json

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared import waits
from shared.bus_errors import Denied, Missing, Unavailable, translated
from shared.connection import BusClient

LOOK_SECONDS = 0.05
"""How soon a lost connection is noticed while an answer is waited for."""

END_OF_BATCH = "204"
NOT_FOUND = "404"


class DirectGet:
    """Asks for one batch after another, each answered on a subject of its own within one subscription."""

    def __init__(self, client: BusClient) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._number = 0
        self._messages: list[Msg] = []
        self._end: asyncio.Future[Msg] | None = None

    async def get(self, stream: str, request: dict[str, object]) -> tuple[list[Msg], bool]:
        """The messages of one batch, and whether the stream has no more. Raises Missing, Unavailable or Denied."""
        connection = self._client.stats["reconnects"]
        if not self._client.is_connected:  # a request made now would be kept, and be answered when nobody waits for it
            raise Unavailable("not connected")
        self._number += 1
        self._messages = []
        self._end = asyncio.get_running_loop().create_future()
        with translated():
            if self._subscription is None:
                # No bound on what waits here: it is one batch, and a message that the client drops would be read again.
                self._subscription = await self._client.subscribe(
                    f"{self._inbox}.*", cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
                )
            await self._client.publish(
                f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=f"{self._inbox}.{self._number}"
            )
        deadline = asyncio.get_running_loop().time() + waits.REQUEST_SECONDS
        while not (await asyncio.wait({self._end}, timeout=LOOK_SECONDS))[0]:
            if not self._client.is_connected or self._client.stats["reconnects"] != connection:
                raise Unavailable("the connection broke")
            if f"$js.api.direct.get.{stream.lower()}" in self._client.denied:
                raise Denied(f"The permissions on NATS do not allow this role to read the stream {stream}")
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("no answer")
        if self._client.stats["reconnects"] != connection:  # within one look: what was on its way is lost, the end is not
            raise Unavailable("the connection broke")
        about = self._end.result().headers or {}
        status = about.get("Status")
        if status not in (END_OF_BATCH, NOT_FOUND):
            raise Missing("no such stream")
        return self._messages, status == NOT_FOUND or about.get("Nats-Num-Pending", "0") == "0"

    async def _on_message(self, message: Msg) -> None:
        if self._end is None or self._end.done() or message.subject != f"{self._inbox}.{self._number}":
            return  # of a batch that was given up
        if message.headers and "Status" in message.headers:
            self._end.set_result(message)
        else:
            self._messages.append(message)

    async def close(self) -> None:
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()
