"""Vectors made ready to be searched and compared."""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS: Final = 127.0


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
    signs = signs_of(vectors)
    rows = np.rint(vectors * (_STEPS / (np.abs(vectors).max(axis=1, keepdims=True, initial=0.0) + 1e-9)))
    scales = 1 / (np.sqrt((rows * rows).sum(axis=1)) + 1e-9)  # sums of whole numbers below 2^24 are exact in any order
    return [Point(*parts) for parts in zip(vectors, signs, rows, scales, strict=True)]


def signs_of(vectors: "NDArray[np.float32] | NDArray[np.int8]") -> "NDArray[np.uint8]":
    """The signs of each row."""
    return np.packbits(vectors > 0, axis=1)
