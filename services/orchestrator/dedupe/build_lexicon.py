"""Makes `wordnet.txt.xz` out of the database files of WordNet 3.0 (index.*, data.*, *.exc), once, when the data is renewed.

`python -m services.orchestrator.dedupe.build_lexicon DICT_FOLDER OUT_FILE`. The output holds eight sections with an empty line
between them, ready to be read without a look at each line:

1. the licence
2. the words and phrases that are no names, a line each, in lower case and without hyphens, apostrophes and dots
3. the words and phrases that are written with a capital alone
4. the senses of the words of 2 and 3, in their order: "121n1 507v3" are synset 121, a noun, of which it is the first meaning of
   the word, and synset 507, a verb, of which it is the third
5. the synsets that each synset is a kind of ("24,73930", or "-"), the first line for synset 0
6. words that stand in phrases alone
7. pairs of antonyms, the two in alphabetical order with a tab between them
8. irregular forms, each with a tab and what it is a form of
"""

import lzma
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PARTS: Final = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_PARENT_POINTERS: Final = ("@", "@i")
_MARKS: Final = str.maketrans({"-": " ", "'": None, ".": None})
_UNRANKED: Final = 9
"""The rank of a sense that the index files do not list."""


class Synset(NamedTuple):
    """One synset as the data files give it."""

    part: str
    words: tuple[str, ...]
    parents: tuple[str, ...]
    antonyms: tuple[tuple[int, str, int], ...]
    """(own word, synset, its word), words counted from 0."""


def _name(part: str, offset: str) -> str:
    return ("a" if part == "s" else part) + offset


def _synset(line: str) -> tuple[str, Synset]:
    fields = line.split(" | ")[0].split()
    part, count = fields[2], int(fields[3], 16)
    words = tuple(word.split("(")[0].replace("_", " ") for word in fields[4 : 4 + 2 * count : 2])
    at = 4 + 2 * count
    pointers = [fields[at + 1 + 4 * n : at + 5 + 4 * n] for n in range(int(fields[at]))]
    parents = tuple(_name(to_part, offset) for sign, offset, to_part, _ in pointers if sign in _PARENT_POINTERS)
    antonyms = tuple(
        (int(ends[:2], 16) - 1, _name(to_part, offset), int(ends[2:], 16) - 1)
        for sign, offset, to_part, ends in pointers
        if sign == "!" and ends != "0000"
    )
    return _name(part, fields[0]), Synset("a" if part == "s" else part, words, parents, antonyms)


def _synsets(folder: Path) -> dict[str, Synset]:
    lines = (line for name in PARTS for line in (folder / f"data.{name}").read_text().splitlines())
    return dict(_synset(line) for line in lines if line[:1].isdigit())


def _ranks(folder: Path) -> dict[tuple[str, str], int]:
    """(word in lower case, synset) to the rank of that sense among the word's senses of that part of speech, from 1."""
    ranks = {}
    for name, part in PARTS.items():
        for line in (folder / f"index.{name}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            offsets = fields[-int(fields[2]) :]
            word = fields[0].replace("_", " ")
            ranks.update({(word, part + offset): rank for rank, offset in enumerate(offsets, 1)})
    return ranks


def _plain(word: str) -> str:
    return word.translate(_MARKS)


def _antonyms(synsets: dict[str, Synset]) -> Iterator[str]:
    for synset in synsets.values():
        for own, other, its in synset.antonyms:
            a, b = synset.words[own], synsets[other].words[its]
            if a < b:
                yield "\t".join(sorted((_plain(a).lower(), _plain(b).lower())))


def _irregular(folder: Path) -> dict[str, str]:
    pairs = sorted(
        (form, base)
        for name in ("noun", "verb")
        for form, base, *_ in map(str.split, (folder / f"{name}.exc").read_text().splitlines())
        if "_" not in form
    )
    return dict(reversed(pairs))  # of two bases of one form the first counts


def _licence(folder: Path) -> list[str]:
    lines = (folder / "data.noun").read_text().splitlines()
    return [" ".join(["#", *line.split(maxsplit=1)[1:]]).rstrip() for line in lines if line.startswith("  ")]


def build(folder: Path) -> str:
    """The text of the lexicon made from the database files in `folder`."""
    synsets, ranks = _synsets(folder), _ranks(folder)
    numbers = {name: number for number, name in enumerate(synsets)}
    senses: dict[str, list[str]] = {}
    for name, synset in synsets.items():
        for word in synset.words:
            rank = ranks.get((word.lower(), name), _UNRANKED)
            senses.setdefault(_plain(word).lower(), []).append(f"{numbers[name]}{synset.part}{rank}")
    common = {plain for synset in synsets.values() for plain in map(_plain, synset.words) if plain.islower()}
    words = [*sorted(common), *sorted(senses.keys() - common)]
    irregular = _irregular(folder)
    sections = (
        _licence(folder),
        words[: len(common)],
        words[len(common) :],
        (" ".join(senses[word]) for word in words),
        (",".join(str(numbers[parent]) for parent in synset.parents) or "-" for synset in synsets.values()),
        sorted({part for word in words if " " in word for part in word.split()} - senses.keys()),
        sorted(set(_antonyms(synsets))),
        (f"{form}\t{irregular[form]}" for form in sorted(irregular)),
    )
    return "\n\n".join(map("\n".join, sections))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(lzma.compress(build(Path(sys.argv[1])).encode(), preset=9 | lzma.PRESET_EXTREME))
