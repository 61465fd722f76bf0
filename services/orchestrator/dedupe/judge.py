"""The decision about two texts: rules first, then slips of the pen, then synonyms, each behind what speaks against it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.orchestrator.dedupe import acronyms, inflection, names, opposites, typo
from services.orchestrator.dedupe.form import FREE, Form, form
from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.normalise import key
from services.orchestrator.dedupe.typo import SHORT
from services.orchestrator.dedupe.verdict import Why

RULE: Final = 0.97
INFLECTED: Final = 0.95
TYPO: Final = 0.93
SYNONYM: Final = 0.92
"""Scores of the tiers without a measure of their own: how often each was right on lists of other fields, rounded."""

_MAX_RANKS: Final = 4
"""Two words are synonyms when the ranks of the meaning they share add up to this at most: common for at least one of them."""

_MAX_RANKS_WITHIN: Final = 3
"""The same for one word among others, whose company may want another meaning of it."""

_LONGEST_ACRONYM: Final = 3
"""Words an acronym may have: "P&G" has three."""

_MOST_PAIRS: Final = 3
"""Words that may stand against each other; with more, two texts are not one however alike each pair."""

_SHORTEST_JOINED: Final = 4
"""Letters two texts must have at least to be one when only their spaces differ."""


class Parts(NamedTuple):
    """What two texts do not share: plain words, in their order."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    our_little: tuple[str, ...]
    """The little words among them, which are free to come and go unless they oppose each other."""
    their_little: tuple[str, ...]

    @property
    def one_says_more(self) -> bool:
        """Whether all words of one text stand in the other."""
        return not self.ours or not self.theirs


class Finding(NamedTuple):
    """A decision, and what it was made of."""

    why: Why
    parts: Parts | None = None
    """What the two do not share; None when that did not matter."""

    @property
    def undecided(self) -> bool:
        """Whether nothing makes the two one, and nothing speaks against it."""
        return not self.why.tier and not self.why.veto


