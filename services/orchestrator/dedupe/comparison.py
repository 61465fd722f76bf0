"""Everything beyond equal keys: which accepted attributes come into question, and what is decided about each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from services.orchestrator.dedupe.candidates import Candidates
from services.orchestrator.dedupe.form import Form, form
from services.orchestrator.dedupe.judge import Finding, Judge
from services.orchestrator.dedupe.lexicon import lexicon
from services.orchestrator.dedupe.verdict import Why

if TYPE_CHECKING:
    from services.orchestrator.dedupe.neighbours import Neighbours
    from services.orchestrator.dedupe.points import Point

_LOOKED_AT: Final = 3
"""Neighbours in meaning that are compared word by word."""
_ASKED: Final = 1
"""Pairs a candidate that MiniLM is asked about at most: at 3 ms a text, this bounds the time of one decision."""
_BEGINNING: Final = 4
"""Letters of a word that all its forms begin with."""
_KEPT_FORMS: Final = 4096
"""Texts that stay taken apart, the latest used; about 2 KB each."""


class Nearest(NamedTuple):
    """The accepted attribute nearest to a candidate."""

    place: int | None = None
    tier: str = ""
    """The tier that makes them one; empty when they are two, or nobody knows."""
    score: float = 0.0
    words: str = ""
    """The reason, for people."""


class Comparison:
    """Compares candidates with the accepted attributes; without `semantic` by letters and rules alone."""

    def __init__(self, semantic: bool) -> None:
        known = lexicon()
        self._judge: Final = Judge(known, synonyms=semantic)
        self._candidates: Final = Candidates(known, synonyms=semantic)
        self._forms: dict[str, Form] = {}
        self._points: dict[str, Point] = {}
        self._neighbours: Final = _neighbours() if semantic else None

    def prepare(self, texts: Sequence[str]) -> None:
        """Makes the vectors of `texts`, so that deciding about them and accepting them does not make them twice."""
        if self._neighbours is not None:
            self._points = dict(zip(texts, _points_of(texts), strict=True))

    def nearest(self, text: str, accepted: Sequence[str]) -> Nearest:
        """The accepted attribute that `text` repeats, or else the one it may repeat."""
        ours = self._form(text)
        compared: dict[int, Finding] = {}
        for index in self._candidates.find(ours):
            compared[index] = self._judge.find(self._form(accepted[index]), ours)
        sure = _surest(compared)
        if sure is not None or self._neighbours is None:
            return sure or Nearest()
        near = self._neighbours.nearest(self._point(text), _LOOKED_AT, _least())
        unusual = self._judge.unusual(ours)
        near = [(at, fast) for at, fast in near if at in compared or _worth_comparing(unusual, accepted[at], fast)]
        for index, _ in near:
            if index not in compared:
                compared[index] = self._judge.find(self._form(accepted[index]), ours)
        return _surest(compared) or self._by_meaning(ours, near, compared, accepted)

    def accept(self, text: str, index: int) -> None:
        """Takes the next accepted attribute."""
        self._candidates.add(self._form(text), index)
        if self._neighbours is not None:
            self._neighbours.add(self._point(text))

    def why(self, a: str, b: str) -> Why:
        """The decision about two texts alone."""
        ours, theirs = form(a), form(b)
        finding = self._judge.objection(ours, theirs, self._judge.find(ours, theirs))
        if self._neighbours is None or not finding.undecided:
            return finding.why
        from services.orchestrator.dedupe.vectors import vectors

        return self._opinion(ours, theirs, finding, vectors().likeness(a, b)) or finding.why

    def _by_meaning(
        self, ours: Form, near: Sequence[tuple[int, float]], compared: dict[int, Finding], accepted: Sequence[str]
    ) -> Nearest:
        if not near:
            return Nearest()
        from services.orchestrator.dedupe import meaning

        best = Nearest()
        asked = 0
        for index, fast in near:
            theirs, finding = self._form(accepted[index]), compared[index]
            why = self._opinion(theirs, ours, finding, fast) if asked < _ASKED and finding.undecided else None
            asked += why is not None
            if why is not None and why.tier:
                return Nearest(index, why.tier, why.score, why.words)
            score = fast if why is None else why.score
            nearer = score > best.score and finding.undecided and meaning.grey(fast, score)
            if nearer and self._judge.objection(theirs, ours, finding).undecided:
                best = Nearest(index, "", round(score, 4), finding.why.words)
        return best

    def _opinion(self, a: Form, b: Form, finding: Finding, fast: float) -> Why | None:
        """What the models of meaning say of an undecided pair; None when they need not, or must not, be asked."""
        parts = finding.parts
        if parts is None or not self._judge.ordinary(parts):
            return None
        from services.orchestrator.dedupe import meaning

        if not meaning.asks(parts, fast):
            return None
        if parts.one_says_more and a.all_names and b.all_names:  # a name within a longer one is rarely the same thing
            return None
        if not self._judge.objection(a, b, finding).undecided:
            return None
        return meaning.opinion(a, b, parts, finding.why.words)

    def _form(self, text: str) -> Form:
        known = self._forms.get(text)
        if known is None:
            if len(self._forms) >= _KEPT_FORMS:
                self._forms.clear()
            known = self._forms[text] = form(text)
        return known

    def _point(self, text: str) -> "Point":
        known = self._points.get(text)
        return _points_of([text])[0] if known is None else known


def _worth_comparing(unusual: Sequence[str], accepted: str, fast: float) -> bool:
    """Whether a model may be asked about a text and a neighbour that shares no handle with it.

    None is when the text has a word, such as a name, that no model knows the meaning of, and the neighbour lacks it. Told by
    the neighbour's letters, since most neighbours fall here and taking a text apart costs more than all else.
    """
    from services.orchestrator.dedupe.meaning import GREY_FAST

    if fast >= GREY_FAST or not unusual or not accepted.isascii():
        return True
    letters = accepted.lower()
    return all(word[:_BEGINNING] in letters for word in unusual)


def _surest(compared: dict[int, Finding]) -> Nearest | None:
    """The surest duplicate among what was compared, of equals the oldest."""
    found = [(-finding.why.score, index) for index, finding in compared.items() if finding.why.tier]
    if not found:
        return None
    score, index = min(found)
    why = compared[index].why
    return Nearest(index, why.tier, -score, why.words)


def _neighbours() -> "Neighbours":
    from services.orchestrator.dedupe.neighbours import Neighbours
    from services.orchestrator.dedupe.vectors import vectors

    vectors()  # loaded now, so that no decision waits for it
    return Neighbours()


def _points_of(texts: Sequence[str]) -> "list[Point]":
    from services.orchestrator.dedupe.points import points
    from services.orchestrator.dedupe.vectors import vectors

    return points(vectors().of(texts))


def _least() -> float:
    from services.orchestrator.dedupe.meaning import NEAR

    return NEAR
