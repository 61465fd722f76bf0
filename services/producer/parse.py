"""A model's answer, piece by piece: text in, attributes out as soon as a line or an element of a JSON array is complete."""

import re
from collections import Counter
from typing import Final

from services.producer.clean import NoAttribute, clean
from services.producer.raw_items import MAX_ITEM, RawItems
from shared.messages import MAX_FACET, MAX_FACETS, Judgement

MAX_BYTES: Final = 256 * 1024
"""Of one answer: some 50 times what the longest list takes. A model that goes on has lost itself."""

ITEMS_PER_ASKED: Final = 2
"""Attributes taken of one answer, for each that was asked for."""

MAX_FRUITLESS: Final = 12
"""Lines in a row that hold nothing new: the model has run into a loop, and every further one costs time and money."""

SAME_BUT_NUMBER: Final = 3
"""Attributes in a row that differ in a number alone; small models count up for ever ("Paris 1", "Paris 2")."""

_NUMBERS: Final = re.compile(r"\d+")


class Parser:
    """Reads the answer of one call."""

    def __init__(self, asked: int) -> None:
        self.rejected: Counter[str] = Counter()
        """Lines that were no attributes, by kind."""
        self.full = False
        """Whether more of this answer is of no use: there is enough of it, or it went astray."""
        self.judgements: list[Judgement] = []
        """Those of an answer that judges pairs."""
        self.facets: list[str] = []
        """Those of an answer that names the parts of a topic."""
        self.on_topic: list[int] = []
        self.off_topic: list[int] = []
        """Ordinals, of an answer that judges a sample."""
        self.cut = ""
        """In words, how it went astray."""
        self._most = asked * ITEMS_PER_ASKED
        self._items = RawItems()
        self._bytes = 0
        self._seen: set[str] = set()
        self._fruitless = 0
        self._shape = ""
        self._alike = 0

    @property
    def answered(self) -> bool:
        """Whether an answer that is no list held what was asked for."""
        return bool(self.judgements or self.facets or self.on_topic or self.off_topic)

    def feed(self, piece: str) -> list[str]:
        """The attributes that this piece of text completes."""
        found: list[str] = []
        for start in range(0, len(piece), MAX_ITEM):  # the work of cutting grows with the square of what is cut at once
            if self.full:
                break
            self._feed(piece[start : start + MAX_ITEM], found)
        return found

    def _feed(self, piece: str, found: list[str]) -> None:
        self._bytes += len(piece.encode("utf-8", "surrogatepass"))
        for item in self._items.feed(piece):
            self._keep(item, found)
            if self.full:
                break
        if self._items.overlong:
            self.rejected["too_long"] += self._items.overlong
            self._items.overlong = 0
        if self._bytes > MAX_BYTES and not self.full:
            self._cut(f"the answer was cut off after {MAX_BYTES // 1024} kB")

    def end(self, *, whole: bool) -> list[str]:
        """What is left at the end of the answer: its last line, unless the answer was cut off within it."""
        found: list[str] = []
        rest, is_line = self._items.rest()
        if rest.strip() and not self.full:
            if whole and is_line:
                self._keep(rest, found)
            else:
                self.rejected["cut_off"] += 1
        self.full = True
        return found

    def _keep(self, line: str, found: list[str]) -> None:
        """Clean a line and add it to `found` if it is a new attribute."""
        try:
            text = clean(line)
        except NoAttribute as reason:
            if line.strip():
                self._reject(reason.kind)
            return
        if text.casefold() in self._seen:
            self._reject("repeated")
        elif self._counts_up(text):
            self._reject("counting")
        else:
            self._fruitless = 0
            self._seen.add(text.casefold())
            found.append(text)
            self.full = len(self._seen) >= self._most

    def _counts_up(self, text: str) -> bool:
        shape = _NUMBERS.sub("0", text.casefold())
        self._alike = self._alike + 1 if shape == self._shape and shape != text.casefold() else 1
        self._shape = shape
        return self._alike > SAME_BUT_NUMBER

    def _reject(self, kind: str) -> None:
        self.rejected[kind] += 1
        self._fruitless += 1
        if self._fruitless >= MAX_FRUITLESS:
            self.rejected["looping"] += 1
            self._cut(f"the answer was cut off: {MAX_FRUITLESS} lines in a row brought nothing new")

    def _cut(self, words: str) -> None:
        self.cut, self.full = words, True


class FacetParser(Parser):
    """Reads the parts of a topic out of an answer that comes as a list does; none of it is an attribute."""

    def _keep(self, line: str, found: list[str]) -> None:
        super()._keep(line, self.facets)
        self.facets = [facet for facet in self.facets if len(facet) <= MAX_FACET][:MAX_FACETS]
