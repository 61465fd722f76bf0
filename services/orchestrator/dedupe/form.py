"""A text taken apart once, so that it can be compared with many."""

import re
from functools import lru_cache
from typing import Final

import msgspec

from services.orchestrator.dedupe import numerals
from services.orchestrator.dedupe.normalise import ARTICLES, FUNCTION_WORDS, telling_words, undecorated, words_of
from services.orchestrator.dedupe.spelling import CACHED_WORDS, stem
from services.orchestrator.dedupe.word_list import word_set

_GLOSS: Final = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]\s*\Z")
_CAPITALISED: Final = re.compile(r"(?<![^\W_])[^\W\d_a-z][^\W_]*(?:['\u2019.&-]?[^\W_]+)*")
_DOTTED: Final = re.compile(r"(?:[^\W\d_]\.){2,}")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_PLURAL_ACRONYM: Final = re.compile(r"\b[A-Z]{2,5}s\b")
_MIXED: Final = re.compile(r"\b[A-Z][a-z][A-Z][A-Z]?\b")
_CAMEL: Final = re.compile(r"\b(?:[A-Z][a-z]+){2,}\b")
_CAMEL_PART: Final = re.compile(r"[A-Z][a-z]+")
_GLUED_UNIT: Final = re.compile(r"(?<=\d)(?=[a-z])(?!(?:st|nd|rd|th|s|er|eme|e)(?![a-z]))")
_LONGEST_ACRONYM: Final = 6
_NOTHING: Final[frozenset[str]] = frozenset()
_NO_CAMEL: Final[dict[str, tuple[str, ...]]] = {}

TELLING: Final = word_set("no not nor without non never up out off over under down before after against vs versus plus minus")
"""Function words that can turn a meaning round; the others are free to come and go."""
FREE: Final = (
    FUNCTION_WORDS - ARTICLES - TELLING - word_set("who what which when where why how it he she we they you i me us them")
)
"""Words that come and go without changing what is meant. Articles are gone before, but for those that are part of a name."""

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
    "vs": "versus",
    "ave": "avenue",
    "blvd": "boulevard",
}
"""Short forms that stand for one word only."""


