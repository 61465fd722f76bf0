"""Words one slip away from a word, among all words of the accepted attributes."""

from collections.abc import Iterator
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.typo import FURTHEST, SHORT, slip, undoubled

_FULL: Final = 32
"""Words one half may lead to; a commoner half tells nothing, and is no longer added to."""


class NearWords:
    """Finds a word with a slip by the half of it that has none: three short entries a word.

    A known word can only be a slip's correct form, so it is sought among unknown words alone, which keeps the search short.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon: Final = lexicon
        self._seen: set[str] = set()
        self._halves: dict[bool, dict[str, tuple[str, ...]]] = {True: {}, False: {}}

    def add(self, word: str) -> None:
        """Takes a word (plain)."""
        if len(word) < SHORT or word in self._seen or not word.isalpha():
            return
        self._seen.add(word)
        halves = self._halves[self._lexicon.known(word)]
        middle = len(word) // 2
        for half in (f"{word[:middle]}-", f"-{word[middle:]}", undoubled(word)):
            there = halves.get(half, ())
            if len(there) < _FULL:
                halves[half] = (*there, word)

    def of(self, word: str, named: bool) -> Iterator[str]:
        """The words that are `word` with a slip, or of which `word` is one; `named` when it is written as a name."""
        if len(word) < SHORT or not word.isalpha():
            return
        known = self._lexicon.known(word)
        tried = {word}
        for halves in (self._halves[False],) if known else self._halves.values():
            for half in _halves_around(word):
                there = halves.get(half)
                if there is None:
                    continue
                for other, _, _ in process.extract(word, there, scorer=OSA.distance, score_cutoff=FURTHEST, limit=None):
                    if other not in tried:
                        tried.add(other)
                        if slip(word, other, named, self._lexicon):
                            yield other


def _halves_around(word: str) -> Iterator[str]:
    """The halves that a word one letter shorter, as long, or one letter longer could share; and `word` without doublings."""
    yield undoubled(word)
    middle = len(word) // 2
    for size in {middle, (len(word) + 1) // 2, (len(word) - 1) // 2}:
        yield f"{word[:size]}-"
    for size in {len(word) - middle, (len(word) + 2) // 2, len(word) // 2, (len(word) - 1) - (len(word) - 1) // 2}:
        yield f"-{word[len(word) - size :]}"
