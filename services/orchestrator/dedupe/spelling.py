"""One form for the spellings of an English word: plurals, British and American, ligatures.

Every rule is applied to both sides of a comparison, so a rule need not produce a real word ("series" becomes "sery"); it only
must not make two different words equal. Rules that could ("tea" and "tease", "filing" and "filling") are left out.
"""

import re
from functools import lru_cache
from typing import Final

CACHED_WORDS: Final = 16_384
"""Words whose stem is remembered: about 3 MB at most, and an English list rarely has more distinct words."""

IRREGULAR: Final[dict[str, str]] = {
    # plurals no rule below reaches
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "lice": "louse",
    "oxen": "ox",
    "knives": "knife",
    "wives": "wife",
    "wolves": "wolf",
    "leaves": "leaf",
    "loaves": "loaf",
    "shelves": "shelf",
    "halves": "half",
    "calves": "calf",
    "thieves": "thief",
    "scarves": "scarf",
    "hooves": "hoof",
    "elves": "elf",
    "buses": "bus",
    "gases": "gas",
    "biases": "bias",
    "lenses": "lens",
    "quizzes": "quiz",
    "men": "man",
    # words that end in s and are no plural of what is left without it
    "news": "news",
    "lens": "lens",
    "mars": "mars",
    "aids": "aids",
    "yes": "yes",
    "this": "this",
    "does": "does",
    "always": "always",
    # British and American forms of single words
    "grey": "gray",
    "programme": "program",
    "aluminium": "aluminum",
    "plough": "plow",
    "mould": "mold",
    "moustache": "mustache",
    "pyjama": "pajama",
    "doughnut": "donut",
    "yoghurt": "yogurt",
    "whiskey": "whisky",
    "judgement": "judgment",
    "ageing": "aging",
    "cosy": "cozy",
    "sceptic": "skeptic",
    "sceptical": "skeptical",
    "defence": "defense",
    "licence": "license",
    "offence": "offense",
    "pretence": "pretense",
    "jewellery": "jewelry",
    "odour": "odor",
    "tyre": "tire",
    "artefact": "artifact",
    "draught": "draft",
    "gaol": "jail",
    "kerb": "curb",
    "enquiry": "inquiry",
    "fulfil": "fulfill",
    "enrol": "enroll",
    "instal": "install",
    "skilful": "skillful",
    "wilful": "willful",
}

_SPELLINGS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        # -ise, -yse and what grows from them; five letters and fewer are other words ("wise", "prise"/"prize")
        (r"(?<=...)is(?=(?:e|ed|er|ing|ation|able)$)", "iz"),
        (r"(?<=..)lys(?=(?:e|ed|er|ing)$)", "lyz"),
        # -our: three letters before keep "hour", "four", "mourning"/"morning" and "flour" apart
        (r"(?<=...)our(?=(?:|ed|er|ing|ful|less|hood|able|ite|ist|y|al)$)", "or"),
        # -re: "centre", "fibre", "meagre"
        (r"(?<=..)([tbg])re$", r"\1er"),
        # Latin and Greek digraphs where no other word loses its shape ("Michael" and "poet" must not)
        (r"(?<=^)(?:ae|oe)(?=[a-z]{4})", "e"),
        (r"(?<=[a-z])ae(?=m|di|do|sth|sar|si|o|col)", "e"),
        (r"(?<=rrh)oe(?=a)", "e"),
        (r"(?<=^f)oe(?=t[aui])", "e"),
        (r"(?<=man)oeuvre?(?=(?:|s|d|ing|able)$)", "euver"),
        (r"(?<=...)ell(?=(?:ing|ed|er)$)", "el"),
        (r"(?<=...)ogue$", "og"),
        (r"^sulph", "sulf"),
    )
)

_ANY_SPELLING: Final = re.compile("|".join(f"(?:{pattern.pattern})" for pattern, _ in _SPELLINGS))
"""Tells in one look that no rule applies, as for most words."""

_VOWELS: Final = frozenset("aeiouy")
"""A word without any is an acronym, and its s a letter of it ("HTTPS")."""


def _without_plural(word: str) -> str:
    """`word` with one plural ending less."""
    if word.endswith("men") and len(word) > 4:
        return word[:-2] + "an"
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and not _VOWELS.isdisjoint(word):
        return word[:-1]
    return word


def _without_mute_end(word: str) -> str:
    """`word` without the e that a plural leaves behind ("churche", "heroe", "cookie")."""
    if word.endswith("ie") and len(word) > 4:
        return word[:-2] + "y"
    if word.endswith(("che", "she", "sse", "zze", "tze", "xe", "oe")):
        return word[:-1]
    if len(word) > 5 and word.endswith("use") and word[-4] not in "aeou":
        return word[:-1]
    return word


def _once(word: str) -> str:
    known = IRREGULAR.get(word)
    if known is not None:
        return known
    word = _without_mute_end(_without_plural(word))
    if _ANY_SPELLING.search(word):
        for pattern, to in _SPELLINGS:
            word = pattern.sub(to, word)
    return word


@lru_cache(maxsize=CACHED_WORDS)
def stem(word: str) -> str:
    """`word` (lower case, without accents) in the one form its spellings share; others come back as they are.

    Idempotent: the rules are applied until none changes anything.
    """
    if len(word) < 4 and word not in IRREGULAR:
        return word
    if not (word.isascii() and word.isalpha()):
        return word
    for _ in range(len(word)):
        before, word = word, _once(word)
        if word == before or len(word) < 4:
            break
    return word