class Judge:
    """Compares two texts by letters, rules and, with `synonyms`, a dictionary's synonyms."""

    def __init__(self, lexicon: Lexicon, synonyms: bool) -> None:
        self._lexicon: Final = lexicon
        self._by_meaning: Final = synonyms

    def find(self, a: Form, b: Form) -> Finding:
        """The decision about two texts whose keys differ: a tier, or a veto, or neither, when only a model can tell."""
        if len(a.joined) >= _SHORTEST_JOINED and a.joined == b.joined:
            return Finding(Why("rule", RULE, "", "the same letters, spaces apart"))
        glossed = self._gloss(a, b)
        if glossed is not None:
            return Finding(glossed)
        parts = _parts(a, b)
        why = self._acronym(a, b, parts)
        if why is not None:
            return Finding(why, parts)
        if a.numbers != b.numbers:
            return Finding(_vetoed("numbers differ", parts), parts)
        why = self._decide(a, b, parts)
        return self.objection(a, b, Finding(why, parts)) if why.tier else Finding(why, parts)

    def objection(self, a: Form, b: Form, finding: Finding) -> Finding:
        """`finding`, unless words on both sides speak against it. `find` leaves this to be asked of what it cannot decide."""
        parts = finding.parts
        veto = "" if parts is None or finding.why.veto else self._veto(a, b, parts, sure=finding.why.tier != "")
        return finding if parts is None or not veto else Finding(_vetoed(veto, parts), parts)

    def ordinary(self, parts: Parts) -> bool:
        """Whether what the two do not share is all ordinary English words, whose meaning a model can know."""
        return all(map(self._lexicon.common, parts.ours)) and all(map(self._lexicon.common, parts.theirs))

    def unusual(self, text: Form) -> list[str]:
        """The longer words of `text` that are no ordinary English ones."""
        return [word for word in text.content_words if len(word) >= SHORT and word.isalpha() and not self._lexicon.common(word)]

    def _gloss(self, a: Form, b: Form) -> Why | None:
        (head, gloss), (other_head, other_gloss) = a.gloss, b.gloss
        if gloss and other_gloss:
            if key(head) == key(other_head):
                return Why("", 0.0, "glosses differ", f"“{gloss}” and “{other_gloss}” tell the two apart")
            return None
        if not gloss and not other_gloss:
            return None
        inner, outer, bare = (head, gloss, b) if gloss else (other_head, other_gloss, a)
        if key(inner) == key(bare.text) or self.find(form(inner), bare).why.tier == "rule":
            return Why("rule", RULE, "", f"“{outer}” only explains “{inner}”")
        if outer[:1].isupper() and key(outer) == key(bare.text):
            return Why("rule", RULE, "", f"“{outer}” is another name of “{inner}”")
        return None

    def _decide(self, a: Form, b: Form, parts: Parts) -> Why:
        if not parts.ours and not parts.theirs:
            return Why("rule", RULE, "", "only words that come and go freely differ")
        whole = self._synonyms(" ".join(a.content_words), " ".join(b.content_words))
        if whole is not None:
            return whole
        if a.all_names and b.all_names:
            person = names.same_person(a, b, self._lexicon)
            if person == "same":
                return Why("rule", RULE, "", "one name, with and without middle names")
            if person == "differ":
                return Why("", 0.0, "names differ", "two people with one last name")
        return self._one_says_more(a, b, parts) if parts.one_says_more else self._pairs(a, b, parts)

    def _acronym(self, a: Form, b: Form, parts: Parts) -> Why | None:
        for one, other, left, rest in ((a, b, parts.ours, parts.theirs), (b, a, parts.theirs, parts.ours)):
            if not left or len(left) > _LONGEST_ACRONYM or not all(word in one.acronyms for word in left if word != "and"):
                continue
            for phrase in (_span(other, rest), rest) if rest else (other.words,):
                if acronyms.stands_for(one, left, other, phrase):
                    return Why("rule", RULE, "", f"“{' '.join(left).upper()}” are the initials of “{' '.join(phrase)}”")
        return None

    def _veto(self, a: Form, b: Form, parts: Parts, sure: bool) -> str:
        if opposites.negations(a.words) != opposites.negations(b.words):
            return "one is negated"
        theirs = (*parts.theirs, *parts.their_little)
        for word in (*parts.ours, *parts.our_little):
            if any(opposites.words_oppose(word, other, self._lexicon) for other in theirs):
                return "opposites"
        if not sure and self._names(a, parts.ours) and self._names(b, parts.theirs):
            return "names differ"
        return ""

    def _synonyms(self, ours: str, theirs: str, most: int = _MAX_RANKS) -> Why | None:
        if not self._by_meaning:
            return None
        ranks = self._lexicon.shared_sense(ours, theirs)
        if ranks is None or sum(ranks) > most:
            return None
        return Why("synonym", SYNONYM, "", f"“{ours}” and “{theirs}” are synonyms")

    def _one_says_more(self, a: Form, b: Form, parts: Parts) -> Why:
        longer, shorter, extra = (a, b, parts.ours) if parts.ours else (b, a, parts.theirs)
        reason = names.wrapped(longer, extra, [word for word in shorter.words if word not in FREE], self._lexicon)
        if reason:
            return Why("rule", RULE, "", reason)
        return Why("", 0.0, "", f"one says more: “{' '.join(extra)}”")

    def _pairs(self, a: Form, b: Form, parts: Parts) -> Why:
        if "".join(parts.ours) == "".join(parts.theirs):
            return Why("rule", RULE, "", "the same letters, spaces apart")
        within = len(a.content) > len(parts.ours)
        phrase = self._synonyms(" ".join(parts.ours), " ".join(parts.theirs), _MAX_RANKS_WITHIN) if within else None
        if phrase is not None:
            return phrase
        if len(parts.ours) != len(parts.theirs) or len(parts.ours) > _MOST_PAIRS:
            return _undecided(parts)
        weakest = Why("rule", 1.0, "", "")
        for one, other in zip(parts.ours, parts.theirs, strict=True):
            why = self._pair(a, b, one, other, within)
            if why is None:
                return _undecided(parts)
            weakest = min(weakest, why, key=lambda found: found.score)
        return weakest

    def _pair(self, a: Form, b: Form, ours: str, theirs: str, within: bool) -> Why | None:
        """Whether two words that stand against each other are one, given whether other words are shared."""
        if ours[0] == theirs[0]:
            alike = self._alike(a, b, ours, theirs)
            if alike is not None:
                return alike
        if not within:
            return None
        if inflection.same_verb(ours, theirs, self._lexicon):
            return Why("rule", INFLECTED, "", f"“{ours}” and “{theirs}” are forms of one verb")
        return self._synonyms(ours, theirs, _MAX_RANKS_WITHIN)

    def _alike(self, a: Form, b: Form, ours: str, theirs: str) -> Why | None:
        """Whether the letters of two words make them one."""
        named = ours in a.capitalised and theirs in b.capitalised
        named = named and self._lexicon.names_only(ours) and self._lexicon.names_only(theirs)
        if not named and inflection.plural(ours, theirs) and not (ours in a.acronyms or theirs in b.acronyms):
            return Why("rule", INFLECTED, "", f"“{ours}” and “{theirs}” are singular and plural")
        if typo.slip(ours, theirs, named, self._lexicon):
            return Why("typo", TYPO, "", f"“{ours}” and “{theirs}” differ by a slip of the pen")
        if not named and inflection.same_root(ours, theirs):
            return Why("rule", INFLECTED, "", f"“{ours}” and “{theirs}” are forms of one word")
        return None

    def _names(self, text: Form, words: Sequence[str]) -> bool:
        """Whether one of `words` is a name, and no word that only stands with a capital ("Museum")."""
        return any(text.is_name(word) and not self._lexicon.common(word) for word in words)


