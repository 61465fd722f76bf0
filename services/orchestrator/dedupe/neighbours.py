"""The accepted attributes nearest in meaning to a text, found among all of them."""

from typing import TYPE_CHECKING, Final

import faiss
import numpy as np

from services.orchestrator.dedupe.points import Point
from services.orchestrator.dedupe.signs import AllSigns, SignsInCells
from services.orchestrator.dedupe.vectors import SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT_LIST: Final = 64
"""How many are looked at closely. With 64, the nearest of 100,000 is among them 99 times in 100 (measured by the benchmark)."""
_CELLS_AT: Final = (8_192, 65_536, 524_288)
"""Vectors at which the search goes on in cells, made anew each time there are eight times as many; it takes .1 to 2 s."""
_FIRST_ROWS: Final = 1024


class Neighbours:
    """Vectors in the order they were added: 40 bytes of signs and place to search, 260 bytes to compare."""

    def __init__(self) -> None:
        faiss.omp_set_num_threads(1)
        self._signs: AllSigns | SignsInCells = AllSigns()
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
        self._signs.add(point)
        self._count = at + 1
        if self._count in _CELLS_AT:
            self._signs = SignsInCells(self._rows[: self._count], self._scales[: self._count])

    def nearest(self, point: Point, count: int, least: float) -> list[tuple[int, float]]:
        """The `count` nearest of cosine `least` or more, as (place, cosine): nearest first, of equals the older first."""
        if not self._count:
            return []
        places = np.sort(self._signs.nearest(point, SHORT_LIST))
        cosines = (self._rows.take(places, axis=0).astype(np.float32) @ point.vector) * self._scales.take(places)
        near = np.flatnonzero(cosines >= least)
        if not near.size:
            return []
        order = near[np.argsort(-cosines[near], kind="stable")[:count]]
        return list(zip(places[order].tolist(), cosines[order].tolist(), strict=True))
