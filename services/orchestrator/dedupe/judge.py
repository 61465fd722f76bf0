"""The decision about two texts: rules first, then slips of the pen, then synonyms, each behind what speaks against it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.orchestrator.dedupe import acronyms, inflection, names, opposites, typo
from services.orchestrator.dedupe.form import FREE, Form, form
from services.orchestrator.dedupe.lexicon import Lexicon
from services.orchestrator.dedupe.verdict import Why

RULE: Final = 0.97
INFLECTED: Final = 0.95
TYPO: Final = 0.93
SYNONYM: Final = 0.92

_MAX_RANKS: Final = 4
"""Two words are synonyms when the ranks of the meaning they share add up to this at most: common for at least one of them."""

_MAX_RANKS_WITHIN: Final = 3
"""The same for one word among others, whose company may want another meaning of it."""

_LONGEST_ACRONYM: Final = 3
"""Words an acronym may have: "P&G" has three."""


class Parts(NamedTuple):
    """What two texts do not share: their words in order, as plain words."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    shared: tuple[str, ...]


def _left(one: Form, other: Form) -> tuple[str, ...]:
    """The telling words of `one` that `other` lacks."""
    spare = Counter(other.stems)
    left = []
    for word, found in zip(one.words, one.stems, strict=True):
        if spare[found] > 0:
            spare[found] -= 1
        elif word not in FREE:
            left.append(word)
    return tuple(left)


def _shared(one: Form, other: Form) -> tuple[str, ...]:
    theirs = set(other.stems)
    return tuple(word for word, found in zip(one.words, one.stems, strict=True) if found in theirs and word not in FREE)


class Finding(NamedTuple):
    """A decision, and what it leaves open."""

    why: Why
    one_says_more: bool = False
    """Whether all words of one text stand in the other."""
    ordinary: bool = False
    """Whether the words they do not share are ordinary English words, whose meaning a model can know."""


