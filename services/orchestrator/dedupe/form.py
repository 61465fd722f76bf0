"""A text taken apart once, so that it can be compared with many."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from services.orchestrator.dedupe import numerals
from services.orchestrator.dedupe.normalise import FUNCTION_WORDS, key, words_of
from services.orchestrator.dedupe.spelling import stem

_GLOSS: Final = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]\s*\Z")
_CAPITALISED: Final = re.compile(r"(?<![^\W_])[^\W\d_a-z][^\W_]*(?:['\u2019.&-]?[^\W_]+)*")
_DOTTED: Final = re.compile(r"(?:[^\W\d_]\.){2,}")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_PLURAL_ACRONYM: Final = re.compile(r"\b[A-Z]{2,5}s\b")
_MIXED: Final = re.compile(r"\b[A-Z][a-z][A-Z][A-Z]?\b")
_LONGEST_ACRONYM: Final = 6
_CAMEL: Final = re.compile(r"\b(?:[A-Z][a-z]+){2,}\b")
_CAMEL_PART: Final = re.compile(r"[A-Z][a-z]+")
_GLUED_UNIT: Final = re.compile(r"(?<=\d)(?=[a-z])(?!(?:st|nd|rd|th|s|er|eme|e)(?![a-z]))")

TELLING: Final = frozenset(
    ["no", "not", "nor", "without", "non", "never", "up", "out", "off", "over", "under", "down", "before", "after", "against", "in", "from", "to", "vs", "versus", "via", "per", "plus", "minus"]
)
"""Function words that can turn a meaning round; the others are free to come and go."""
ABBREVIATIONS: Final = {
    "st": "saint",
    "ste": "sainte",
    "mt": "mount",
    "ft": "fort",
    "dept": "department",
    "univ": "university",
    "intl": "international",
    "natl": "national",
    "govt": "government",
    "assn": "association",
    "approx": "approximately",
    "vs": "versus",
    "ave": "avenue",
    "blvd": "boulevard",
}
"""Short forms that stand for one word only."""
FREE: Final = (
    FUNCTION_WORDS - TELLING - frozenset(["who", "what", "which", "when", "where", "why", "how", "it", "he", "she", "we", "they", "you", "i", "me", "us", "them"])
)


@dataclass(frozen=True, eq=False)
class Form:
    """One text, and the parts of it that decisions look at. Parts are made when first asked for."""

    text: str
    key: str

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words in their order, plain, with units parted from numbers ("16gb" is two)."""
        words = words_of(self.text)
        if any(char.isdigit() for char in self.text):
            words = " ".join(_GLUED_UNIT.sub(" ", word) if word[0].isdigit() else word for word in words).split()
        return tuple(words)

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """`words`, each in the one form its spellings share; numbers in digits, Roman numerals too where they must be numbers."""
        return tuple(self._canonical(at, word) for at, word in enumerate(self.words))

    def _canonical(self, at: int, word: str) -> str:
        number = numerals.value(word)
        if number:
            return number
        if (
            at
            and word.upper() in self._upper
            and self.words[at - 1] not in FUNCTION_WORDS
            and not self.words[at - 1][-1].isdigit()
        ):
            return numerals.roman(word) or stem(word)
        if word in ABBREVIATIONS:
            return ABBREVIATIONS[word]
        return word[:-1] if word in self._plural_acronyms else stem(word)

    @cached_property
    def content(self) -> tuple[str, ...]:
        """`stems` without the words that come and go freely."""
        return tuple(found for found, word in zip(self.stems, self.words, strict=True) if word not in FREE) or self.stems

    @cached_property
    def content_words(self) -> tuple[str, ...]:
        """The words that `content` is made of, plain."""
        return tuple(word for word in self.words if word not in FREE) or self.words

    @cached_property
    def capitalised(self) -> frozenset[str]:
        """The words (plain) written with a capital first letter."""
        return frozenset(word for found in _CAPITALISED.findall(self.text) for word in words_of(found))

    @cached_property
    def _upper(self) -> frozenset[str]:
        """The words written in capitals throughout, as written."""
        return frozenset(word for word in _LETTERS.findall(self.text) if word.isupper())

    @cached_property
    def _plural_acronyms(self) -> frozenset[str]:
        """The words written as an acronym with a plural s ("APIs"), plain."""
        return frozenset(word.lower() for word in _PLURAL_ACRONYM.findall(self.text))

    @cached_property
    def camel(self) -> dict[str, tuple[str, ...]]:
        """The words written with capitals inside ("PlayStation"), plain, and their parts."""
        found = _CAMEL.findall(self.text)
        return {word.lower(): tuple(part.lower() for part in _CAMEL_PART.findall(word)) for word in found}

    def is_acronym(self, word: str) -> bool:
        """Whether `word` is written in capitals throughout, one to six of them, or in two capitals and a small letter ("RoR")."""
        return len(word) <= _LONGEST_ACRONYM and (
            word.rstrip("0123456789").upper() in self._upper or word in self._dotted or word in self._mixed
        )

    @cached_property
    def _mixed(self) -> frozenset[str]:
        return frozenset(word.lower() for word in _MIXED.findall(self.text))

    @cached_property
    def _dotted(self) -> frozenset[str]:
        found = _DOTTED.findall(self.text)
        return frozenset(word for dotted in found for word in words_of(dotted))

    def is_dotted(self, word: str) -> bool:
        """Whether `word` was written as initials with dots ("J.S.")."""
        return word in self._dotted

    def is_name(self, word: str) -> bool:
        """Whether `word` is written as a name is: with a capital, though not only because it opens the text."""
        return word in self.capitalised and (self.all_names or word != self.words[0])

    @cached_property
    def all_names(self) -> bool:
        """Whether every word that is not a function word begins with a capital."""
        return all(word in self.capitalised or word in FUNCTION_WORDS or not word[0].isalpha() for word in self.words)

    @cached_property
    def gloss(self) -> tuple[str, str]:
        """The text before a final parenthesis, and what it holds; ("", "") when there is none, or nothing before it."""
        found = _GLOSS.search(self.text)
        if found is None or not found[1].strip() or not words_of(self.text[: found.start()]):
            return "", ""
        return self.text[: found.start()].strip(), found[1].strip()

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Every number in it, in digits and in order of size."""
        return tuple(sorted(number for found in self.stems for number in numerals.digits(found)))

    @cached_property
    def joined(self) -> str:
        """Its words without the spaces between them."""
        return "".join(self.stems)


def form(text: str) -> Form:
    """`text` taken apart."""
    return Form(text, key(text))
