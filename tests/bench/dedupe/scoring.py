"""Counts of right and wrong decisions, and what they amount to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from tests.bench.dedupe.labelled import LabelledList


@dataclass
class Score:
    """Decisions about items in the order of arrival; an item is a duplicate when its concept has been seen."""

    right: int = 0
    """Duplicates called so."""
    lost: int = 0
    """New items called duplicates: gone for good."""
    missed: int = 0
    """Duplicates called new."""
    kept: int = 0
    """New items called new."""

    def count(self, one: LabelledList, dup: Sequence[bool]) -> None:
        """Adds the decisions about one list."""
        seen: set[int] = set()
        for cluster, called in zip(one.cluster, dup, strict=True):
            known = cluster in seen
            seen.add(cluster)
            self.right += known and called
            self.missed += known and not called
            self.lost += not known and called
            self.kept += not known and not called

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.lost)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.lost + self.missed)

    @property
    def rejected(self) -> float:
        """The share of new items wrongly rejected."""
        return self.lost / max(1, self.lost + self.kept)

    def figures(self) -> dict[str, float]:
        """The figures to print."""
        names = ("precision", "recall", "f1", "rejected")
        return {name: round(getattr(self, name), 4) for name in names}


def adjusted_rand_index(one: Sequence[int], other: Sequence[int]) -> float:
    """How far two partitions of the same items agree, 1 when they are the same (Hubert and Arabie, 1985)."""
    together = sum(comb(size, 2) for size in Counter(zip(one, other, strict=True)).values())
    ours = sum(comb(size, 2) for size in Counter(one).values())
    theirs = sum(comb(size, 2) for size in Counter(other).values())
    expected = ours * theirs / max(1, comb(len(one), 2))
    most = (ours + theirs) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)