def _undecided(parts: Parts) -> Why:
    return Why("", 0.0, "", f"“{' '.join(parts.ours)}” against “{' '.join(parts.theirs)}”")


def _vetoed(veto: str, parts: Parts) -> Why:
    ours, theirs = " ".join(parts.ours or parts.our_little), " ".join(parts.theirs or parts.their_little)
    return Why("", 0.0, veto, f"{veto}: “{ours}” and “{theirs}”" if ours and theirs else f"{veto}: “{ours or theirs}” is more")


def _parts(a: Form, b: Form) -> Parts:
    ours, theirs = _left(a, b), _left(b, a)
    if FREE.isdisjoint(ours) and FREE.isdisjoint(theirs):
        return Parts(ours, theirs, (), ())
    return Parts(
        tuple(word for word in ours if word not in FREE),
        tuple(word for word in theirs if word not in FREE),
        tuple(word for word in ours if word in FREE),
        tuple(word for word in theirs if word in FREE),
    )


def _left(one: Form, other: Form) -> tuple[str, ...]:
    """The words of `one` that `other` lacks."""
    theirs = set(other.stems)
    if len(theirs) == len(other.stems) and len(set(one.stems)) == len(one.stems):  # no word twice: no need to count
        return tuple([word for word, found in zip(one.words, one.stems, strict=True) if found not in theirs])
    spare = Counter(other.stems)
    left = []
    for word, found in zip(one.words, one.stems, strict=True):
        if spare[found] > 0:
            spare[found] -= 1
        else:
            left.append(word)
    return tuple(left)


def _span(whole: Form, words: Sequence[str]) -> tuple[str, ...]:
    """The words of `whole` from the first to the last of `words`, with the little ones between them."""
    start = whole.words.index(words[0])
    end = len(whole.words) - whole.words[::-1].index(words[-1])
    return whole.words[start:end]
