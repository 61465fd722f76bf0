"""How many connections there may be, and which one gives way when there are too many."""

import resource
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from services.gateway.clients import MAX_CLIENTS

MAX_KNOWN = MAX_CLIENTS + 500
"""Connections that showed the token or a session: all event streams, and as many pages and tools besides."""

MAX_STRANGERS = 500
"""Connections that showed neither, as the page that asks for the token and probes do for a moment."""

MAX_STRANGERS_PER_ADDRESS = 100
"""Of them from one address: many times what a browser opens, and room for four more addresses."""

OTHER_FILES = 100
"""Open files besides: the bus, the log, the page's own files while they are sent."""


class Held(Protocol):
    """What a place is for: a connection."""

    origin: str
    """Where it comes from, as `addresses.origin` says."""

    @property
    def idle(self) -> bool:
        """Whether no request of it is under way."""

    def drop(self) -> None:
        """Close it now; nothing that it was promised is lost when it is idle."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many places there are."""

    known: int = MAX_KNOWN
    strangers: int = MAX_STRANGERS
    strangers_per_address: int = MAX_STRANGERS_PER_ADDRESS


class Places:
    """The open connections. Strangers have a pool of their own, so that no number of them keeps a signed-in user out."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._known: dict[Held, None] = {}
        self._strangers: dict[Held, None] = {}
        self._of_origin: defaultdict[str, dict[Held, None]] = defaultdict(dict)
        """Strangers, oldest first, as in the others."""

    def __len__(self) -> int:
        return len(self._known) + len(self._strangers)

    def take(self, connection: Held) -> None:
        """Hold a place for a new connection, as a stranger's. The oldest idle one of its address, or of all, may lose it."""
        own = self._of_origin[connection.origin]
        if len(own) >= self._limits.strangers_per_address:
            self._drop_oldest(own)
        if len(self._strangers) >= self._limits.strangers:
            self._drop_oldest(self._strangers)
        self._strangers[connection] = own[connection] = None

    def know(self, connection: Held) -> bool:
        """Note that a connection showed the token or a session. False: there are too many of those, and all are in use."""
        if connection not in self._strangers:
            return connection in self._known
        if len(self._known) >= self._limits.known:
            idle = next((one for one in self._known if one.idle), None)
            if idle is None:
                return False
            self._drop(idle)
        self.leave(connection)
        self._known[connection] = None
        return True

    def leave(self, connection: Held) -> None:
        """Give a connection's place free; it may have none any more."""
        self._known.pop(connection, None)
        self._strangers.pop(connection, None)
        own = self._of_origin.get(connection.origin, {})
        own.pop(connection, None)
        if not own:
            self._of_origin.pop(connection.origin, None)

    def _drop_oldest(self, strangers: dict[Held, None]) -> None:
        """All of them may be in use: a stranger's request takes milliseconds, unless its client makes it last."""
        self._drop(next((one for one in strangers if one.idle), next(iter(strangers))))

    def _drop(self, connection: Held) -> None:
        self.leave(connection)
        connection.drop()


def fitting(files: int) -> Limits:
    """The limits under which a process that may have so many files open can still accept: else it would accept nobody."""
    spare = max(8, files - OTHER_FILES)
    if spare >= MAX_KNOWN + MAX_STRANGERS:
        return Limits()
    strangers = min(MAX_STRANGERS, spare // 4)
    return Limits(min(MAX_KNOWN, spare - strangers), strangers, max(1, min(MAX_STRANGERS_PER_ADDRESS, strangers // 2)))


def open_files() -> int:
    """How many files this process may have open, after asking for as many as the limits want."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_KNOWN + MAX_STRANGERS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
