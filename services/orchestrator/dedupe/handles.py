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


def spelled_out(text: Form) -> tuple[list[str], list[str]]:
    """The handles that bring a phrase and its acronym together: those `text` is stored under, and those it looks for."""
    letters, initials = acronyms.letters_of(text), acronyms.initials_of(text)
    stored = [f"i {found}" for found in initials]
    sought = [f"a {found}" for found in initials]
    if letters:
        stored.append(f"a {letters}")
        sought.append(f"i {letters}")
    return stored, sought


def _name(text: Form, lexicon: Lexicon) -> Iterator[str]:
    if not text.all_names:
        return
    parts = names.parts_of(text)
    # "Smith Bridge" is no person; a word that names nobody else before one that means something tells.
    if len(parts) > 1 and (len(parts) > 2 or len(parts[0]) == 1 or lexicon.known(parts[0]) or not lexicon.common(parts[-1])):
        yield f"n {parts[0][0]} {parts[-1]}"
