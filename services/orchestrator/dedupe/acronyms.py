"""Acronyms: the initials of a phrase in place of it."""

from collections.abc import Sequence
from functools import lru_cache

from services.orchestrator.dedupe import numerals
from services.orchestrator.dedupe.form import Form
from services.orchestrator.dedupe.names import COMPANY_ENDINGS
from services.orchestrator.dedupe.normalise import FUNCTION_WORDS

_MIN_LETTERS = 2


def _initials(words: Sequence[str], spelled: bool) -> str:
    """The first letters of `words`, numbers in digits; of spelled ones ("two") the first letter, with `spelled`."""
    if spelled:
        return "".join([word[0] if word in numerals.SPELLED else _initial(word) for word in words])
    return "".join(map(_initial, words))


@lru_cache(maxsize=8192)
def _initial(word: str) -> str:
    return numerals.value(word) or numerals.roman(word) or word[0]


def _in_digits(letters: str) -> str:
    """`letters` with a Roman numeral at their end in digits: "wwii" is "ww2"."""
    start = next((at for at in range(2, len(letters)) if numerals.roman(letters[at:])), len(letters))
    return letters[:start] + numerals.roman(letters[start:])


def _spread(words: Sequence[str], whole: Form) -> list[str]:
    """`words` with what is written in one ("PlayStation") taken apart, and without a company's legal form at the end."""
    kept = [part for word in words for part in whole.camel.get(word, (word,))] if whole.camel else list(words)
    while len(kept) > _MIN_LETTERS and kept[-1] in COMPANY_ENDINGS:
        kept.pop()
    return kept


def letters_of(short: Form, words: Sequence[str] = ()) -> str:
    """The letters of `words` (all of `short` by default) when they are an acronym, joined ("P&G" is "pg"); empty otherwise."""
    plain = [word for word in words or short.words if word != "and"]
    if not plain or len(plain) > _MIN_LETTERS or not all(word in short.acronyms for word in plain):
        return ""
    joined = _in_digits("".join(plain))
    return joined if len(joined) >= _MIN_LETTERS else ""


def initials_of(whole: Form, words: Sequence[str] = ()) -> set[str]:
    """The initials of `words` (all of `whole` by default), with and without the little ones; none for a single word."""
    spread = _spread(words or whole.words, whole)
    if len(spread) < _MIN_LETTERS:
        return set()
    telling = spread if FUNCTION_WORDS.isdisjoint(spread) else [word for word in spread if word not in FUNCTION_WORDS]
    ways = (False,) if numerals.SPELLED.keys().isdisjoint(spread) else (False, True)
    texts = (spread,) if telling is spread else (spread, telling)
    return {_initials(words, spelled) for words in texts for spelled in ways}


def stands_for(short: Form, letters: Sequence[str], whole: Form, words: Sequence[str]) -> bool:
    """Whether `letters`, words of `short` in capitals, are the initials of `words` of `whole`."""
    joined = letters_of(short, letters)
    return joined != "" and joined in initials_of(whole, words)
