"""What English words mean to each other: WordNet 3.0, in the compact form `build_lexicon.py` makes of it."""

import lzma
import re
from collections.abc import Container
from functools import cache, lru_cache
from importlib import resources
from typing import Final, NamedTuple

_FILE: Final = "wordnet.txt.xz"
_REMEMBERED: Final = 8192
"""Answers kept of each kind. More would help little, and slow down every full garbage collection."""
_BETWEEN: Final = "|"
_SENSE: Final = re.compile(r"(\d+)([nvar])(\d+)")
_ENDINGS: Final = (
    ("ies", "y"),
    ("men", "man"),
    ("ves", "f"),
    ("ves", "fe"),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("s", ""),
    ("ied", "y"),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("iest", "y"),
    ("est", "e"),
    ("est", ""),
    ("ier", "y"),
    ("er", "e"),
    ("er", ""),
    ("ily", "y"),
    ("ly", ""),
    ("iness", "y"),
    ("ness", ""),
)
"""Endings a known word may carry, and what stands in their place in the dictionary (WordNet's own rules and adverbs)."""
_PLURALS: Final = _ENDINGS[:10]
_BY_LAST_LETTER: Final = {
    letter: tuple((end, to) for end, to in _ENDINGS if end[-1] == letter) for letter in {end[-1] for end, _ in _ENDINGS}
}


class Sense(NamedTuple):
    """One meaning of a word."""

    synset: int
    part: str
    """n, v, a or r."""
    rank: int
    """1 for the commonest meaning of the word among those of the same part of speech."""


class Lexicon:
    """A dictionary of English: 147,000 words and phrases, read once, about 45 MB in memory.

    Words and phrases are looked up in lower case and without hyphens.
    """

    def __init__(self, text: str) -> None:
        # Kept as the strings they are read as, and taken apart when looked up: reading takes a tenth of a second, not a whole
        # one, and half a million objects more would make every full garbage collection take long.
        _, common, others, senses, parents, within, antonyms, irregular = (part.split("\n") for part in text.split("\n\n"))
        self._senses: Final = dict(zip(common + others, senses, strict=True))
        self._parents: Final = parents
        self._opposites: Final[dict[str, str]] = {}
        self._irregular: Final = dict(line.split("\t") for line in irregular)
        self._common: Final = frozenset(common)
        self._words: Final = frozenset(within)
        for pair in antonyms:
            one, other = pair.split("\t")
            for word, its in ((one, other), (other, one)):
                self._opposites[word] = f"{self._opposites.get(word, _BETWEEN)}{its}{_BETWEEN}"
        # Answers kept by the word alone: keys with the lexicon in them would be objects for the garbage collection to look at.
        self.base: Final = lru_cache(_REMEMBERED)(self._base)
        """The dictionary's own form of a phrase (its last word in the singular), or "" when it is not in there."""
        self.known: Final = lru_cache(_REMEMBERED)(self._known)
        """Whether a word is an English word, in any of its regular forms."""
        self.common: Final = lru_cache(_REMEMBERED)(self._is_common)
        """Whether a word is an English word that is no name, in any of its regular forms."""
        self.verb_base: Final = lru_cache(_REMEMBERED)(self._verb_base)
        """The infinitive of a verb form ("ran", "saving"), or the word itself."""
        self._ranks: Final = lru_cache(_REMEMBERED)(self._ranks_of)

    def senses(self, phrase: str) -> list[Sense]:
        """The meanings of `phrase`; none when it is unknown."""
        base = self.base(phrase)
        found = _SENSE.findall(self._senses[base]) if base else ()
        return [Sense(int(synset), part, int(rank)) for synset, part, rank in found]

    def names_only(self, word: str) -> bool:
        """Whether `word` is not, just as it stands, a word that is no name."""
        return word not in self._common

    def opposite(self, a: str, b: str) -> bool:
        """Whether WordNet lists the two as antonyms."""
        return self._listed_opposite(a, b) or self._listed_opposite(self.base(a), self.base(b))

    def shared_sense(self, a: str, b: str) -> tuple[int, int] | None:
        """The ranks of the meaning that both words have, the commonest for both; None when they share none."""
        one, other = self.base(a), self.base(b)
        if not one or not other:
            return None
        ours, theirs = self._ranks(one), self._ranks(other)
        shared = [(rank, theirs[synset]) for synset, rank in ours.items() if synset in theirs]
        return min(shared, key=sum, default=None)

    def is_a(self, a: str, b: str, steps: int = 4) -> bool:
        """Whether every `a`, in its commonest meanings, is a `b` ("dromedary", "camel")."""
        if not self.base(a) or not self.base(b):
            return False
        above = {sense.synset for sense in self.senses(a) if sense.rank <= 2}
        kinds = {sense.synset for sense in self.senses(b) if sense.rank <= 2}
        for _ in range(steps):
            above = {parent for synset in above for parent in self._parents_of(synset)}
            if above & kinds:
                return True
        return False

    def synsets(self, phrase: str) -> list[int]:
        """The synsets of the meanings that count when `phrase` is looked up among synonyms."""
        return [sense.synset for sense in self.senses(phrase) if sense.rank <= 3]

    def _base(self, phrase: str) -> str:
        if phrase in self._senses:
            return phrase
        before, space, last = phrase.rpartition(" ")
        if not last.endswith(("s", "men")) and last not in self._irregular:
            return ""
        for candidate in (
            self._irregular.get(last, ""),
            *(last[: -len(end)] + to for end, to in _PLURALS if last.endswith(end)),
        ):
            whole = before + space + candidate
            if candidate and whole in self._senses:
                return whole
        return ""

    def _known(self, word: str) -> bool:
        if word in self._senses or word in self._words or word in self._irregular:
            return True
        return _derived(word, self._senses)

    def _is_common(self, word: str) -> bool:
        if word in self._common or word in self._irregular:
            return True
        return _derived(word, self._common)

    def _verb_base(self, word: str) -> str:
        irregular = self._irregular.get(word)
        if irregular is not None:
            return irregular
        for end in ("ing", "ed", "es", "s"):
            if word.endswith(end) and len(word) > len(end) + 2:
                cut = word[: -len(end)]
                doubled = cut[:-1] if cut[-1:] == cut[-2:-1] else ""
                for candidate in (cut, cut + "e", doubled):
                    if "v" in self._senses.get(candidate, ""):
                        return candidate
        return word

    def _ranks_of(self, phrase: str) -> dict[int, int]:
        """The synsets of `phrase` and the ranks they have among its meanings."""
        return {sense.synset: sense.rank for sense in self.senses(phrase)}

    def _listed_opposite(self, a: str, b: str) -> bool:
        return a in self._opposites and f"{_BETWEEN}{b}{_BETWEEN}" in self._opposites[a]

    def _parents_of(self, synset: int) -> list[int]:
        """The synsets that `synset` is a kind of."""
        return [] if self._parents[synset] == "-" else [int(parent) for parent in self._parents[synset].split(",")]


def _derived(word: str, known: Container[str]) -> bool:
    """Whether `word` is one of `known` words with an ending."""
    return any(word.endswith(end) and word[: -len(end)] + to in known for end, to in _BY_LAST_LETTER.get(word[-1:], ()))


@cache
def lexicon() -> Lexicon:
    """The one lexicon of this process, read from beside this file when first asked for."""
    packed = resources.files(__package__ or "").joinpath(_FILE).read_bytes()
    return Lexicon(lzma.decompress(packed).decode())
