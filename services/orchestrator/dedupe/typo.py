"""Slips of the pen: one word written in two ways of which at least one is no word."""

from operator import eq
from typing import Final

from rapidfuzz.distance import OSA

from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.word_list import word_list

SHORT: Final = 5
"""Below this many letters one changed letter makes another word too often."""
LONG: Final = 9
"""From this many letters on, two changes are still a slip."""
FURTHEST: Final = 2
"""Changes a slip has at most."""

_ALIKE: Final = tuple(
    frozenset(pair.split("/"))
    for pair in word_list("v/w i/y c/k s/z k/q u/w u/v i/j e/ie ph/f ck/k c/ck th/t kh/h gh/g sch/sh s/sh ts/c ou/u oo/u ee/i")
)
"""Letters that stand for one sound in two ways of writing a name."""


def _middle(a: str, b: str) -> tuple[str, str]:
    """What is left of both without their common beginning and end."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return a[start : len(a) - end], b[start : len(b) - end]


def sounds_alike(a: str, b: str) -> bool:
    """Whether the two differ in one place, and there only by a doubled letter, a silent h or letters of one sound."""
    one, other = _middle(a, b)
    if len(one) > len(other):
        one, other, a, b = other, one, b, a
    if not one:
        at = next((n for n, (left, right) in enumerate(zip(a, b, strict=False)) if left != right), len(a))
        return other == "h" or (len(other) == 1 and at > 0 and a[at - 1] == other)
    return frozenset({one, other}) in _ALIKE


def _shaken(a: str, b: str) -> bool:
    """Whether the letters of two names are the same but for a doubling, or one missing inside, or two that changed places."""
    if undoubled(a) == undoubled(b):
        return True
    one, other = _middle(a, b)
    inside = a[-1] == b[-1] and a[:3] == b[:3]
    return inside and min(len(a), len(b)) > SHORT and (not one or not other or one == other[::-1]) and len(one + other) <= 2


def undoubled(word: str) -> str:
    """`word` with every doubled letter single."""
    if not any(map(eq, word, word[1:])):
        return word
    return "".join(char for at, char in enumerate(word) if at == 0 or word[at - 1] != char)


def slip(a: str, b: str, names: bool, lexicon: Lexicon) -> bool:
    """Whether one is a slip of the other (both plain words).

    Two known words never are. Two names that are both unknown only are when they sound alike: "Zhanjiang" and "Zhenjiang" are
    two cities, and no spelling tells.
    """
    if min(len(a), len(b)) < SHORT or a[0] != b[0] or not (a.isalpha() and b.isalpha()):
        return False
    distance = OSA.distance(a, b, score_cutoff=FURTHEST)
    if distance > (FURTHEST if min(len(a), len(b)) >= LONG and a[:2] == b[:2] else 1):
        return False
    known = (lexicon.known(a), lexicon.known(b))
    if all(known):
        return False
    if not any(known):
        return distance == 1 and sounds_alike(a, b)
    return not names or _shaken(a, b)
