# ruff: noqa: RUF001 (characters of other scripts are what this file is about)
"""The key of an attribute: what is left when everything is taken away that differs freely between two spellings of one thing.

The key decides what is *certainly* the same, for ever, so it only drops what never tells two things apart: case, accents,
punctuation, list marks, articles, plural and British or American spelling, the order of words. Numbers, glosses, emoji and
signs that carry meaning ("C++", "C#", ".NET", "-5") stay. The text shown to people is never changed.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from services.orchestrator.dedupe.spelling import stem
from services.orchestrator.dedupe.word_list import word_set

ARTICLES: Final = frozenset({"a", "an", "the"})

FUNCTION_WORDS: Final = word_set(
    "a an the of in on at to by for from with and or nor but not no is are was were be am do did has have who what which "
    "when where why how it he she we they you i me us them his her its our your my this that these those as if so than then "
    "up out off over under into onto upon"
)
"""Words that carry little meaning alone. An article before nothing else is part of a name ("The Who", "The The")."""

_LETTERS_FOLDED: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "ng"}
)
_LIST_MARK: Final = re.compile(r"\A\s*(?:[-*+>•‣▪●◦·–—]+\s+|\(?#?\d{1,3}[.)\]:]\s+|\(?[a-zA-Z]\)\s+|\[[ xX]?\]\s+)+(?=\S)")
# Latin and Greek lose their marks; elsewhere a mark is a letter of its own (й, が, Devanagari vowels), ё alone is free.
_ACCENT: Final = re.compile(r"(?<=[a-zα-ω])[\u0300-\u036f]+|(?<=е)\u0308")
_DOTTED_ACRONYM: Final = re.compile(r"(?<![^\W_])(?:[^\W\d_]\.){2,}(?:[^\W\d_](?![^\W_]))?")
_THOUSANDS: Final = re.compile(r"(?<=\d)[,\u2019'](?=\d{3}(?:\D|\Z))(?<!\d{4}.)")
_APOSTROPHES: Final = re.compile(r"['\u2018\u2019\u02bc\u02b9\u2032`´]")
_AND: Final = re.compile(r"&|(?<=\S\s)\+(?=\s+\S)|(?<=\s)['\u2018\u2019]?n['\u2019](?=\s)")
_ELIDED_ARTICLE: Final = re.compile(r"(?<![^\W_])l['\u2019](?=[^\W\d_]{3})")
_SURROUNDING: Final = " \t\"'\u2018\u2019\u201c\u201d"
_FINAL: Final = ".,;:!?"
_KEPT_SIGNS: Final = re.compile(
    r"(?<=[^\W\d_])(?:\+\+|\#|\+)(?![^\W_])"  # C++, C#, A+
    r"|(?<![^\W_])\.(?=[^\W\d_])(?<!\w\.)"  # .NET
    r"|(?<![^\W_])[-\u2212\u2013](?=\d)"  # -5
    r"|(?<=\d)\.(?=\d)"  # 3.5
)
_SIGN_TO_PRIVATE: Final = str.maketrans("+#.-\u2212\u2013", "\ue001\ue002\ue003\ue004\ue004\ue004")
_PRIVATE_TO_SIGN: Final = str.maketrans("\ue001\ue002\ue003\ue004", "+#.-")
_SYMBOL_EDGE: Final = "\ue000"
_CASED_LETTER_A: Final = re.compile(r"([\w.]+)\s+A(?![^\W_])")


class _Separators(dict[int, str]):
    """A table for str.translate, filled as characters are met: punctuation parts words, symbols stand alone."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category[0] in "LNM" or category == "Co":
            to = char
        elif category == "Cf" or "\ufe00" <= char <= "\ufe0f":
            to = ""
        elif char in "%‰" or (category[0] == "S" and char not in "`^~|<>=+\u00b4\u2044"):
            to = f"{_SYMBOL_EDGE}{char}{_SYMBOL_EDGE}"
        else:
            to = " "
        self[code] = to
        return to


_SEPARATORS: Final = _Separators()


