"""Names of people, places and organisations, and the words that are put around them freely."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from services.orchestrator.dedupe.form import Form
from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.normalise import FUNCTION_WORDS
from services.orchestrator.dedupe.word_list import word_set

TITLES: Final = word_set(
    "sir dame lord lady dr doctor mr mrs ms miss prof professor rev reverend president chairman senator governor "
    "general captain colonel king queen emperor empress tsar czar prince princess pope saint st"
)
"""What may stand before a person's name without making it another person."""
SUFFIXES: Final = word_set("jr sr junior senior phd esq")
"""What may stand behind one."""

COMPANY_ENDINGS: Final = word_set(
    "inc incorporated corp corporation ltd limited llc llp lp plc co company ag sa se gmbh nv bv spa oy ab pty kk "
    "group holding holdings com"
)
"""What may stand behind a company's name without making it another company."""

STATE_WORDS: Final = word_set(
    "republic kingdom commonwealth federation confederation union state states principality sultanate emirate duchy "
    "city town municipality province county prefecture island islands isle"
)
"""What may stand with "of" before a place's name."""
STATE_ADJECTIVES: Final = word_set("federal democratic islamic socialist united grand")
_PLACE_ENDINGS: Final = word_set("republic federation kingdom confederation city state province county prefecture")
_PARTICLES: Final = word_set("de da di du del della der den des la le van von zu el al bin ibn ben y e")

FOREIGN_ARTICLES: Final = word_set("la le les el los las il lo gli der die das den het o os as")

_WRAPPING: Final = TITLES | SUFFIXES | COMPANY_ENDINGS | STATE_WORDS | STATE_ADJECTIVES | FOREIGN_ARTICLES


def _initial_of(a: str, b: str) -> bool:
    return (len(a) == 1 and b.startswith(a)) or (len(b) == 1 and a.startswith(b))


def parts_of(form: Form) -> list[str]:
    """The words of a person's name, initials written together taken apart ("J.S." is two), without titles."""
    parts: list[str] = []
    for word in form.words:
        if word in SUFFIXES or (word in TITLES and not parts):
            continue
        parts += list(word) if (word in form.dotted) else [word]
    return parts


def _person(form: Form, parts: Sequence[str]) -> bool:
    """Whether `parts` could be the name of a person: capitals, no numbers, no little words but those of names."""
    return (
        len(parts) > 0
        and all(word in form.capitalised or word in _PARTICLES or (word in form.dotted) or len(word) == 1 for word in parts)
        and not any(not word.isalpha() and any(map(str.isdigit, word)) for word in parts)
    )


def _within(short: Sequence[str], long: Sequence[str]) -> bool:
    """Whether every word of `short`, or its initial, stands in `long` in the same order, and the first stands first."""
    if short and not (short[0] == long[0] or _initial_of(short[0], long[0])):
        return False
    rest = iter(long)
    return all(any(word == other or _initial_of(word, other) for other in rest) for word in short)


def _ordinary(parts: Sequence[str], lexicon: Lexicon) -> bool:
    """Whether the words mean something themselves ("Royal Albert Hall"), so that they are hardly the name of a person."""
    if any(lexicon.common(word) for word in parts[1:-1] if len(word) > 1):
        return True
    return lexicon.common(parts[0]) and lexicon.common(parts[-1])


def same_person(a: Form, b: Form, lexicon: Lexicon) -> str:
    """ "same" or "differ" when both are written as names of people with one last name, "" when they are not."""
    ours, theirs = parts_of(a), parts_of(b)
    if len(ours) < 2 or len(theirs) < 2 or ours[-1] != theirs[-1] or len(ours[-1]) < 3:
        return ""
    if not (_person(a, ours) and _person(b, theirs)) or a.numbers != b.numbers:
        return ""
    if _ordinary(ours, lexicon) or _ordinary(theirs, lexicon):
        return ""
    if not (ours[0] == theirs[0] or _initial_of(ours[0], theirs[0])):
        return "" if any(lexicon.common(word) for word in (ours[0], theirs[0], ours[-1])) else "differ"
    short, long = sorted((ours[1:-1], theirs[1:-1]), key=len)
    return "same" if _within(short, long) else "differ"


def _start_of(words: Sequence[str], whole: Sequence[str]) -> bool:
    return tuple(whole[: len(words)]) == tuple(words)


