"""Two forms of one word: "save" and "saving", "cactus" and "cacti", "imminence" and "imminency"."""

from functools import lru_cache
from typing import Final

from services.orchestrator.dedupe.lexicon import Lexicon

_LATIN_PLURALS: Final = (
    ("us", "i"),
    ("um", "a"),
    ("on", "a"),
    ("a", "ae"),
    ("is", "e"),
    ("sis", "ze"),  # "analyses" and "analyze" share a stem
    ("is", "es"),
    ("ex", "ice"),
    ("ix", "ice"),
    ("ex", "ices"),
    ("ix", "ices"),
    ("ma", "mata"),
    ("eau", "eaux"),
    ("o", "i"),
    ("f", "ve"),
    ("fe", "ve"),
    ("f", "ves"),
    ("fe", "ves"),
    ("", "en"),
    ("", "im"),
    ("us", "era"),
    ("us", "ora"),
    ("y", "ies"),
    ("is", "i"),  # "taxis": the stem of a plural in -is keeps its s
    ("us", "use"),
)
_MIN_PLURAL: Final = 4
"""A Latin ending is only trusted behind this many letters at least, ending included."""

_NOUN_ENDINGS: Final = (
    frozenset(
        {
            "ness",
            "ity",
            "ence",
            "ency",
            "ance",
            "ancy",
            "ion",
            "ation",
            "ment",
            "ure",
            "al",
            "ety",
            "y",
            "cy",
            "ce",
            "tude",
            "ism",
        }
    ),
    frozenset({"ic", "ical"}),
    frozenset({"ally", "ly"}),
)
"""Endings that make the same sort of word of one root; two of them behind one root make one word twice."""
_MIN_ROOT: Final = 5
_ENDINGS_BY_LENGTH: Final = sorted({end for ends in _NOUN_ENDINGS for end in ends}, key=lambda end: (-len(end), end))


def plural(a: str, b: str) -> bool:
    """Whether one is a plural of the other that `stem` leaves alone (both are stems)."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) < _MIN_PLURAL or a[:2] != b[:2]:
        return False
    return any(
        (a.endswith(one) and b == a[: len(a) - len(one)] + other) or (b.endswith(one) and a == b[: len(b) - len(one)] + other)
        for one, other in _LATIN_PLURALS
        if min(len(a), len(b)) - max(len(one), len(other)) >= 2
    )


def same_verb(a: str, b: str, lexicon: Lexicon) -> bool:
    """Whether both are forms of one verb."""
    return lexicon.verb_base(a) == lexicon.verb_base(b)


def same_root(a: str, b: str) -> bool:
    """Whether the two are one root with two endings of one sort, or a direction and its adjective ("east", "eastern")."""
    if a[:_MIN_ROOT] != b[:_MIN_ROOT]:
        return a + "ern" == b or b + "ern" == a
    return not _roots(a).isdisjoint(_roots(b))


@lru_cache(maxsize=16_384)
def _roots(word: str) -> frozenset[tuple[int, str]]:
    """What may be left of `word` without an ending, with the sort of that ending."""
    return frozenset(
        (sort, word[: -len(end)])
        for sort, endings in enumerate(_NOUN_ENDINGS)
        for end in endings
        if word.endswith(end) and len(word) - len(end) >= _MIN_ROOT
    )


def root(stem: str, lexicon: Lexicon) -> str:
    """One form for the forms of a word that `same_verb` and `same_root` call one; a coarse one, to find candidates by."""
    base = lexicon.verb_base(stem)
    return base if base != stem else _without_ending(stem)


@lru_cache(maxsize=16_384)
def _without_ending(stem: str) -> str:
    if stem.endswith("ern"):
        return stem[:-3]
    for ending in _ENDINGS_BY_LENGTH:
        if stem.endswith(ending) and len(stem) - len(ending) >= _MIN_ROOT:
            return stem[: -len(ending)]
    return stem
