"""Which accepted attributes a prompt should name, so that the model says something else.

What the models propose again and again is worth naming far more than what came last, and a prompt that keeps to one facet is
better told of what was proposed within that facet (`tests/bench/zipf` measures both).
"""

from collections import deque
from collections.abc import Container, Iterable, Iterator

from shared.messages import MAX_FACETS
from shared.outside_text import quoted

MAX_TOKENS = 600
"""Of an avoid list. Longer ones cost more than they bring: the head of the ranking is what models repeat."""

CHARACTERS_PER_TOKEN = 3
"""Of names in Latin script, on the safe side; other scripts take up to a token for each byte."""

MAX_BYTES = MAX_TOKENS * CHARACTERS_PER_TOKEN
"""Of an avoid list with what stands between its names."""

TRACKED = 400
"""Attributes of one scope whose repeats are counted. Only the head of the ranking is ever used, and popular ones return to it
fast."""

SCOPES = 4 * MAX_FACETS
"""Facets within which attributes are ranked: those that decisions name, which a replay may read before it knows the facets.
More than a run can have are named only by somebody who makes them up."""


def tokens_of(text: str) -> int:
    """At most about how many tokens a name takes in a prompt, with what stands around it."""
    text = quoted(text)[1:-1]
    other = sum(len(c.encode("utf-8", "replace")) for c in text if not c.isascii())
    letters = sum(c.isascii() for c in text)
    return -(-letters // CHARACTERS_PER_TOKEN) + other // 2 + 1


def bytes_of(texts: Iterable[str]) -> int:
    """How many bytes texts take in a prompt, with what stands around them."""
    return sum(len(quoted(text).encode()) + 2 for text in texts)


class _Ranking:
    """The attributes of one scope, by how often they were proposed again."""

    def __init__(self) -> None:
        self._repeats: dict[int, int] = {}
        self._recent: deque[int] = deque(maxlen=TRACKED)

    def accepted(self, index: int) -> None:
        self._recent.append(index)

    def repeated(self, index: int) -> None:
        self._repeats[index] = self._repeats.get(index, 0) + 1
        if len(self._repeats) > TRACKED:
            kept = sorted(self._repeats.items(), key=lambda item: (-item[1], -item[0]))[: TRACKED // 2]
            self._repeats = dict(kept)

    def indices(self) -> Iterator[int]:
        """The most repeated first, then the most recent."""
        yield from sorted(self._repeats, key=lambda index: (-self._repeats[index], -index))
        yield from (index for index in reversed(self._recent) if index not in self._repeats)


class AvoidLists:
    """The accepted attributes of one run, ranked over all of it and within each facet."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._whole = _Ranking()
        self._facets: dict[str, _Ranking] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, index: int) -> str:
        """An accepted attribute; they are numbered from 0."""
        return self._texts[index]

    def accepted(self, text: str, facet: str = "") -> None:
        """Note the next accepted attribute, and the facet that it was asked for in."""
        index = len(self._texts)
        self._texts.append(text)
        for ranking in self._scopes(facet):
            ranking.accepted(index)

    def repeated(self, index: int, facet: str = "") -> None:
        """Note that an attribute was proposed again, when this facet was asked for."""
        for ranking in self._scopes(facet):
            ranking.repeated(index)

    def names(self, facet: str = "", without: Container[int] = ()) -> list[str]:
        """What to avoid, most important first: what was proposed within the facet, then, while there is room, elsewhere."""
        chosen: dict[int, None] = {}
        space = MAX_TOKENS
        for ranking in dict.fromkeys((self._facets.get(facet, self._whole), self._whole)):
            for index in ranking.indices():
                if index in chosen or index in without:
                    continue
                space -= tokens_of(self._texts[index])
                if space < 0:
                    return [self._texts[i] for i in chosen]
                chosen[index] = None
        return [self._texts[i] for i in chosen]

    def _scopes(self, facet: str) -> list[_Ranking]:
        if not facet or (facet not in self._facets and len(self._facets) >= SCOPES):
            return [self._whole]
        return [self._whole, self._facets.setdefault(facet, _Ranking())]
