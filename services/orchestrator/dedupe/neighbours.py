"""The accepted attributes nearest in meaning to a text, found among all of them."""

from typing import TYPE_CHECKING, Final

import faiss
import numpy as np

from services.orchestrator.dedupe.vectors import SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT_LIST: Final = 64
"""How many are looked at closely. With 64, the nearest of 100,000 is among them 99 times in 100 (measured by the benchmark)."""
_STEPS: Final = 127.0
_FIRST_ROWS: Final = 1024


class Neighbours:
    """Vectors in the order they were added: 32 bytes of signs to search, 260 bytes to compare.

    All signs are compared (about 40 µs at 100,000), so the answer depends on the vectors alone, and not on an order of search.
    """

    def __init__(self) -> None:
        faiss.omp_set_num_threads(1)
        self._signs: Final = faiss.IndexBinaryFlat(SIZE)
        self._rows: NDArray[np.int8] = np.zeros((_FIRST_ROWS, SIZE), dtype=np.int8)
        self._scales: NDArray[np.float32] = np.zeros(_FIRST_ROWS, dtype=np.float32)

    def __len__(self) -> int:
        return int(self._signs.ntotal)

    def add(self, vector: "NDArray[np.float32]") -> None:
        """Takes the next vector."""
        at = len(self)
        if at == len(self._rows):
            self._rows = np.concatenate((self._rows, np.zeros((at // 2, SIZE), dtype=np.int8)))
            self._scales = np.concatenate((self._scales, np.zeros(at // 2, dtype=np.float32)))
        row = np.rint(vector * (_STEPS / (np.abs(vector).max() + 1e-9)))
        self._rows[at] = row
        self._scales[at] = 1 / (np.sqrt(np.dot(row, row)) + 1e-9)
        self._signs.add(_sign_bits(vector))

    def nearest(self, vector: "NDArray[np.float32]", count: int, least: float) -> list[tuple[int, float]]:
        """The `count` nearest of cosine `least` or more, as (place, cosine): nearest first, of equals the older first."""
        if not len(self):
            return []
        _, found = self._signs.search(_sign_bits(vector), min(SHORT_LIST, len(self)))
        places = np.sort(found[0])
        cosines = (self._rows[places].astype(np.float32) @ vector) * self._scales[places]
        order = np.argsort(-cosines, kind="stable")[:count]
        return [(int(places[at]), float(cosines[at])) for at in order if cosines[at] >= least]


def _sign_bits(vector: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    return np.packbits(vector > 0)[np.newaxis, :]
