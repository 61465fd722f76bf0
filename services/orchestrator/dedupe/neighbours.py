"""The accepted attributes nearest in meaning to a text, found among all of them."""

from typing import TYPE_CHECKING, Final, NamedTuple

import faiss
import numpy as np

from services.orchestrator.dedupe.vectors import SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT_LIST: Final = 64
"""How many are looked at closely. With 64, the nearest of 100,000 is among them 99 times in 100 (measured by the benchmark)."""
_STEPS: Final = 127.0
_FIRST_ROWS: Final = 1024


class Point(NamedTuple):
    """A vector in the forms that are searched and compared."""

    vector: "NDArray[np.float32]"
    signs: "NDArray[np.uint8]"
    """A bit for each number, set where it is positive."""
    row: "NDArray[np.float32]"
    """The vector in whole steps."""
    scale: np.float32
    """What makes the length of `row` 1."""


def points(vectors: "NDArray[np.float32]") -> list[Point]:
    """A point for each row of `vectors`, which does not depend on its company."""
    signs = np.packbits(vectors > 0, axis=1)
    rows = np.rint(vectors * (_STEPS / (np.abs(vectors).max(axis=1, keepdims=True, initial=0.0) + 1e-9)))
    scales = 1 / (np.sqrt((rows * rows).sum(axis=1)) + 1e-9)  # sums of whole numbers below 2^24 are exact in any order
    return [Point(*parts) for parts in zip(vectors, signs, rows, scales, strict=True)]


class Neighbours:
    """Vectors in the order they were added: 32 bytes of signs to search, 260 bytes to compare.

    All signs are compared (about 150 µs at 100,000), so the answer depends on the vectors alone, and not on an order of search.
    """

    def __init__(self) -> None:
        faiss.omp_set_num_threads(1)
        self._signs: Final = faiss.IndexBinaryFlat(SIZE)
        # Counting distances finds the same, the older of equals first, in two thirds of the time.
        self._signs.use_heap = False  # type: ignore[attr-defined]  # its stubs lack what SWIG adds
        self._rows: NDArray[np.int8] = np.zeros((_FIRST_ROWS, SIZE), dtype=np.int8)
        self._scales: NDArray[np.float32] = np.zeros(_FIRST_ROWS, dtype=np.float32)
        self._count = 0

    def add(self, point: Point) -> None:
        """Takes the next vector."""
        at = self._count
        if at == len(self._rows):
            self._rows = np.concatenate((self._rows, np.zeros((at // 2, SIZE), dtype=np.int8)))
            self._scales = np.concatenate((self._scales, np.zeros(at // 2, dtype=np.float32)))
        self._rows[at] = point.row
        self._scales[at] = point.scale
        self._signs.add(point.signs[np.newaxis, :])
        self._count = at + 1

    def nearest(self, point: Point, count: int, least: float) -> list[tuple[int, float]]:
        """The `count` nearest of cosine `least` or more, as (place, cosine): nearest first, of equals the older first."""
        if not self._count:
            return []
        _, found = self._signs.search(point.signs[np.newaxis, :], min(SHORT_LIST, self._count))
        places = np.sort(found[0])
        cosines = (self._rows.take(places, axis=0).astype(np.float32) @ point.vector) * self._scales.take(places)
        near = np.flatnonzero(cosines >= least)
        if not near.size:
            return []
        order = near[np.argsort(-cosines[near], kind="stable")[:count]]
        return list(zip(places[order].tolist(), cosines[order].tolist(), strict=True))