class Judge:
    """Compares two texts. Without a lexicon it knows letters and rules alone."""

    def __init__(self, lexicon: Lexicon | None, synonyms: bool = True) -> None:
        self._lexicon: Final = lexicon
        self._by_meaning: Final = synonyms

    def find(self, a: Form, b: Form) -> Finding:
        """The decision, and what it leaves open for a model of meaning."""
        why = self.why(a, b)
        if why.tier or why.veto or self._lexicon is None:
            return Finding(why)
        ours, theirs = _left(a, b), _left(b, a)
        ordinary = all(self._lexicon.common(word) for word in (*ours, *theirs))
        return Finding(why, not ours or not theirs, ordinary)

    def why(self, a: Form, b: Form) -> Why:
        """The decision, without vectors: a tier, or a veto, or neither, when only their meaning can tell."""
        if a.key == b.key:
            return Why("exact", 1.0, "", f"both are “{a.key}” once normalised")
        found = self._gloss(a, b)
        if found is not None:
            return found
        if len(a.joined) > 3 and a.joined == b.joined:
            return Why("rule", RULE, "", "the same letters, spaces apart")
        return self._parts(a, b)

    def _gloss(self, a: Form, b: Form) -> Why | None:
        (head, gloss), (other_head, other_gloss) = a.gloss, b.gloss
        if gloss and other_gloss:
            if form(head).key == form(other_head).key:
                return Why("", 0.0, "glosses differ", f"“{gloss}” and “{other_gloss}” tell the two apart")
            return None
        if not gloss and not other_gloss:
            return None
        inner, outer, bare = (head, gloss, b) if gloss else (other_head, other_gloss, a)
        if form(inner).key == bare.key or self.why(form(inner), bare).tier in ("rule", "exact"):
            return Why("rule", RULE, "", f"“{outer}” only explains “{inner}”")
        if outer[:1].isupper() and form(outer).key == bare.key:
            return Why("rule", RULE, "", f"“{outer}” is another name of “{inner}”")
        return None

    def _parts(self, a: Form, b: Form) -> Why:
        parts = Parts(_left(a, b), _left(b, a), _shared(a, b))
        acronym = self._acronym(a, b, parts)
        if acronym is not None:
            return acronym
        veto = self._veto(a, b, parts)
        if veto:
            return Why("", 0.0, veto, f"{veto}: “{' '.join(parts.ours)}” and “{' '.join(parts.theirs)}”")
        if not parts.ours and not parts.theirs:
            return Why("rule", RULE, "", "only words that come and go freely differ")
        whole = self._synonyms(" ".join(a.content_words), " ".join(b.content_words))
        if whole is not None:
            return whole
        person = names.same_person(a, b, self._lexicon)
        if person == "same":
            return Why("rule", RULE, "", "one name, with and without middle names")
        if person == "differ":
            return Why("", 0.0, "names differ", "two people with one last name")
        if not parts.ours or not parts.theirs:
            return self._one_says_more(a, b, parts)
        return self._pairs(a, b, parts)

    def _acronym(self, a: Form, b: Form, parts: Parts) -> Why | None:
        for one, other, left, rest in ((a, b, parts.ours, parts.theirs), (b, a, parts.theirs, parts.ours)):
            if not left or len(left) > _LONGEST_ACRONYM:
                continue
            for phrase in (_span(other, rest), rest) if rest else (other.words,):
                if acronyms.stands_for(one, left, other, phrase):
                    return Why("rule", RULE, "", f"“{' '.join(left).upper()}” are the initials of “{' '.join(phrase)}”")
        return None

    def _veto(self, a: Form, b: Form, parts: Parts) -> str:
        if a.numbers != b.numbers:
            return "numbers differ"
        if opposites.negations(a.words) != opposites.negations(b.words):
            return "one is negated"
        for ours in parts.ours:
            for theirs in parts.theirs:
                if opposites.words_oppose(ours, theirs, self._lexicon):
                    return "opposites"
        return ""

    def _synonyms(self, ours: str, theirs: str, most: int = _MAX_RANKS) -> Why | None:
        if self._lexicon is None or not self._by_meaning:
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
        ours, theirs = " ".join(parts.ours), " ".join(parts.theirs)
        if "".join(parts.ours) == "".join(parts.theirs):
            return Why("rule", RULE, "", "the same letters, spaces apart")
        if parts.shared or len(a.words) == len(b.words) == 1:
            phrase = self._synonyms(ours, theirs)
            if phrase is not None:
                return phrase
        if len(parts.ours) != len(parts.theirs):
            return self._undecided(a, b, parts)
        found = [self._pair(a, b, one, other, bool(parts.shared)) for one, other in zip(parts.ours, parts.theirs, strict=True)]
        if any(why is None for why in found):
            return self._undecided(a, b, parts)
        return min((why for why in found if why is not None), key=lambda why: why.score)

    def _pair(self, a: Form, b: Form, ours: str, theirs: str, context: bool) -> Why | None:
        """Whether two words that stand against each other are one, given whether other words are shared."""
        named = ours in a.capitalised and theirs in b.capitalised
        if named and self._lexicon is not None:
            named = self._lexicon.names_only(ours) and self._lexicon.names_only(theirs)
        if not named and inflection.plural(ours, theirs) and not (a.is_acronym(ours) or b.is_acronym(theirs)):
            return Why("rule", INFLECTED, "", f"“{ours}” and “{theirs}” are singular and plural")
        if typo.slip(ours, theirs, named, self._lexicon):
            return Why("typo", TYPO, "", f"“{ours}” and “{theirs}” differ by a slip of the pen")
        if self._lexicon is None:
            return None
        if inflection.same_root(ours, theirs) or (context and inflection.same_verb(ours, theirs, self._lexicon)):
            return Why("rule", INFLECTED, "", f"“{ours}” and “{theirs}” are forms of one word")
        return self._synonyms(ours, theirs, _MAX_RANKS_WITHIN) if context else None

    def _undecided(self, a: Form, b: Form, parts: Parts) -> Why:
        if self._names(a, parts.ours) and self._names(b, parts.theirs):
            return Why("", 0.0, "names differ", f"“{' '.join(parts.ours)}” and “{' '.join(parts.theirs)}” are two names")
        return Why("", 0.0, "", f"“{' '.join(parts.ours)}” against “{' '.join(parts.theirs)}”")

    def _names(self, form: Form, words: Sequence[str]) -> bool:
        """Whether one of `words` is a name, and no word that only stands with a capital ("Museum")."""
        return any(form.is_name(word) and not (self._lexicon is not None and self._lexicon.common(word)) for word in words)


def _span(whole: Form, words: Sequence[str]) -> tuple[str, ...]:
    """The words of `whole` from the first to the last of `words`, with the little ones between them."""
    if not words:
        return ()
    start = whole.words.index(words[0])
    end = len(whole.words) - whole.words[::-1].index(words[-1])
    return whole.words[start:end]
