"""What is said to the user, none of it obeyed by the terminal: reasons and texts come from models and other services."""

import sys
from collections.abc import Iterable

from shared.terminal import printable


def say(sentence: str) -> None:
    """Say something beside the result."""
    print(printable(sentence, keep="\n"), file=sys.stderr, flush=True)


def fail(sentence: str, code: int) -> int:
    """Say why it ends, and return the exit code."""
    say(f"orchestrator: {sentence}")
    return code


def print_list(texts: Iterable[str]) -> None:
    """One attribute a line, on standard output; as they are where a program reads them."""
    for text in texts:
        print(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
