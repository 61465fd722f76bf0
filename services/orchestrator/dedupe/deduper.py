"""The list of accepted attributes, and the decision whether a candidate repeats one of them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal, get_args

from services.orchestrator.dedupe.errors import CapacityError
from services.orchestrator.dedupe.normalise import key
from services.orchestrator.dedupe.verdict import Verdict, Why

if TYPE_CHECKING:
    from services.orchestrator.dedupe.comparison import Comparison

Tiers = Literal["exact", "fuzzy", "semantic"]

DEFAULT_CAPACITY: Final = 1_000_000
"""Attributes one list may hold: about 1.5 GB with everything on, some 300 MB with equal keys alone."""

_AT_ONCE: Final = 1024
"""Texts a replay prepares together."""


class Deduper:
    """Tells, one candidate after the other, which are new; what it calls new it accepts.

    `tiers` says how far it looks: "exact" (equal keys), "fuzzy" (and rules, and slips of the pen), "semantic" (and synonyms,
    and meaning). Decisions depend on the texts and their order alone: a batch gives the verdicts its items would one by one.
    """

    def __init__(self, tiers: Tiers = "semantic", capacity: int = DEFAULT_CAPACITY) -> None:
        if tiers not in get_args(Tiers):
            raise ValueError(f"tiers must be one of {', '.join(get_args(Tiers))}, not {tiers!r}")
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self.tiers: Final = tiers
        self.capacity: Final = capacity
        self._texts: list[str] = []
        self._by_key: dict[str, int] = {}
        self._comparison: Final = None if tiers == "exact" else _comparison(semantic=tiers == "semantic")

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, index: int) -> str:
        """The accepted attribute `index` as it was written."""
        return self._texts[index]

    def offer(self, batch: Sequence[str]) -> list[Verdict]:
        """Decides about each candidate in turn and accepts the new ones.

        Raises `CapacityError` at the first new one for which there is no room; those before it have been accepted.
        """
        if self._comparison is None:
            return [self._decide(text) for text in batch]
        keys = [key(text) for text in batch]
        self._comparison.prepare([text for text, normalised in zip(batch, keys, strict=True) if normalised not in self._by_key])
        return [self._compare(text, normalised, self._comparison) for text, normalised in zip(batch, keys, strict=True)]

    def add(self, text: str) -> int:
        """Takes `text` as accepted without deciding, as a replay does, and returns its index."""
        return self._accept(text, key(text))

    def restore(self, texts: Iterable[str]) -> None:
        """Takes `texts` as accepted without deciding: after it, decisions are those of the deduper that accepted them."""
        every = list(texts)
        for start in range(0, len(every), _AT_ONCE):
            some = every[start : start + _AT_ONCE]
            if self._comparison is not None:
                self._comparison.prepare(some)
            for text in some:
                self.add(text)

    def why(self, a: str, b: str) -> Why:
        """Why `a` and `b` are one attribute, or two; the list plays no part."""
        if key(a) == key(b):
            return Why(tier="exact", score=1.0, veto="", words=_equal(key(a)))
        if self._comparison is not None:
            return self._comparison.why(a, b)
        return Why(tier="", score=0.0, veto="", words=f"“{key(a)}” and “{key(b)}” differ, and only equal keys count here")

    def _decide(self, text: str) -> Verdict:
        normalised = key(text)
        found = self._by_key.get(normalised)
        if found is not None:
            return Verdict(normalised, found, "exact", 1.0, words=_equal(normalised))
        self._accept(text, normalised)
        return Verdict(normalised)

    def _compare(self, text: str, normalised: str, comparison: "Comparison") -> Verdict:
        found = self._by_key.get(normalised)
        if found is not None:
            return Verdict(normalised, found, "exact", 1.0, words=_equal(normalised))
        nearest = comparison.nearest(text, self._texts)
        if nearest.tier:
            return Verdict(normalised, nearest.place, nearest.tier, nearest.score, words=nearest.words)
        self._accept(text, normalised)
        if nearest.place is None:
            return Verdict(normalised)
        return Verdict(normalised, near=nearest.place, near_score=nearest.score, words=nearest.words)

    def _accept(self, text: str, normalised: str) -> int:
        index = len(self._texts)
        if index >= self.capacity:
            raise CapacityError(self.capacity)
        self._texts.append(text)
        self._by_key.setdefault(normalised, index)
        if self._comparison is not None:
            self._comparison.accept(text, index)
        return index


def _equal(normalised: str) -> str:
    return f"both are “{normalised}” once normalised"


def _comparison(semantic: bool) -> "Comparison":
    # Imported here so that equal keys alone start without vectors, models and a dictionary.
    from services.orchestrator.dedupe.comparison import Comparison

    return Comparison(semantic)
