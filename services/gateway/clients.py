"""The event streams that are open, and how many there may be."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator

import anyio
from starlette.types import Message, Send

from services.gateway.problems import Problem

MAX_CLIENTS = 1000
"""Event streams at once: about 40 KB each, and within the usual limit of open files."""

MAX_PER_ADDRESS = 64
"""Of them from one address: an office behind one, but not one page gone wild. Behind a proxy all come from its address."""

SEND_SECONDS = 5.0
"""A client that takes nothing for this long is dropped; it comes back with its last id and misses nothing."""

DROP_GAP = 0.005
"""Seconds between two clients that are dropped: hundreds that stall together would hold up the others if they went together."""

SHORTEST_GAP = 0.01
"""Seconds between two writes to one client: what comes meanwhile goes out together."""

GAP_PER_CLIENT = 0.0001
"""Added for each client that is being written to: 1,000 of them get 10,000 writes a second in all, which one core can do."""


class Client:
    """One open event stream."""

    def __init__(self, send: Send, sending: dict["Client", float]) -> None:
        self._send = send
        self._sending = sending
        self.scope = anyio.CancelScope()

    async def send(self, message: Message) -> None:
        self._sending[self] = time.monotonic()
        try:
            await self._send(message)
        finally:
            self._sending.pop(self, None)


class Clients:
    """The open event streams, in all and for each address."""

    def __init__(self, per_address: int = MAX_PER_ADDRESS, limit: int = MAX_CLIENTS) -> None:
        self._limit = limit
        self._per_address = per_address
        self._of_address: Counter[str] = Counter()
        self._open: set[Client] = set()
        self._sending: dict[Client, float] = {}
        """Whose send has not returned, and since when: it does at once, unless a client takes nothing."""

    @property
    def open(self) -> int:
        return len(self._open)

    @property
    def gap(self) -> float:
        """Seconds that two writes to one client are apart. Who takes nothing is not written to, and slows nobody."""
        return SHORTEST_GAP + GAP_PER_CLIENT * (self.open - len(self._sending))

    @contextlib.contextmanager
    def one_more(self, address: str, send: Send) -> Iterator[Client]:
        """Hold a place for a client. Ends quietly, with its scope cancelled, when the client stalls."""
        client = Client(send, self._sending)
        self._open.add(client)
        self._of_address[address] += 1
        try:
            with client.scope:
                yield client
        finally:
            self._open.remove(client)
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def require_room(self, address: str) -> None:
        """Raises Problem when a cap is reached."""
        if self.open >= self._limit:
            raise Problem(503, f"{self._limit} clients are watching already; try again later.")
        if self._of_address[address] >= self._per_address:
            raise Problem(503, f"{self._per_address} clients of your address are watching already; close one.")

    async def drop_stalled(self) -> None:
        """Look every second for clients that take nothing: one look at all of them costs less than a timer for every send."""
        while True:
            await asyncio.sleep(1)
            latest = time.monotonic() - SEND_SECONDS
            for client in [client for client, since in self._sending.items() if since < latest]:
                if self._sending.get(client, latest) < latest:  # it may have taken something meanwhile
                    client.scope.cancel()
                    await asyncio.sleep(DROP_GAP)