def wrapped(form: Form, extra: Sequence[str], rest: Sequence[str], lexicon: Lexicon) -> str:
    """In words, why `extra` comes and goes freely around `rest` in `form`; empty when it does not."""
    if _title(form, extra, rest):
        return "a title is no part of the name"
    if all(word in COMPANY_ENDINGS for word in extra) and form.words[-1] in extra and form.words[0] in form.capitalised:
        return "the legal form is no part of the name"
    if len(extra) == 1 and extra[0] in FOREIGN_ARTICLES and form.words[0] == extra[0] and _known_apart(form, rest, lexicon):
        return "the article is no part of the name"
    if _regnal(form, extra):
        return "the number already tells which one"
    if _code(extra, rest, form):
        return "the model code already tells which one"
    words = [word for word in form.words if word not in ("the", "a", "an")]
    if _state(words, extra, form):
        return "the form of state is no part of the name"
    if _class_noun(words, extra, rest, form, lexicon):
        return f"“{' '.join(extra)}” only says what sort of thing it is"
    return ""


def without_wrapping(form: Form, lexicon: Lexicon) -> Iterator[tuple[str, ...]]:
    """The stems of `form` without what comes and goes freely around a name, in each way that is possible."""
    content, words = form.content, form.content_words
    if len(words) < 2:
        return
    bare = tuple(stem for stem, word in zip(content, words, strict=True) if word not in _WRAPPING)
    if 0 < len(bare) < len(content):
        yield bare
    if _may_wrap(words[0], form, lexicon) and wrapped(form, words[:1], words[1:], lexicon):
        yield content[1:]
    if _may_wrap(words[-1], form, lexicon) and wrapped(form, words[-1:], words[:-1], lexicon):
        yield content[:-1]


def _may_wrap(word: str, form: Form, lexicon: Lexicon) -> bool:
    """Whether `word` is worth the whole look of `wrapped`."""
    return word in _WRAPPING or form.numbers != () or lexicon.base(word) != ""


def _known_apart(form: Form, rest: Sequence[str], lexicon: Lexicon) -> bool:
    """Whether nothing is known of the two that says they are two ("El Salvador" and "Salvador")."""
    whole, bare = " ".join(form.words), " ".join(rest)
    return not (lexicon.base(whole) and lexicon.base(bare)) or lexicon.shared_sense(whole, bare) is not None


def _regnal(form: Form, extra: Sequence[str]) -> bool:
    """Whether `form` is a name with a number and then "of" and `extra` ("Louis XIV of France")."""
    words = form.words
    at = len(words) - len(extra) - 1
    return at >= 2 and words[at] == "of" and words[at + 1 :] == tuple(extra) and form.stems[at - 1].isdigit() and form.all_names


def _code(extra: Sequence[str], rest: Sequence[str], form: Form) -> bool:
    """Whether `rest` holds a code of letters and digits, and `extra` only names who makes it ("Airbus A380")."""
    coded = any(not word.isalpha() and len(word) > 2 and word[0].isalpha() and any(map(str.isdigit, word)) for word in rest)
    return coded and _start_of(extra, form.words) and all(word.isalpha() and word in form.capitalised for word in extra)


def _title(form: Form, extra: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether only titles are more; before a single word they may be part of a place's name ("General Santos")."""
    before = [word for word in extra if word in TITLES]
    behind = [word for word in extra if word in SUFFIXES]
    if len(before) + len(behind) < len(extra) or len(rest) < 2:
        return False
    names = [word for word in form.words if word not in FUNCTION_WORDS]
    placed = names[: len(before)] == before and names[len(names) - len(behind) :] == behind
    return placed and all(word in form.capitalised for word in rest if word not in FUNCTION_WORDS)


def _state(words: Sequence[str], extra: Sequence[str], form: Form) -> bool:
    if not any(word in STATE_WORDS for word in extra) or not all(
        word in STATE_WORDS or word in STATE_ADJECTIVES for word in extra
    ):
        return False
    if not form.all_names:
        return False
    if any(one in STATE_WORDS and one in extra and then == "of" for one, then in pairwise(words)):
        return words[0] in extra
    return words[-1] in _PLACE_ENDINGS and words[-1] in extra and len(extra) == 1


def _class_noun(words: Sequence[str], extra: Sequence[str], rest: Sequence[str], form: Form, lexicon: Lexicon) -> bool:
    phrase, thing = " ".join(extra), " ".join(rest)
    if not lexicon.base(phrase):
        return False
    if lexicon.is_a(thing, phrase):
        return True
    if not _start_of(extra, words) or not form.capitalised.isdisjoint(extra) or not form.capitalised.issuperset(rest):
        return False
    return all(sense.part == "n" for sense in lexicon.senses(phrase)) and not any(lexicon.common(word) for word in rest)
