"""What the loop knows of a model: text comes in pieces, then an end, or words that say what went wrong."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.messages import Task

Kind = Literal[
    "", "rate_limit", "quota", "auth", "invalid_request", "server", "timeout", "connection", "malformed", "internal", "lost"
]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of silence that a call bears; the task's deadline bounds the whole."""

    connect: float = 10.0
    first: float = 60.0
    """Until the first byte: large models think, and free ones queue."""
    between: float = 30.0
    """From one piece to the next."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The vendor has taken the request; its headers say how much of the key's limits remains."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class End:
    """The last thing of an answer."""

    input_tokens: int = 0
    """Of the whole prompt, what was cached included."""
    output_tokens: int = 0
    """Of the whole answer, thoughts included."""
    whole: bool = True
    """Whether the model ended by itself; if it was cut off, its last line is half a line."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    told: bool = True
    """Whether the vendor told the tokens."""
    model: str = ""
    """The one that answered, as the vendor calls it."""
    error: str = ""
    """In words, why the answer is not what it should be."""


class ModelError(Exception):
    """Raised when a model gives no answer; the text is for the user and holds no secret."""

    def __init__(
        self,
        words: str,
        kind: Kind = "server",
        *,
        again: bool = False,
        wait: float | None = None,
        at_once: bool = False,
        gives_up: bool = False,
        overloaded: bool = False,
        billed: bool = True,
    ) -> None:
        super().__init__(words)
        self.kind = kind
        self.again = again
        """Whether another attempt may succeed."""
        self.wait = wait
        """Seconds that the vendor asks to wait; None if it does not say."""
        self.at_once = at_once
        """The adapter will ask in another way: that attempt needs no wait and is no retry."""
        self.gives_up = gives_up
        """Whether the provider, or this model of it, cannot be asked again in this run."""
        self.overloaded = overloaded
        """Whether fewer calls at once would help."""
        self.billed = billed
        """Whether the vendor may charge for the attempt."""


class Adapter(Protocol):
    """A provider's models. A new one is a file in this folder, called as the provider is, with a `build` function."""

    def complete(self, task: Task) -> AsyncGenerator[str | Opened | End, None]:
        """Ask `task.model` once, and give the answer's text as it comes. Raises ModelError.

        Closing the generator ends the call at the provider too.
        """
        ...

    async def close(self) -> None:
        """End the connections; no call is under way."""
        ...
