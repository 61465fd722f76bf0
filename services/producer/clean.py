# ruff: noqa: RUF001 (quotes and dashes of all kinds are what this file is about)
"""One line of a model's answer becomes an attribute, or it is told why it is none.

Models wrap what they are asked for: bullets, numbers, quotes, emphasis, a gloss after the name, an introduction before the
list. All that goes; the attribute itself stays as it was written ("Café 104", "Musée d'Orsay", "AC/DC", "C++").
"""

import re
from typing import Final

from shared.outside_text import flaw

MAX_LINE: Final = 600
"""Characters of a line: the longest attribute, and a gloss that is cut off. The work of patterns grows faster than a line."""

_MARKS: Final = re.compile(
    r"(?:[-*+>•‣▪●◦·–—]+\s+"  # - Louvre
    r"|[-•‣▪●◦·–—]+(?=[^\W\d])"  # -Louvre, but not -5 °C
    r"|\(?#?\d{1,3}[.)\]:]\s+|\(?\d{1,3}[.)](?=[^\W\d])"  # 12. Louvre, 12.Louvre, (12) Louvre
    r"|[a-z]\)\s+|\[[ xX]?\]\s+)+"  # a) Louvre, [x] Louvre
)
_LINK: Final = re.compile(r"!?\[([^\[\]]+)\]\([^)\s]*\)")
_STRONG: Final = re.compile(
    r"\*\*(?=\S)((?:[^*]|\*(?!\*))+)(?<=\S)\*\*"  # none of these goes beyond the next mark: each reads the line once
    r"|`([^`]+)`|__(?=[^\W\d_])(?=[^_]*[A-Z\s])([^_]+)__"
)
_EMPHASISED: Final = re.compile(r"([*_])(?=[^\W_])([^*_]+)\1")
_NAMED_IN_BOLD: Final = re.compile(r"\*\*(.{1,80}?):?\*\*\s*[:–—-]\s*\S.*|\*\*(.{1,80}?):\*\*\s+\S.*")
_GLOSS: Final = re.compile(r"(?<=\S)(?::\s+|\s+[-–—]{1,2}\s+)(\S.*)")
_QUOTES: Final = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“"}
MAX_ABBREVIATION: Final = 20
"""Characters at the end of a line that are looked at for one."""

_ABBREVIATION: Final = re.compile(r"(?:\b\w\.|\.\w+\.|\b(?:Inc|Ltd|Co|Corp|Jr|Sr|St|Bros|etc|No|vs)\.)$", re.I)

_CHATTER: Final = re.compile(
    r"(?:here(?:'s|’s| is| are)\b|(?:sure|certainly|absolutely|great|okay|ok|yes|no problem|of course)\s*[,!.:]"
    r"|(?:sure|certainly|okay|ok|of course)$"
    r"|(?:i|we)(?:'m|’m|'ve|’ve|'ll|’ll| am| have| hope| can| cannot| can't| apologi[sz]e| would| will)\b.*\b"
    r"(?:list|you|help|sorry|items?|provide|assist|more|attributes?)\b"
    r"|(?:please|let me)\s+(?:note|know|tell|find|let|provide|keep|feel)\b|feel free\b|note(?: that|:)|as an? (?:ai|language)\b"
    r"|(?:these|this|the following|below|above)\b.*\b(?:is|are|list|items?)\b|(?:the |a )?list of\b|hope (?:this|that|it)\b"
    r"|(?:would|do|did|can|could) you\b|is there anything\b|(?:in )?(?:conclusion|summary)\b|to summari[sz]e\b"
    r"|thank(?:s| you)\b|(?:and )?(?:many|much|so much) more\b|and so on\b|end of (?:the )?list\b"
    r"|(?:topic|user|assistant|answer|output|system)\s*:|\.\.\.|…)",
    re.I,
)
_VERB: Final = re.compile(
    r"\s(?:is|are|was|were|has been|have been|will be|can be|should|offers?|provides?|includes?|features?|allows?|helps?)\s",
    re.I,
)
_TWO_SENTENCES: Final = re.compile(r"[a-z]{4}[.!?]\s+[A-Z]")


class NoAttribute(ValueError):
    """Raised when a line is no attribute; `kind` is what it is instead."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def clean(line: str) -> str:
    """The attribute that a line holds. Raises NoAttribute: chatter, or what `flaw` finds in it."""
    if len(line) > MAX_LINE:
        raise NoAttribute("too_long")
    text = _without_marks(" ".join(line.split()))
    text = _LINK.sub(r"\1", text).strip()
    if (kind := flaw(text, MAX_LINE, MAX_LINE)) and kind != "empty":  # "..." is chatter
        raise NoAttribute(kind)
    if _CHATTER.match(_STRONG.sub(_inner, text)) or text.rstrip("*_\"' ").endswith((":", "：")):
        raise NoAttribute("chatter")
    text = _trimmed(_named(text))
    if kind := flaw(text):
        raise NoAttribute(kind)
    if _is_sentence(text, line):
        raise NoAttribute("chatter")
    return text


def _without_marks(text: str) -> str:
    """`text` without what makes it an item of a list; "-" alone is left for the check for emptiness."""
    return text[found.end() :] if (found := _MARKS.match(text)) else text


def _named(text: str) -> str:
    """The name of "**Louvre**: the museum" and of "Louvre - a museum in Paris"."""
    if found := _NAMED_IN_BOLD.fullmatch(text):
        return str(found[1] or found[2])
    text = _STRONG.sub(_inner, text)
    if found := _EMPHASISED.fullmatch(text):
        text = found[2]
    if (gloss := _GLOSS.search(text)) and _describes(gloss[1]):
        return text[: gloss.start()]
    return text


def _inner(found: re.Match[str]) -> str:
    return found[1] or found[2] or found[3]


def _describes(gloss: str) -> bool:
    """Whether what follows a colon or dash explains the name; "A New Hope" belongs to it, being written as a title."""
    words = re.findall(r"[^\W\d_]{2,}", gloss)
    return bool(words) and (words[0][0].islower() or len(words) > 7 or any(len(w) > 4 and w.islower() for w in words))


def _trimmed(text: str) -> str:
    """`text` without quotes around it and punctuation after it."""
    before = None
    while text != before:
        before = text
        text = text.strip().rstrip(",;")
        if (
            len(text) > 1
            and text.endswith(".")
            and (text.endswith("..") or not _ABBREVIATION.search(text, len(text) - MAX_ABBREVIATION))
        ):
            text = text.rstrip(".")
        text = text.removesuffix("…")
        inner = text[1:-1]
        if (
            len(text) > 2
            and _QUOTES.get(text[0]) == text[-1]
            and text[0] not in inner
            and text[-1] not in inner.replace("’", "")
        ):
            text = inner
    return text


def _is_sentence(text: str, line: str) -> bool:
    words = len(text.split())
    if _TWO_SENTENCES.search(text):
        return True
    if words >= 6 and (_VERB.search(text) or line.rstrip().endswith(("!", "?"))):
        return True
    return words >= 8 and line.rstrip().endswith(".")
