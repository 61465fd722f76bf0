"""What the loop knows of a model: text comes in pieces, then an end, or words that say what went wrong."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from shared.messages import Task


@dataclass(frozen=True, slots=True)
class End:
    """The last thing of an answer."""

    input_tokens: int = 0
    output_tokens: int = 0
    whole: bool = True
    """Whether the model ended by itself; if it was cut off, its last line is half a line."""


class ModelError(Exception):
    """Raised when a model gives no answer; the text is for the user and holds no secret."""


class Adapter(Protocol):
    """A provider's model. A new one is a file in this folder with a `build` function, and a line in `registry`."""

    model: str
    """The model that is called when a task names none."""

    def complete(self, task: Task) -> AsyncGenerator[str | End, None]:
        """Ask for `task.count` attributes and give the answer's text as it comes. Raises ModelError.

        Closing the generator ends the call at the provider too.
        """
        ...
