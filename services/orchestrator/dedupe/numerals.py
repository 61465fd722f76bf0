"""Numbers in whatever way they are written: 2, II, two, second, 2nd, 16GB, PS5."""

import re
from typing import Final

from services.orchestrator.dedupe.word_list import word_list

_WORDS: Final = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_ORDINALS: Final = word_list(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_TENS: Final = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_TENTHS: Final = {"thirtieth": 30, "fortieth": 40, "fiftieth": 50, "hundredth": 100, "thousandth": 1000}
_LARGE: Final = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12}

SPELLED: Final[dict[str, str]] = {
    word: str(value)
    for words in (
        dict(zip(_WORDS, range(21), strict=True)),
        dict(zip(_ORDINALS, range(21), strict=True)),
        _TENS,
        _TENTHS,
        _LARGE,
    )
    for word, value in words.items()
}
"""Number words and what they stand for, in digits."""

_ROMAN: Final = re.compile(r"(?=[ivx])x{0,3}(?:ix|iv|v?i{0,3})\Z")
_ROMAN_DIGITS: Final = {"i": 1, "v": 5, "x": 10}
_DIGITS: Final = re.compile(r"-?\d+(?:\.\d+)?")
_ORDINAL: Final = re.compile(r"(\d+)(?:st|nd|rd|th|er|eme|e)\Z")


def roman(word: str) -> str:
    """The number a Roman numeral up to 39 stands for, in digits; empty when `word` (lower case) is none."""
    if not _ROMAN.match(word):
        return ""
    values = [_ROMAN_DIGITS[char] for char in word]
    return str(sum(-value if value < max(values[at:]) else value for at, value in enumerate(values)))


def digits(word: str) -> tuple[str, ...]:
    """The numbers written in digits within `word`, without leading zeros: "ps5" has "5", "16gb" has "16"."""
    return () if word.isalpha() else tuple(found.lstrip("0") or "0" for found in _DIGITS.findall(word))


def value(word: str) -> str:
    """The number the whole of `word` stands for, in digits ("second", "2nd" and "02" are "2"); empty when it is none."""
    spelled = SPELLED.get(word)
    if spelled is not None:
        return spelled
    if not word[:1].isdigit() and word[:1] != "-":
        return ""
    ordinal = _ORDINAL.match(word)
    if ordinal:
        word = ordinal[1]
    return (word.lstrip("0") or "0") if _DIGITS.fullmatch(word) else ""