class Form(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One text, and the parts of it that decisions look at."""

    text: str
    words: tuple[str, ...]
    """Its words in their order, plain, with units parted from numbers ("16gb" is two)."""
    stems: tuple[str, ...]
    """`words`, each in the one form its spellings share; numbers, Roman ones too, in digits."""
    content: tuple[str, ...]
    """`stems` without the words that come and go freely."""
    content_words: tuple[str, ...]
    """The words that `content` is made of."""
    capitalised: frozenset[str]
    """The words written with a capital first letter."""
    acronyms: frozenset[str]
    """The words written in capitals throughout ("WHO", "U.N.", "PS5"), or nearly so ("RoR"), one to six letters."""
    dotted: frozenset[str]
    """The words written as initials with dots ("J.S.")."""
    camel: dict[str, tuple[str, ...]]
    """The words written with capitals inside ("PlayStation"), and their parts."""
    gloss: tuple[str, str]
    """The text before a final parenthesis, and what it holds; ("", "") when there is none, or nothing before it."""
    numbers: tuple[str, ...]
    """Every number in it, in digits, sorted."""
    all_names: bool
    """Whether every word that is not a function word begins with a capital."""

    @property
    def joined(self) -> str:
        """Its words without the spaces between them."""
        return "".join(self.stems)

    def is_name(self, word: str) -> bool:
        """Whether `word` is written as a name is: with a capital, though not only because it opens the text."""
        return word in self.capitalised and (self.all_names or word != self.words[0])


def form(text: str) -> Form:
    """`text` taken apart."""
    written = _plain_words(text)
    return _plainly_written(text, written) if written else _any(text)


def _plain_words(text: str) -> list[str]:
    """The words of a text that is letters and spaces alone, without free articles, as written; none for other texts."""
    written = text.split()
    if not _letters_alone(written):  # which have no decoration
        written = undecorated(text).split()
        if not _letters_alone(written):
            return []
    if not all(word.istitle() or word.islower() or word.isupper() for word in written):
        return []
    if ARTICLES.isdisjoint(map(str.lower, written)):
        return written
    kept = [word for word in written if word.lower() not in ARTICLES]
    # An article that may be part of a name ("Vitamin A", "The Who") needs the longer look.
    named = written[-1].lower() in ARTICLES or "A" in written[1:] or all(word.lower() in FUNCTION_WORDS for word in kept)
    return [] if named else kept


def _letters_alone(words: list[str]) -> bool:
    joined = "".join(words)
    return joined.isascii() and joined.isalpha()


def _any(text: str) -> Form:
    words = _split_units(telling_words(text))
    letters = _Letters(text)
    stems = tuple(letters.stem(words, at) for at in range(len(words)))
    content, content_words = _content(stems, words)
    capitalised = letters.dotted.union(word for found in _CAPITALISED.findall(text) for word in words_of(found))
    return Form(
        text=text,
        words=words,
        stems=stems,
        content=content,
        content_words=content_words,
        capitalised=capitalised,
        acronyms=frozenset(word for word in words if letters.acronym(word)),
        dotted=letters.dotted,
        camel={word.lower(): tuple(part.lower() for part in _CAMEL_PART.findall(word)) for word in _CAMEL.findall(text)},
        gloss=_gloss(text),
        numbers=tuple(sorted(number for found in stems for number in numerals.digits(found))),
        all_names=all(word in capitalised or word in FUNCTION_WORDS or not word[0].isalpha() for word in words),
    )


def _plainly_written(text: str, written: list[str]) -> Form:
    """The same for a text of letters and spaces alone, at a fifth of the price: there are no signs to look for."""
    words = tuple(map(str.lower, written))
    upper = frozenset([as_written.lower() for as_written in written if as_written.isupper()])
    stems = tuple(map(_stem, words))
    if upper:
        stems = tuple(
            (at and word in upper and words[at - 1] not in FUNCTION_WORDS and numerals.roman(word)) or found
            for at, (word, found) in enumerate(zip(words, stems, strict=True))
        )
    content, content_words = _content(stems, words)
    capitalised = frozenset([word for word, as_written in zip(words, written, strict=True) if word[0] != as_written[0]])
    return Form(
        text=text,
        words=words,
        stems=stems,
        content=content,
        content_words=content_words,
        capitalised=capitalised,
        acronyms=frozenset(word for word in upper if len(word) <= _LONGEST_ACRONYM) if upper else _NOTHING,
        dotted=_NOTHING,
        camel=_NO_CAMEL,
        gloss=("", ""),
        numbers=tuple(sorted(filter(str.isdigit, stems))),
        all_names=capitalised.issuperset(words) or all(word in capitalised or word in FUNCTION_WORDS for word in words),
    )


def _content(stems: tuple[str, ...], words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if FREE.isdisjoint(words):
        return stems, words
    kept = [at for at, word in enumerate(words) if word not in FREE] or range(len(words))
    return tuple(stems[at] for at in kept), tuple(words[at] for at in kept)


def _split_units(words: list[str]) -> tuple[str, ...]:
    if not any(word[0].isdigit() for word in words):
        return tuple(words)
    return tuple(" ".join(_GLUED_UNIT.sub(" ", word) if word[0].isdigit() else word for word in words).split())


@lru_cache(maxsize=CACHED_WORDS)
def _stem(word: str) -> str:
    return numerals.value(word) or ABBREVIATIONS.get(word) or stem(word)


def _gloss(text: str) -> tuple[str, str]:
    found = _GLOSS.search(text) if "(" in text or "[" in text else None
    if found is None or not found[1].strip() or not words_of(text[: found.start()]):
        return "", ""
    return text[: found.start()].strip(), found[1].strip()


class _Letters:
    """How the words of a text are written."""

    def __init__(self, text: str) -> None:
        self._upper: Final = frozenset(word.lower() for word in _LETTERS.findall(text) if word.isupper())
        self._plurals: Final = frozenset(word.lower() for word in _PLURAL_ACRONYM.findall(text))
        self._mixed: Final = frozenset(word.lower() for word in _MIXED.findall(text))
        self.dotted: Final = frozenset(word for found in _DOTTED.findall(text) for word in words_of(found))

    def stem(self, words: tuple[str, ...], at: int) -> str:
        """The stem of the word at `at`; a Roman numeral only where it stands behind what it could count."""
        word = words[at]
        if at and word in self._upper and words[at - 1] not in FUNCTION_WORDS and not words[at - 1][-1].isdigit():
            number = numerals.roman(word)
            if number:
                return number
        return word[:-1] if word in self._plurals else _stem(word)

    def acronym(self, word: str) -> bool:
        """Whether `word` is written as an acronym."""
        if len(word) > _LONGEST_ACRONYM:
            return False
        return word.rstrip("0123456789") in self._upper or word in self.dotted or word in self._mixed
