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
    """A dictionary of English: 147,000 words and phrases, read once, about 45 MB in memory."""

    def __init__(self, text: str) -> None:
        # Kept as the strings they are read as, and taken apart when looked up: reading takes a tenth of a second, not a whole
        # one, and half a million objects more would make every full garbage collection take long.
        _, common, others, senses, parents, within, antonyms, irregular = (part.split("\n") for part in text.split("\n\n"))
        self._senses: Final = dict(zip(common + others, senses, strict=True))
        self._parents: Final = parents
        self._antonyms: Final = frozenset(antonyms)
        self._irregular: Final = dict(line.split("\t") for line in irregular)
        self._common: Final = frozenset(common)
        self._words: Final = frozenset(within)

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 (there is one lexicon a process)
    def base(self, phrase: str) -> str:
        """The dictionary's own form of `phrase` (its last word in the singular), or "" when it is not in there."""
        if phrase in self._senses:
            return phrase
        if not phrase.endswith(("s", "men")) and phrase not in self._irregular and " " not in phrase:
            return ""
        head, _, last = phrase.rpartition(" ")
        head = head + " " if head else ""
        for candidate in (
            self._irregular.get(last, ""),
            *(last[: -len(end)] + to for end, to in _PLURALS if last.endswith(end)),
        ):
            if candidate and head + candidate in self._senses:
                return head + candidate
        return ""

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 (there is one lexicon a process)
    def senses(self, phrase: str) -> tuple[Sense, ...]:
        """The meanings of `phrase`, lower case and without hyphens; none when it is unknown."""
        found = _SENSE.findall(self._senses.get(self.base(phrase), ""))
        return tuple(Sense(int(synset), part, int(rank)) for synset, part, rank in found)

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 (there is one lexicon a process)
    def known(self, word: str) -> bool:
        """Whether `word` is an English word, in any of its regular forms."""
        if word in self._senses or word in self._words or word in self._irregular:
            return True
        return _derived(word, self._senses)

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 (there is one lexicon a process)
    def common(self, word: str) -> bool:
        """Whether `word` is an English word that is no name, in any of its regular forms."""
        if word in self._common or word in self._irregular:
            return True
        return _derived(word, self._common)

    def names_only(self, word: str) -> bool:
        """Whether `word` is not, just as it stands, a word that is no name."""
        return word not in self._common

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 (there is one lexicon a process)
    def verb_base(self, word: str) -> str:
        """The infinitive of the verb form `word` ("ran", "saving"), or `word` itself."""
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

    def opposite(self, a: str, b: str) -> bool:
        """Whether WordNet lists the two as antonyms."""
        return self._antonym(a, b) or self._antonym(self.base(a), self.base(b))

    def _antonym(self, a: str, b: str) -> bool:
        return f"{min(a, b)}\t{max(a, b)}" in self._antonyms

    def siblings(self, a: str, b: str, ranks: int = 2) -> bool:
        """Whether the two are different kinds of one thing ("left" and "right", "May" and "June") in a common meaning."""
        ours = [sense for sense in self.senses(a) if sense.rank <= ranks and sense.part == "n"]
        theirs = [sense for sense in self.senses(b) if sense.rank <= ranks and sense.part == "n"]
        if {sense.synset for sense in ours} & {sense.synset for sense in theirs}:
            return False
        parents = {parent for sense in ours for parent in self._parents_of(sense.synset)}
        return any(parent in parents for sense in theirs for parent in self._parents_of(sense.synset))

    def shared_sense(self, a: str, b: str) -> tuple[int, int] | None:
        """The ranks of the meaning that both words have, the commonest for both; None when they share none."""
        ours = self._ranks(a)
        theirs = self._ranks(b) if ours else {}
        shared = [(rank, theirs[synset]) for synset, rank in ours.items() if synset in theirs] if theirs else []
        return min(shared, key=sum, default=None)

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 (there is one lexicon a process)
    def _ranks(self, phrase: str) -> dict[int, int]:
        """The synsets of `phrase` and the ranks they have among its meanings."""
        return {sense.synset: sense.rank for sense in self.senses(phrase)}

    def _parents_of(self, synset: int) -> list[int]:
        """The synsets that `synset` is a kind of."""
        return [] if self._parents[synset] == "-" else [int(parent) for parent in self._parents[synset].split(",")]

    def is_a(self, a: str, b: str, steps: int = 4) -> bool:
        """Whether every `a`, in its commonest meanings, is a `b` ("dromedary", "camel")."""
        above = {sense.synset for sense in self.senses(a) if sense.rank <= 2}
        if not above:
            return False
        kinds = {sense.synset for sense in self.senses(b) if sense.rank <= 2}
        for _ in range(steps):
            above = {parent for synset in above for parent in self._parents_of(synset)}
            if above & kinds:
                return True
        return False

    def synsets(self, phrase: str) -> list[int]:
        """The synsets of the meanings that count when `phrase` is looked up among synonyms."""
        return [sense.synset for sense in self.senses(phrase) if sense.rank <= 3]


def _derived(word: str, known: Container[str]) -> bool:
    """Whether `word` is one of `known` words with an ending."""
    return any(word.endswith(end) and word[: -len(end)] + to in known for end, to in _BY_LAST_LETTER.get(word[-1:], ()))


@cache
def lexicon() -> Lexicon:
    """The one lexicon of this process, read from beside this file when first asked for."""
    packed = resources.files(__package__ or "").joinpath(_FILE).read_bytes()
    return Lexicon(lzma.decompress(packed).decode())
