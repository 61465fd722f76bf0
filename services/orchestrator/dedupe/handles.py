"""By what an accepted attribute can be found again: short strings that two texts share when one may repeat the other."""

from collections.abc import Iterator, Sequence
from typing import Final

from services.orchestrator.dedupe import acronyms, names
from services.orchestrator.dedupe.form import Form, form
from services.orchestrator.dedupe.inflection import root
from services.orchestrator.dedupe.lexicon import Lexicon

_SHORTEST_CODE: Final = 3


def words_handle(stems: Sequence[str]) -> str:
    """The handle of exactly these words, in any order."""
    return "w " + " ".join(sorted(stems))


def own(text: Form, lexicon: Lexicon) -> Iterator[str]:
    """What `text` is stored under and looked up by."""
    yield "j " + text.joined
    yield words_handle(text.content)
    yield words_handle([root(stem, lexicon) for stem in text.content])
    for bare in names.without_wrapping(text, lexicon):
        yield words_handle(bare)
    yield from _name(text, lexicon)
    for part in text.gloss:
        if part:
            yield words_handle(form(part).content)
    for word in text.words:
        if len(word) >= _SHORTEST_CODE and word[0].isalpha() and not word.isalpha():
            yield "c " + word


def meanings(text: Form, lexicon: Lexicon) -> Iterator[str]:
    """A handle for each common meaning of the whole of `text`."""
    for synset in lexicon.synsets(" ".join(text.content_words)):
        yield f"s {synset}"


def initials(text: Form) -> Iterator[str]:
    """The initials of `text`, under which its acronym looks for it."""
    for letters in acronyms.initials_of(text):
        yield "i " + letters


def initials_sought(text: Form) -> Iterator[str]:
    """The initials `text` stands for, when it is an acronym."""
    letters = acronyms.letters_of(text)
    if letters:
        yield "i " + letters


def acronym(text: Form) -> Iterator[str]:
    """The acronym that `text` is, under which what it stands for looks for it."""
    letters = acronyms.letters_of(text)
    if letters:
        yield "a " + letters


def acronyms_sought(text: Form) -> Iterator[str]:
    """The acronyms that could stand for `text`."""
    for letters in acronyms.initials_of(text):
        yield "a " + letters


def _name(text: Form, lexicon: Lexicon) -> Iterator[str]:
    if not text.all_names:
        return
    parts = names.parts_of(text)
    # "Smith Bridge" is no person; a word that names nobody else before one that means something tells.
    if len(parts) > 1 and (len(parts[0]) == 1 or lexicon.known(parts[0]) or not lexicon.common(parts[-1])):
        yield f"n {parts[0][0]} {parts[-1]}"
