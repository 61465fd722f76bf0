"""A model's answer, piece by piece: text in, attributes out as soon as a line or an element of a JSON array is complete."""

import json
import re
from collections import Counter
from typing import Final

from services.producer.clean import NoAttribute, clean

MAX_BYTES: Final = 256 * 1024
"""Of one answer: some 50 times what the longest list takes. A model that goes on has lost itself."""

ITEMS_PER_ASKED: Final = 2
"""Attributes taken of one answer, for each that was asked for."""

MAX_LINE: Final = 2000
"""Characters of one line or JSON element: ten times the longest attribute, with room for a gloss that is cut off."""

MAX_FRUITLESS: Final = 12
"""Lines in a row that hold nothing new: the model has run into a loop, and every further one costs time and money."""

SAME_BUT_NUMBER: Final = 3
"""Attributes in a row that differ in a number alone; small models count up for ever ("Paris 1", "Paris 2")."""

_ARRAY: Final = re.compile(r'\s*(?:\{\s*"[^"]{1,40}"\s*:\s*)?\[\s*(?=["{])')
_BETWEEN: Final = re.compile(r"[\s,]*")
_NUMBERS: Final = re.compile(r"\d+")
_DECODER: Final = json.JSONDecoder()


class Parser:
    """Reads the answer of one call."""

    def __init__(self, asked: int) -> None:
        self.rejected: Counter[str] = Counter()
        """Lines that were no attributes, by kind."""
        self.full = False
        """Whether more of this answer is of no use: it is too long, or goes round in circles."""
        self._most = asked * ITEMS_PER_ASKED
        self._pending = ""
        self._in_array = False
        self._skipping = False
        self._bytes = 0
        self._seen: set[str] = set()
        self._fruitless = 0
        self._shape = ""
        self._alike = 0

    def feed(self, piece: str) -> list[str]:
        """The attributes that this piece of text completes."""
        if self.full:
            return []
        self._bytes += len(piece.encode("utf-8", "surrogatepass"))
        self._pending += piece
        found: list[str] = []
        while not self.full and (candidate := self._next()) is not None:
            self._keep(candidate, found)
        if len(self._pending) > MAX_LINE:
            self._drop_long_line()
        if self._bytes > MAX_BYTES:
            self.full = True
        return found

    def end(self, *, whole: bool) -> list[str]:
        """What is left at the end of the answer: its last line, unless the answer was cut off within it."""
        found: list[str] = []
        rest, self._pending = self._pending, ""
        if rest.strip() and not (self.full or self._in_array or self._skipping):
            if whole:
                self._keep(rest, found)
            else:
                self.rejected["cut_off"] += 1
        self.full = True
        return found

    def _next(self) -> str | None:
        """The next complete line or element, or None when there is none yet."""
        if not self._in_array and not self._skipping and (opening := _ARRAY.match(self._pending)):
            self._in_array = True
            self._pending = self._pending[opening.end() :]
        return self._next_element() if self._in_array else self._next_line()

    def _next_line(self) -> str | None:
        while True:
            line, newline, rest = self._pending.partition("\n")
            if not newline:
                return None
            self._pending = rest
            if not self._skipping:
                return line
            self._skipping = False

    def _next_element(self) -> str | None:
        between = _BETWEEN.match(self._pending)
        self._pending = self._pending[between.end() if between else 0 :]
        if self._pending[:1] in ("]", "}"):
            self._in_array = False
            self._skipping = True  # what follows on this line closes the JSON
            return self._next_line()
        try:
            element, end = _DECODER.raw_decode(self._pending)
        except (ValueError, RecursionError):
            return None
        self._pending = self._pending[end:]
        if isinstance(element, dict):  # {"name": "Louvre", …}: the first text of an object names it
            element = next((value for value in element.values() if isinstance(value, str)), "")
        return element if isinstance(element, str) else ""

    def _drop_long_line(self) -> None:
        self.rejected["too_long"] += 1
        self._pending = ""
        self._in_array = False
        self._skipping = True

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
            self.full = True
