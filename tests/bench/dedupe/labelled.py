"""Lists and pairs whose duplicates are known."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PAIRS = Path(__file__).parents[2] / "unit" / "dedupe" / "pairs.txt"

_ORDER = 7
"""Seed of the order in which the items of the lists beside this file arrive."""


class LabelledList(NamedTuple):
    """Items in the order of arrival, and the concept each stands for."""

    topic: str
    items: list[str]
    cluster: list[int]


class LabelledPair(NamedTuple):
    """Two texts, whether they are one, and of what kind the pair is."""

    a: str
    b: str
    dup: bool
    kind: str


def own_lists() -> list[LabelledList]:
    """The lists beside this file: a concept a line, its names between bars."""
    return [_own_list(path) for path in sorted((Path(__file__).parent / "lists").glob("*.txt"))]


def _own_list(path: Path) -> LabelledList:
    topic, *lines = path.read_text(encoding="utf-8").splitlines()
    named = [(name, cluster) for cluster, line in enumerate(lines) for name in line.split(" | ")]
    random.Random(_ORDER).shuffle(named)  # noqa: S311 (an order, not a secret)
    return LabelledList(topic.removeprefix("# "), [name for name, _ in named], [cluster for _, cluster in named])


def own_pairs() -> list[LabelledPair]:
    """The pairs made by hand, by kind."""
    found: list[LabelledPair] = []
    kind = ""
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        elif line[:1] in ("=", "!"):
            a, b = line[2:].split(" | ")
            found.append(LabelledPair(a, b, line[0] == "=", kind))
    return found


def lists_in(path: Path) -> list[LabelledList]:
    """The lists of a file of {"topic", "items", "cluster"} lines."""
    return [LabelledList(line["topic"], line["items"], line["cluster"]) for line in _lines(path)]


def pairs_in(path: Path) -> list[LabelledPair]:
    """The pairs of a file of {"a", "b", "dup", "kind"} lines."""
    return [LabelledPair(line["a"], line["b"], line["dup"], line.get("kind", "")) for line in _lines(path)]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
