"""Search by the signs of vectors alone: how many differ tells well enough which vectors deserve a closer look."""

from typing import TYPE_CHECKING, Final

import faiss
import numpy as np
from faiss.contrib.ivf_tools import add_preassigned, search_preassigned

from services.orchestrator.dedupe.points import Point, signs_of
from services.orchestrator.dedupe.vectors import SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS: Final = 256
_SEARCHED: Final = 32
"""Cells that are searched, the nearest to what is sought: of 100,000 vectors an eighth, with 998 of 1,000 nearest ones."""
_SAMPLE: Final = 8_192
"""Vectors that the cells are made from."""
_ROUNDS: Final = 5
"""Of k-means; more of them find no more neighbours."""
_AT_ONCE: Final = 8_192
"""Vectors that are put into cells together: 8 MB as numbers."""


class AllSigns:
    """Compares all signs: 150 µs at 100,000 vectors."""

    def __init__(self) -> None:
        self._index: Final = faiss.IndexBinaryFlat(SIZE)
        # Counting distances finds the same, the older of equals first, in two thirds of the time.
        self._index.use_heap = False  # type: ignore[attr-defined]  # its stubs lack what SWIG adds

    def add(self, point: Point) -> None:
        """Takes the next vector."""
        self._index.add(point.signs[np.newaxis, :])

    def nearest(self, point: Point, count: int) -> "NDArray[np.int64]":
        """Places of the `count` vectors with the fewest other signs, or of all if there are no more."""
        _, found = self._index.search(point.signs[np.newaxis, :], min(count, self._index.ntotal))
        return np.asarray(found[0], dtype=np.int64)


class SignsInCells:
    """Compares the signs in the nearest cells, of centres that k-means finds: an inverted file (Sivic and Zisserman, 2003).

    The centres are those of the vectors it begins with, so what is found depends on the vectors and their order alone.
    """

    def __init__(self, rows: "NDArray[np.int8]", scales: "NDArray[np.float32]") -> None:
        # By lot, from a fixed seed: each eighth one may be of one kind, where models answer in rounds.
        places = np.sort(np.random.default_rng(1).permutation(len(rows))[:_SAMPLE])
        sample = rows[places] * scales[places, np.newaxis]
        kmeans = faiss.Kmeans(SIZE, _CELLS, niter=_ROUNDS, seed=1, spherical=True, min_points_per_centroid=1)
        kmeans.train(sample)
        self._centres: Final = np.asarray(kmeans.centroids, dtype=np.float32)
        self._index: Final = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(SIZE), SIZE, _CELLS)
        self._index.nprobe = _SEARCHED
        self._index.is_trained = True
        self._none: Final = np.zeros((1, _SEARCHED), dtype=np.int32)
        self._last: tuple[Point | None, NDArray[np.float32]] = (None, np.empty(0, dtype=np.float32))
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            self._put(signs_of(some), some.astype(np.float32) @ self._centres.T)

    def add(self, point: Point) -> None:
        """Takes the next vector."""
        self._put(point.signs[np.newaxis, :], self._likeness(point)[np.newaxis, :])

    def nearest(self, point: Point, count: int) -> "NDArray[np.int64]":
        """Places of the `count` vectors in the searched cells with the fewest other signs, or of all that are there."""
        cells = np.argpartition(-self._likeness(point), _SEARCHED)[np.newaxis, :_SEARCHED]
        _, found = search_preassigned(self._index, point.signs[np.newaxis, :], count, cells, self._none)  # type: ignore[no-untyped-call]  # it has no stubs
        return np.asarray(found[found >= 0], dtype=np.int64)

    def _put(self, signs: "NDArray[np.uint8]", likeness: "NDArray[np.float32]") -> None:
        """Takes the next vectors, each into the cell whose centre it is most like."""
        add_preassigned(self._index, signs, likeness.argmax(axis=1))  # type: ignore[no-untyped-call]  # it has no stubs

    def _likeness(self, point: Point) -> "NDArray[np.float32]":
        """Of the point to each centre; that of the last one is kept, since what was just sought is added next."""
        if self._last[0] is not point:
            self._last = point, self._centres @ point.vector
        return self._last[1]
