"""Which accepted attributes a text may repeat, found without comparing it to all of them."""

from collections.abc import Iterator
from typing import Final

from services.orchestrator.dedupe import handles
from services.orchestrator.dedupe.form import Form
from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.near_words import NearWords
from services.orchestrator.dedupe.spelling import stem

_FULL: Final = 8
"""Attributes one handle leads to; a handle that more share tells nothing, and keeps the oldest."""

_Table = dict[int, tuple[int, ...]]


class Candidates:
    """The handles of all accepted attributes: about 5 a text, some 100 bytes each."""

    def __init__(self, lexicon: Lexicon, synonyms: bool) -> None:
        self._lexicon: Final = lexicon
        self._synonyms: Final = synonyms
        self._own: _Table = {}
        self._near_words: Final = NearWords(lexicon)

    def add(self, text: Form, index: int) -> None:
        """Makes the accepted attribute `index` findable."""
        alone = (index,)
        for handle in self._handles(text):
            _put(self._own, handle, alone)
        for word in text.words:
            self._near_words.add(word)

    def find(self, text: Form) -> list[int]:
        """The accepted attributes that share a handle with `text`, the oldest first."""
        found: set[int] = set()
        for handle in (*self._handles(text), *self._with_slips(text)):
            found.update(self._own.get(hash(handle), ()))
        return sorted(found)

    def _handles(self, text: Form) -> Iterator[str]:
        yield from handles.own(text, self._lexicon)
        if self._synonyms:
            yield from handles.meanings(text, self._lexicon)

    def _with_slips(self, text: Form) -> Iterator[str]:
        """What the words of `text` would be if one of them were a slip, or the others' slip were put right."""
        for at, word in enumerate(text.content_words):
            named = word in text.capitalised and self._lexicon.names_only(word)
            for other in self._near_words.of(word, named):
                yield handles.words_handle([*text.content[:at], stem(other), *text.content[at + 1 :]])


def _put(table: _Table, handle: str, alone: tuple[int]) -> None:
    hashed = hash(handle)
    there = table.get(hashed)
    if there is None:
        table[hashed] = alone
    elif len(there) < _FULL and there[-1] != alone[0]:
        table[hashed] = (*there, alone[0])
