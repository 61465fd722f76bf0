"""Whether a text tells a model what to do, where it should name a thing.

The sure guard is that prompts hold such text as data (`services/producer/prompt.py`); this is the second one. It knows the
usual forms in a dozen languages, and leaves names of works and idioms alone, so that what is put cleverly enough gets past it.
"""

import re
import unicodedata
from importlib.resources import files
from typing import Final

_WORDS: Final = {
    "<rules>": "(?:instructions?|rules?|prompts?|guidelines?|directions?|directives?|constraints?|commands?)",
    "<all>": "(?:all|every|each|any|both)",
    "<entry>": "(?:pairs?|items?|entry|entries|questions?|prompts?|answers?|lists?|lines?|responses?|repl(?:y|ies)|verdicts?)",
    "<reply>": "(?:answer|reply|respond|output)",
}
"""What the patterns in `instructions.txt` have in common."""


def _pattern() -> re.Pattern[str]:
    """All forms of `instructions.txt`, a pattern a line, of words in small letters with a space between them."""
    text = (files("shared") / "instructions.txt").read_text(encoding="utf-8")
    for word, forms in _WORDS.items():
        text = text.replace(word, forms)
    return re.compile("|".join(f"(?:{line})" for line in text.splitlines() if line and not line.startswith("#")))


_INSTRUCTION: Final = _pattern()
_BETWEEN: Final = re.compile(r"[\s_*\-\u2010-\u2015.,;!?\"\u201c\u201d\u2018\xab\xbb()\[\]{}/\\|~<>#=+`^&\u3001\u3002\uff0c]+")
"""What stands between words, or only seems to: "IGNORE-every_rule"."""


def instructs(text: str) -> bool:
    """Whether a text, of some hundreds of characters at most, is an instruction to a model."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return _INSTRUCTION.search(_BETWEEN.sub(" ", plain).strip()) is not None
