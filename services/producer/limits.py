"""How often a key may be used: requests and tokens a minute, and pauses that the vendor asks for."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MINUTE = 60.0

LONGEST_SECONDS = 3600.0
"""No pause is longer than what its message may say."""


@dataclass(slots=True)
class Request:
    """One request and the tokens it takes: an estimate until the vendor tells."""

    at: float
    tokens: int


class Limits:
    """One producer's part of its key's limits. No limit is exceeded in any minute, wherever that begins."""

    def __init__(
        self,
        requests: int | None = None,
        tokens: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        minute: float = MINUTE,
    ) -> None:
        self._requests = requests
        self._tokens = tokens
        self._clock = clock
        self._minute = minute
        self._made: deque[Request] = deque()
        """Of the last minutes; never more than the limit of requests or the calls that fit into them."""
        self._paused_until = 0.0
        self.sharers = 1
        """Producers that use the key, this one included: each keeps to its part."""

    @property
    def configured(self) -> bool:
        return self._requests is not None or self._tokens is not None

    @property
    def paused(self) -> float:
        """Seconds until the key may be used again."""
        return max(0.0, self._paused_until - self._clock())

    def pause(self, seconds: float) -> None:
        """Make no request for so long; a longer pause that holds already stays."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, LONGEST_SECONDS))

    def wait(self, tokens: int) -> float:
        """Seconds until a request with so many tokens may be made, as far as is known now."""
        now = self._clock()
        allowed_at = max((self._free_at(limit, part, tokens, now) for limit, part in self._parts()), default=now)
        return max(0.0, allowed_at - now, self.paused)

    def take(self, tokens: int) -> Request:
        """Count a request that is made now."""
        request = Request(self._clock(), tokens)
        if self.configured:
            self._made.append(request)
        return request

    def _parts(self) -> Iterator[tuple[int, Callable[[Request], int]]]:
        """Each limit with what a request takes of it."""
        if self._requests is not None:
            yield self._requests, lambda _: 1
        if self._tokens is not None:
            yield self._tokens, lambda request: request.tokens

    def _free_at(self, limit: int, taken_by: Callable[[Request], int], tokens: int, now: float) -> float:
        """When enough of a limit is free. A part below 1 is one in a longer time."""
        share = limit / self.sharers
        minute = self._minute / min(1.0, share)
        most = max(1, int(share))
        wanted = min(most, taken_by(Request(now, tokens)))  # a call larger than the limit waits for all of it
        self._forget(now - self._minute * max(1, self.sharers))
        recent = [r for r in self._made if r.at > now - minute]
        excess = sum(taken_by(r) for r in recent) + wanted - most
        for request in recent:
            if excess <= 0:
                break
            excess -= taken_by(request)
            now = request.at + minute
        return now

    def _forget(self, before: float) -> None:
        while self._made and self._made[0].at < before:
            self._made.popleft()
