"""Text that producers and models sent: whether it may be stored, shown to people and put into a prompt.

What passes is one printable line that ends nobody's turn, opens no tag, hides nothing and tells no model what to do. It may be
wrong and it may be rude.
Producers check what they send, and the orchestrator checks what it is sent: a producer is not trusted with it.
"""

import json
import re
import unicodedata
from typing import Final, Literal

from shared.instructions import instructs
from shared.messages import MAX_ERROR, MAX_TEXT

Flaw = Literal["", "too_long", "line_break", "control", "format", "untrimmed", "empty", "prompt_mark", "markup", "instruction"]

MAX_WORDS: Final = 12
"""Words of an attribute, which is a name or a short noun phrase; what is longer is a sentence."""

DATA_BEGIN: Final = "<data>"
DATA_END: Final = "</data>"
"""What stands around data in our prompts; data itself never holds it."""

_CONTROL: Final = frozenset(("Cc", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS: Final = "\u200c\u200d"
"""Persian words and emoji families fall apart without them. Beside ASCII they do nothing but hide."""
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Choose the form of the character before them; several in a row can carry a text that nobody sees."""
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Letters, marks and symbols without ink: they look like nothing, or like a space."""
_VIRAMA: Final = 9
"""Combining class of the marks that a joiner may follow at the end of a word, as in Malayalam and Sinhala."""

_PROMPT_MARK: Final = re.compile(r"<\s{0,9}/?\s{0,9}data\s{0,9}>", re.I)
_MARKUP: Final = re.compile(
    r"```|^~~~|</|^#{1,6}\s|^[{}\[\]|,]+$|[\[{]$|\bhttps?://|<!--|<\?|<!doctype"
    r"|<(?:a|b|i|em|strong|br|p|li|ul|ol|div|span|img|script|style|iframe|svg|h\d)\b"
    r"|<[|\uff5c]|<<\s?/?sys\s?>>|\[\s?/?(?:inst|system_prompt|available_tools|tool_calls|tool_results)\s?\]"
    r"|<(?:s|bos|eos|pad|unk|mask|sep|cls|think|thinking|system|user|assistant|human|model|tool|instructions?)>"
    r"|<(?:start|end|begin|fim|tool|function|system|image|im|extra|reserved)(?:_|\u2581)\w{1,40}>"
    r"|#{2,}\s?(?:instructions?|input|response|system|user|assistant|human)\b",
    re.I,
)
"""Tags, code fences, what opens JSON, and the marks by which models tell whose turn it is (DeepSeek's have wide bars).
Every repeat in it has a bound, so that its work grows with the length of the text alone."""


def flaw(text: str, most: int = MAX_TEXT, words: int = MAX_WORDS) -> Flaw:
    """Why a text may not be taken, the first reason of several; empty when it may.

    too_long: more than `most` characters, or than `words` words; line_break: more than one line; control: what moves a cursor,
    ends a string, or has no meaning; format: what cannot be seen; untrimmed: space around it; prompt_mark: the marks that our
    prompts have around data; markup: tags, fences, marks of chat templates; instruction: it tells a model what to do; empty: no
    letter, number or symbol.
    """
    if len(text) > most:
        return "too_long"
    if len(text.splitlines()) > 1 or (text and text.splitlines()[0] != text):
        return "line_break"
    if unseen := _unseen(text):
        return unseen
    if text != text.strip():
        return "untrimmed"
    if len(text.split()) > words:
        return "too_long"
    if _PROMPT_MARK.search(text):
        return "prompt_mark"
    if _MARKUP.search(text):
        return "markup"
    if instructs(text):
        return "instruction"
    return "" if any(unicodedata.category(c)[0] in "LNS" for c in text) else "empty"


def quoted(text: str) -> str:
    """A text as JSON, as it stands in prompts: it cannot end the data around it."""
    return json.dumps(text, ensure_ascii=False).replace("</", "<\\/")


def _unseen(text: str) -> Literal["", "control", "format"]:
    if text.isascii() and text.isprintable():
        return ""
    if any(unicodedata.category(c) in _CONTROL for c in text):
        return "control"
    hides = _INVISIBLE.search(text) is not None or any(
        (char in _JOINERS and not _joins(text, at))
        or (_SELECTORS.match(char) and not _selects(text, at))
        or (char not in _JOINERS and unicodedata.category(char) == "Cf")
        for at, char in enumerate(text)
        if not char.isascii()
    )
    return "format" if hides else ""


def _joins(text: str, at: int) -> bool:
    """Whether the joiner there stands between two characters of one word or emoji, or ends a word as some scripts have it."""
    before, after = text[at - 1] if at else "", text[at + 1 : at + 2]
    if not _has_ink(before):
        return False
    return _has_ink(after) or (unicodedata.combining(before) == _VIRAMA and not after.strip())


def _selects(text: str, at: int) -> bool:
    """Whether the selector there follows a character that has forms: not a letter of ASCII, nor another selector."""
    before = text[at - 1] if at else " "
    return not (before.isspace() or (before.isascii() and before.isalpha()) or _SELECTORS.match(before) or before in _JOINERS)


def _has_ink(char: str) -> bool:
    return bool(char) and not char.isascii() and unicodedata.category(char)[0] in "LMS"


def as_line(text: str, most: int = MAX_ERROR) -> str:
    """A sentence of somebody else's as one printable line of at most `most` bytes: what repeats it must fit a message."""
    line = "".join(c if c.isprintable() else " " for c in text[:most])
    return line.encode("utf-8", "replace")[:most].decode("utf-8", "ignore").strip()
