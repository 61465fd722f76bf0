"""What a short text is about, as a vector: the mean of the vectors of its word pieces, by wordllama, on one thread."""

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE: Final = 256
_REMEMBERED: Final = 4096


class Vectors:
    """The model, read once from inside its wheel (16 MB)."""

    def __init__(self) -> None:
        # Only the two data files of the package are wanted; importing it would set up logging for the whole process.
        found = find_spec("wordllama")
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError("the semantic tier needs the package wordllama", name="wordllama")
        folder = Path(found.submodule_search_locations[0])
        self._tokenizer: Final = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        weights = load_file(folder / "weights" / "l2_supercat_256.safetensors")
        self._pieces: Final = np.ascontiguousarray(weights["embedding.weight"], dtype=np.float32)
        self._remembered: Final = lru_cache(maxsize=_REMEMBERED)(lambda text: self.of([text])[0])

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
