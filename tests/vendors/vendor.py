"""One vendor as a test sees it: where it is, how it answers, and how it is told to misbehave."""

import asyncio
import random
from collections import deque
from collections.abc import Sized

from tests.vendors.faults import Fault, Misbehaviour, misbehaviour
from tests.vendors.wire import Finish, Limits, Tokens, Wire

MAX_QUEUED = 10_000
"""Orders waiting, as many as there can be requests."""


class Vendor:
    """A vendor's settings and its plan of misbehaviour."""

    def __init__(self, wire: Wire, url: str, seed: int) -> None:
        self.wire = wire
        self.url = url
        """The base URL for the SDK."""
        self.seed = seed
        """Of the answers and of `rate`."""
        self.keys: set[str] | None = None
        """The keys that are taken; None takes every one, but a request without a key is refused."""
        self.refuses: set[str] = set()
        """Options that the model does not take, by their names on the wire (Gemini's are those in generationConfig)."""
        self.items: int | None = None
        """Attributes an answer; None gives as many as the prompt asks for."""
        self.obedient = False
        """Whether answers leave out what the prompt names, as it does in an avoid list."""
        self.calls_itself = ""
        """The model's name in answers; empty: as it was asked for."""
        self.pieces = 5
        """Into which an answer is cut."""
        self.delay = 0.0
        """Seconds before every piece."""
        self.most_at_once: int | None = None
        """Requests open at the same time; one more is RATE_LIMITED."""
        self.gate: asyncio.Semaphore | None = None
        """Requests that are answered at the same time; one more waits for its turn, as at servers that never say 429."""
        self.limits: Limits | None = Limits()
        """The rate-limit headers of every response; they announce, they do not enforce."""
        self.cached_tokens = 0
        """Of the input, reported as read from the cache; never more than the input has."""
        self.cache_written_tokens = 0
        """Of the input, reported as written to the cache (Anthropic alone has a place for it)."""
        self.reasoning_tokens = 0
        """Thought before every answer, on top of the output."""
        self._scripted: deque[tuple[tuple[str, ...], Finish]] = deque()
        self._queue: deque[Misbehaviour] = deque()
        self._share = 0.0
        self._usual: tuple[Misbehaviour, ...] = ()
        self._whim = random.Random(f"{seed} {wire.provider} faults")  # noqa: S311 (must repeat, need not be secret)

    def next(self, fault: Fault, times: int = 1, *, seconds: float | None = None, size: int | None = None) -> None:
        """Let the next `times` requests fail so, after those that were ordered before. `seconds`, `size`: see the fault."""
        self._bound(self._queue, times)
        self._queue.extend([misbehaviour(fault, seconds, size)] * times)

    def rate(self, share: float, *faults: Fault, seconds: float | None = None, size: int | None = None) -> None:
        """Let this share (0 to 1) of the other requests fail, each in one of these ways; `rate(0)` ends it."""
        self._share = share
        self._usual = tuple(misbehaviour(fault, seconds, size) for fault in faults)

    def say(self, *pieces: str, finish: Finish = Finish.STOP) -> None:
        """Let the next answer be exactly this, piece by piece, after those that were ordered before."""
        self._bound(self._scripted, 1)
        self._scripted.append((pieces, finish))

    def scripted(self) -> tuple[tuple[str, ...], Finish] | None:
        """What `say` ordered for the answer at hand."""
        return self._scripted.popleft() if self._scripted else None

    def take(self) -> Misbehaviour | None:
        """What the request at hand is to suffer."""
        if self._queue:
            return self._queue.popleft()
        if self._usual and self._whim.random() < self._share:
            return self._whim.choice(self._usual)
        return None

    def extra_tokens(self, input_tokens: int) -> Tokens:
        """What the usage tells beside the text's own tokens, within the input's bound."""
        cached = min(self.cached_tokens, input_tokens)
        written = min(self.cache_written_tokens, input_tokens - cached) if self.wire.provider == "anthropic" else 0
        return Tokens(cached=cached, cache_written=written, reasoning=self.reasoning_tokens)

    def _bound(self, orders: Sized, more: int) -> None:
        if len(orders) + more > MAX_QUEUED:
            raise ValueError(f"more than {MAX_QUEUED} orders are waiting")
