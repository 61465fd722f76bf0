"""What a short text is about, as a vector: the mean of the vectors of its word pieces, by wordllama, on one thread."""

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import wordllama  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE: Final = 256
_REMEMBERED: Final = 4096


class Vectors:
    """The model, read once from inside its wheel (16 MB)."""

    def __init__(self) -> None:
        # The library's own default looks for the weights in a cache it would download to; they lie beside its code.
        model: Any = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
        self._tokenizer: Final = model.tokenizer
        self._tokenizer.no_padding()
        self._remembered: Final = lru_cache(maxsize=_REMEMBERED)(lambda text: self.of([text])[0])
        self._pieces: Final = np.ascontiguousarray(model.embedding, dtype=np.float32)

    def of(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """A row of length 1 for each text. The row of a text does not depend on its company, to the last bit."""
        rows = np.zeros((len(texts), SIZE), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            # One text at a time: a batch would wake the tokenizer's threads, which costs more than short texts do.
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
            if ids:
                total = self._pieces[ids].sum(axis=0)
                row[:] = total / (np.sqrt(np.dot(total, total)) + 1e-9)
        return rows

    def likeness(self, a: str, b: str) -> float:
        """The cosine of the vectors of two texts, -1 to 1."""
        return float(self._remembered(a) @ self._remembered(b))


@cache
def vectors() -> Vectors:
    """The one model of this process."""
    return Vectors()
