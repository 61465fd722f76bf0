"""Words one slip away from a word, among all words of the accepted attributes."""

from functools import lru_cache
from itertools import chain
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.typo import FURTHEST, LONG, SHORT, slip, undoubled

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

    def of(self, word: str, named: bool) -> set[str]:
        """The words that are `word` with a slip, or of which `word` is one; `named` when it is written as a name."""
        found: set[str] = set()
        if len(word) < SHORT or not word.isalpha():
            return found
        around = _halves_around(word)
        known = self._lexicon.known(word)
        for others_known in (False,) if known else (False, True):
            halves = self._halves[others_known]
            there = [halves[half] for half in around if half in halves]
            others = set(chain.from_iterable(there)) if there else set()
            others.discard(word)
            if others:
                furthest = FURTHEST if known != others_known and len(word) >= LONG else 1  # further ones are no slips
                near = process.extract(word, others, scorer=OSA.distance, score_cutoff=furthest, limit=None)
                found.update(other for other, _, _ in near if slip(word, other, named, self._lexicon))
        return found


@lru_cache(maxsize=8192)
def _halves_around(word: str) -> tuple[str, ...]:
    """The halves that a word one letter shorter, as long, or one letter longer could share; and `word` without doublings."""
    size, middle = len(word), len(word) // 2
    starts = {middle, (size + 1) // 2, (size - 1) // 2}
    ends = {size - middle, (size + 2) // 2, middle, (size - 1) - (size - 1) // 2}
    return (undoubled(word), *(f"{word[:length]}-" for length in starts), *(f"-{word[size - length :]}" for length in ends))
