"""What English words mean to each other: WordNet 3.0, in the compact form `build_lexicon.py` makes of it."""

import lzma
from collections.abc import Container
from functools import cache, lru_cache
from importlib import resources
from typing import Final, NamedTuple

_FILE: Final = "wordnet.txt.xz"
_PARTS: Final = "nvar"
_HIGHEST_RANK: Final = 63
_REMEMBERED: Final = 8192
"""Answers kept of each kind. More would help little, and slow down every full garbage collection."""
_MARKS: Final = str.maketrans({"-": " ", "'": None, ".": None})
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


def _packed(sense: Sense) -> int:
    return (sense.synset << 8) | (_PARTS.index(sense.part) << 6) | min(sense.rank, _HIGHEST_RANK)


def _unpacked(sense: int) -> Sense:
    return Sense(sense >> 8, _PARTS[(sense >> 6) & 3], sense & _HIGHEST_RANK)


class Lexicon:
    """A dictionary of English: 147,000 words and phrases, read once, about 60 MB in memory."""

    def __init__(self, text: str) -> None:
        # Plain integers, not objects: half a million objects more would make every full garbage collection take long.
        self._senses: dict[str, tuple[int, ...]] = {}
        self._parents: list[tuple[int, ...]] = []
        self._antonyms: set[tuple[str, str]] = set()
        self._irregular: dict[str, str] = {}
        self._common: set[str] = set()
        self._words: set[str] = set()
        senses: dict[str, list[int]] = {}
        for line in text.splitlines():
            kind, left, right = line.split("\t") if line[0] != "#" else ("#", "", "")
            if kind == "!":
                a, b = left.lower().translate(_MARKS), right.lower().translate(_MARKS)
                self._antonyms.update(((a, b), (b, a)))
            elif kind == "~":
                self._irregular.setdefault(left, right)
            elif kind != "#":
                self._read_synset(kind, left, right, senses)
        self._senses = {word: tuple(found) for word, found in senses.items()}

    def _read_synset(self, part: str, parents: str, words: str, senses: dict[str, list[int]]) -> None:
        number = len(self._parents)
        self._parents.append(() if parents == "-" else tuple(map(int, parents.split(","))))
        for entry in words.split("|"):
            word, rank = entry.rsplit(":", 1)
            plain = word.translate(_MARKS)
            if plain.islower():
                self._common.add(plain)
            if " " in plain:
                self._words.update(plain.lower().split())
            senses.setdefault(plain.lower(), []).append(_packed(Sense(number, part, int(rank))))

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
        return tuple(map(_unpacked, self._senses.get(self.base(phrase), ())))

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
                    if any(_unpacked(sense).part == "v" for sense in self._senses.get(candidate, ())):
                        return candidate
        return word

    def opposite(self, a: str, b: str) -> bool:
        """Whether WordNet lists the two as antonyms."""
        return (a, b) in self._antonyms or (self.base(a), self.base(b)) in self._antonyms

    def siblings(self, a: str, b: str, ranks: int = 2) -> bool:
        """Whether the two are different kinds of one thing ("left" and "right", "May" and "June") in a common meaning."""
        ours = [sense for sense in self.senses(a) if sense.rank <= ranks and sense.part == "n"]
        theirs = [sense for sense in self.senses(b) if sense.rank <= ranks and sense.part == "n"]
        if {sense.synset for sense in ours} & {sense.synset for sense in theirs}:
            return False
        parents = {parent for sense in ours for parent in self._parents[sense.synset]}
        return any(parent in parents for sense in theirs for parent in self._parents[sense.synset])

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

    def is_a(self, a: str, b: str, steps: int = 4) -> bool:
        """Whether every `a`, in its commonest meanings, is a `b` ("dromedary", "camel")."""
        above = {sense.synset for sense in self.senses(a) if sense.rank <= 2}
        if not above:
            return False
        kinds = {sense.synset for sense in self.senses(b) if sense.rank <= 2}
        for _ in range(steps):
            above = {parent for synset in above for parent in self._parents[synset]}
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
