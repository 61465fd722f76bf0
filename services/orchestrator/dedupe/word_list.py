"""Word lists, written as the text they are."""


def word_list(text: str) -> tuple[str, ...]:
    """The words of `text` in their order."""
    return tuple(text.split())


def word_set(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())
