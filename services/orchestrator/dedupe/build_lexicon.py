"""Makes `wordnet.txt.xz` out of the database files of WordNet 3.0 (index.*, data.*, *.exc), once, when the data is renewed.

`python -m services.orchestrator.dedupe.build_lexicon DICT_FOLDER OUT_FILE`. The output holds the licence, then a line per
synset (part of speech, line of the parent synset or -, then its words, each with the rank of this sense among the word's own),
a line per pair of antonyms ("!"), and a line per irregular form ("~").
"""

import lzma
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PARTS: Final = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_PARENT_POINTERS: Final = ("@", "@i")


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


def _antonym_lines(synsets: dict[str, Synset]) -> Iterator[str]:
    for synset in synsets.values():
        for own, other, its in synset.antonyms:
            a, b = synset.words[own], synsets[other].words[its]
            if a < b:
                yield f"!\t{a}\t{b}"


def _form_lines(folder: Path) -> Iterator[str]:
    for name in ("noun", "verb"):
        for line in (folder / f"{name}.exc").read_text().splitlines():
            form, base, *_ = line.split()
            if "_" not in form:
                yield f"~\t{form}\t{base}"


def _licence(folder: Path) -> list[str]:
    lines = (folder / "data.noun").read_text().splitlines()
    return ["# " + line.split(maxsplit=1)[-1] for line in lines if line.startswith("  ")]


def build(folder: Path) -> str:
    """The text of the lexicon made from the database files in `folder`."""
    synsets, ranks = _synsets(folder), _ranks(folder)
    numbers = {name: number for number, name in enumerate(synsets)}
    lines = _licence(folder)
    for name, synset in synsets.items():
        words = "|".join(f"{word}:{ranks.get((word.lower(), name), 9)}" for word in synset.words)
        parents = ",".join(str(numbers[parent]) for parent in synset.parents)
        lines.append(f"{synset.part}\t{parents or '-'}\t{words}")
    lines += sorted(set(_antonym_lines(synsets))) + sorted(set(_form_lines(folder)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(lzma.compress(build(Path(sys.argv[1])).encode(), preset=9 | lzma.PRESET_EXTREME))
