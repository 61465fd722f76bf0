"""Text in pieces, cut into raw items: lines, or the elements of a JSON array, whichever it turns out to be."""

import json
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

MAX_ITEM: Final = 2000
"""Characters of one line or element: ten times the longest attribute, with room for a gloss that is cut off."""

_HEAD: Final = re.compile(r'\s*(?:\{\s*(?:"|\Z)|\[\s*(?:["{\[\]]|\Z))')
"""How JSON begins; of a piece that ends there, it cannot be told yet."""
_INLINE: Final = re.compile(r'\{\s*"[^"\n]{1,40}"\s*:\s*\[\s*(?=["{])')
"""JSON on the same line as prose."""
_ARRAY: Final = re.compile(r'\[\s*(?=["{])')
_BETWEEN: Final = re.compile(r"[\s,]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_REST_OF_STRING: Final = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_ELEMENT: Final = '"{[-0123456789tfn'
"""What an element of an array may begin with."""
_DECODER: Final = json.JSONDecoder(strict=False)  # models put line breaks into strings


class _At(Enum):
    """Where the text is."""

    LINE = "line"
    REST_OF_LINE = "rest of line"
    """Of which nothing is wanted: it closes a JSON array, or was too long."""
    HEAD = "head"
    """In JSON, before its array."""
    ARRAY = "array"
    LONG_STRING = "long string"
    """In an element that is too long to be any."""


class RawItems:
    """Cuts one answer. Holds no more than `MAX_ITEM` characters and the last piece."""

    def __init__(self) -> None:
        self.overlong = 0
        """Items dropped because they did not end."""
        self._text = ""
        self._at = _At.LINE

    def feed(self, piece: str) -> Iterator[str]:
        """The items that this piece completes."""
        self._text += piece
        while (item := self._next()) is not None:
            yield item
        if len(self._text) > MAX_ITEM:
            self._drop()

    def rest(self) -> tuple[str, bool]:
        """What stands at the end of the text, and whether it is a line; otherwise it is a piece of JSON."""
        text, self._text = self._text, ""
        return text, self._at is _At.LINE

    def _next(self) -> str | None:
        if self._at is _At.REST_OF_LINE and not self._skip_line():
            return None
        if self._at is _At.LONG_STRING and not self._skip_string():
            return None
        if self._at is _At.LINE:
            self._text = self._text.lstrip()  # empty lines all at once: one by one, each looks at all that follow
            self._look_for_json()
        if self._at is _At.HEAD and not self._find_array():
            return None
        return self._element() if self._at is _At.ARRAY else self._line()

    # ---- lines -----------------------------------------------------------------------------------------------------

    def _line(self) -> str | None:
        line, newline, rest = self._text.partition("\n")
        if not newline:
            return None
        self._text = rest
        return line

    def _skip_line(self) -> bool:
        _, newline, self._text = self._text.partition("\n")
        if newline:
            self._at = _At.LINE
        return bool(newline)

    def _drop(self) -> None:
        self.overlong += 1
        is_string = self._at is _At.ARRAY and self._text.startswith('"')
        self._at = _At.LONG_STRING if is_string else _At.REST_OF_LINE
        self._text = self._text[1:] if is_string else ""
        if is_string:
            self._skip_string()

    # ---- JSON ------------------------------------------------------------------------------------------------------

    def _look_for_json(self) -> None:
        if _HEAD.match(self._text):
            self._at = _At.HEAD
        elif found := _INLINE.search(self._text.partition("\n")[0]):
            self._text = f"{self._text[: found.start()]}\n{self._text[found.start() :]}"  # the prose is a line of its own

    def _find_array(self) -> bool:
        """Go into the first array of texts or objects, however deep it lies; JSON that has none is skipped."""
        if found := _ARRAY.search(self._text):
            self._text = self._text[found.end() :]
            self._at = _At.ARRAY
            return True
        if not _HEAD.match(self._text):  # it only seemed so, as "[" of a link does
            self._at = _At.LINE
            return True
        try:
            _, end = _DECODER.raw_decode(self._text.lstrip())
        except (ValueError, RecursionError):
            return False
        self._text = self._text.lstrip()[end:]
        self._at = _At.REST_OF_LINE
        return self._skip_line()

    def _element(self) -> str | None:
        between = _BETWEEN.match(self._text)
        self._text = self._text[between.end() if between else 0 :]
        if not self._text:
            return None
        if self._text[0] == '"':
            return self._string()
        if self._text[0] not in _ELEMENT:  # the end of the array, or no JSON after all
            self._at = _At.REST_OF_LINE if self._text[0] in "]}" else _At.LINE
            return self._next()
        try:
            value, end = _DECODER.raw_decode(self._text)
        except (ValueError, RecursionError):
            return None
        self._text = self._text[end:]
        return _named(value)

    def _string(self) -> str | None:
        if not (found := _STRING.match(self._text)):
            return None
        self._text = self._text[found.end() :]
        try:
            return str(_DECODER.decode(found[0]))
        except ValueError:  # an escape that is none
            return found[0]

    def _skip_string(self) -> bool:
        found = _REST_OF_STRING.match(self._text)
        self._text = self._text[found.end() if found else 0 :]
        if self._text.startswith('"'):
            self._text = self._text[1:]
            self._at = _At.ARRAY
        return self._at is _At.ARRAY


def _named(value: Any) -> str:
    """The text by which an element goes: of an object, {"name": "Louvre", …}, its first text."""
    if isinstance(value, dict):
        value = next((part for part in value.values() if isinstance(part, str)), "")
    return value if isinstance(value, str) else ""
