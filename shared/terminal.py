"""Text of others on a terminal: shown, never obeyed."""

import json

JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""They shape letters and emoji, and move nothing."""


def printable(text: str, keep: str = "") -> str:
    """The text without what would act on a terminal or hide in it; `keep` are characters to leave, such as line ends.

    Control characters and escape sequences, marks that turn the direction of writing, and line ends of all kinds are replaced.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)


def printable_json(text: str) -> str:
    """JSON of the same meaning, with escapes for what would act on a terminal."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