def _plain(text: str) -> str:
    """`text` in one case and one width, without accents."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if text.isascii():
        return text
    text = _ACCENT.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFKC", text.translate(_LETTERS_FOLDED))


def _names_a_letter(text: str) -> bool:
    """Whether an upper-case A inside `text` is a letter ("Hepatitis A virus") and no article ("Portrait of A Lady")."""
    found = _CASED_LETTER_A.search(text)
    return found is not None and found[1].casefold() not in FUNCTION_WORDS and not text.isupper()


def _without_articles(words: list[str], keep_a: bool) -> list[str]:
    """`words` without articles, unless one ends the text ("Vitamin A") or only function words remain ("The Who").

    An article that is kept moves to the end, so that it is kept again when a key is made of the key.
    """
    kept = [word for word in words[:-1] if word not in ARTICLES or (keep_a and word == "a")]
    if all(word in FUNCTION_WORDS for word in (*kept, words[-1])):
        kept = words[:-1]
    return [*kept, words[-1]]


def _ordered(words: list[str]) -> str:
    return " ".join(sorted(words, key=lambda word: (word in ARTICLES, word)))


def words_of(text: str) -> list[str]:
    """The words of `text` in their order: one case, no accents, no list mark, numbers and meaningful signs kept whole."""
    text = _LIST_MARK.sub("", text.replace("™", " ").replace("®", " ").replace("©", " ")) or text
    text = _plain(text)
    text = _AND.sub(" and ", text)
    text = _ELIDED_ARTICLE.sub("", text)
    text = _THOUSANDS.sub("", text)
    text = _DOTTED_ACRONYM.sub(lambda found: found[0].replace(".", ""), text)
    text = _APOSTROPHES.sub("", text)
    text = _KEPT_SIGNS.sub(lambda found: found[0].translate(_SIGN_TO_PRIVATE), text)
    text = text.translate(_SEPARATORS).replace(_SYMBOL_EDGE * 2, "").replace(_SYMBOL_EDGE, " ")
    return text.translate(_PRIVATE_TO_SIGN).split()


def telling_words(text: str) -> list[str]:
    """`words_of(text)` without the articles that are no part of a name."""
    words = words_of(text)
    if ARTICLES.isdisjoint(words):
        return words
    return _without_articles(words, _names_a_letter(text))


def _whole(text: str) -> str:
    """What a text without any word is known by: itself, in one case and width."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def _key_once(text: str) -> str:
    words = telling_words(text)
    if not words:
        return _whole(text)
    return _ordered([stem(word) for word in words])


@lru_cache(maxsize=4096)
def _general_key(text: str) -> str:
    now = _key_once(text)
    for _ in range(8):
        if _settled(now):
            break
        before, now = now, _key_once(now)
        if now == before:
            break
    return now


def _settled(found: str) -> bool:
    """Whether a key is plainly the key of itself: stems that nothing but their order could change."""
    bare = found.replace(" ", "")
    return bare.isascii() and bare.isalpha() and ARTICLES.isdisjoint(found.split())


def key(text: str) -> str:
    """The key of `text`: equal for two texts that are certainly the same attribute.

    Idempotent: `key(key(text)) == key(text)`. Never empty for a text that holds a letter, a digit or a symbol.
    """
    return _plain_key(text) or _plain_key(undecorated(text)) or _general_key(text)


def _plain_key(text: str) -> str:
    """The key of a text of ASCII letters and spaces, at a tenth of the price; empty for others."""
    bare = text.replace(" ", "")
    if not (bare.isascii() and bare.isalpha()):
        return ""
    words = text.lower().split()
    if ARTICLES.isdisjoint(words):
        return " ".join(sorted(map(stem, words)))
    if " A " in text or text.isupper():
        return ""
    return _ordered([stem(word) for word in _without_articles(words, keep_a=False)])


def undecorated(text: str) -> str:
    """`text` without what often surrounds an item of a list and never matters: its mark, quotes, a final stop."""
    return _LIST_MARK.sub("", text).strip(_SURROUNDING).rstrip(_FINAL)
