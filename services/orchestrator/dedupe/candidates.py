"""Which accepted attributes a text may repeat, found without comparing it to all of them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.orchestrator.dedupe import handles
from services.orchestrator.dedupe.form import Form
from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.near_words import NearWords
from services.orchestrator.dedupe.spelling import stem

_FULL: Final = 8
"""Attributes one handle leads to; a handle that more share tells nothing, and keeps the oldest."""


class _Handles(NamedTuple):
    """The handles of a text, hashed."""

    stored: set[int]
    """Those it can be found by."""
    sought: set[int]
    """Those it looks for others by."""


class Candidates:
    """The handles of all accepted attributes: about 5 a text, some 100 bytes each."""

    def __init__(self, lexicon: Lexicon, synonyms: bool) -> None:
        self._lexicon: Final = lexicon
        self._synonyms: Final = synonyms
        self._table: dict[int, tuple[int, ...]] = {}
        self._last: tuple[Form | None, _Handles] = (None, _Handles(set(), set()))
        self._near_words: Final = NearWords(lexicon)

    def add(self, text: Form, index: int) -> None:
        """Makes the accepted attribute `index` findable."""
        alone = (index,)
        for hashed in self._handles(text).stored:
            there = self._table.get(hashed)
            if there is None:
                self._table[hashed] = alone
            elif len(there) < _FULL and there[-1] != index:
                self._table[hashed] = (*there, index)
        for word in text.words:
            self._near_words.add(word)

    def find(self, text: Form) -> list[int]:
        """The accepted attributes that share a handle with `text`, the oldest first."""
        found: set[int] = set()
        for hashed in (*self._handles(text).sought, *map(hash, self._with_slips(text))):
            found.update(self._table.get(hashed, ()))
        return sorted(found)

    def _handles(self, text: Form) -> _Handles:
        """The handles of `text`; those of the last text are kept, since what was just sought is added next."""
        if self._last[0] is not text:
            both = {*map(hash, handles.own(text, self._lexicon))}
            if self._synonyms:
                both.update(map(hash, handles.meanings(text, self._lexicon)))
            stored, sought = handles.spelled_out(text)
            self._last = text, _Handles(both.union(map(hash, stored)), both.union(map(hash, sought)))
        return self._last[1]

    def _with_slips(self, text: Form) -> Iterator[str]:
        """The handles `text` would have if one of its words were a slip, or another's slip were put right."""
        for at, word in enumerate(text.content_words):
            named = word in text.capitalised and self._lexicon.names_only(word)
            for other in self._near_words.of(word, named):
                yield handles.words_handle([*text.content[:at], stem(other), *text.content[at + 1 :]])
