"""What each attribute of a run absorbed."""

from msgspec import Struct

MAX_TEXTS = 20
"""Distinct texts kept of one attribute's duplicates; beyond them only the number grows."""

MAX_TEXTS_OF_RUN = 100_000
"""Texts kept of one run: at most about 20 MB of memory."""


class Absorbed(Struct):
    """The duplicates of one attribute."""

    count: int = 0
    texts: list[str] = []


NOTHING = Absorbed()


class AbsorbedTexts:
    """The duplicates of a run's attributes, by the ordinal of the attribute."""

    def __init__(self) -> None:
        self._of: dict[int, Absorbed] = {}
        self._texts = 0

    def add(self, ordinal: int, text: str) -> None:
        """Count one duplicate and keep its text if there is room."""
        absorbed = self._of.setdefault(ordinal, Absorbed())
        absorbed.count += 1
        if text not in absorbed.texts and len(absorbed.texts) < MAX_TEXTS and self._texts < MAX_TEXTS_OF_RUN:
            absorbed.texts.append(text)
            self._texts += 1

    def of(self, ordinal: int) -> Absorbed:
        """What one attribute absorbed."""
        return self._of.get(ordinal, NOTHING)
