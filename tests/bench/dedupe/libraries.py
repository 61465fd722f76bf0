"""What other libraries decide, each given the threshold that suits it best."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process, utils

from services.orchestrator.dedupe.minilm import minilm as minilm_model
from services.orchestrator.dedupe.vectors import vectors
from tests.bench.dedupe.labelled import LabelledList
from tests.bench.dedupe.scoring import Score

Likeness = Callable[[Sequence[str]], NDArray[Any]]
"""Texts to the matrix of how alike each two are, 0 to 1."""

MOST_REJECTED = 0.01
THRESHOLDS = [round(0.40 + step * 0.01, 2) for step in range(61)]


def ratio(texts: Sequence[str]) -> NDArray[Any]:
    """rapidfuzz: share of letters kept."""
    return np.asarray(process.cdist(texts, texts, scorer=fuzz.ratio, processor=utils.default_process)) / 100


def token_set(texts: Sequence[str]) -> NDArray[Any]:
    """rapidfuzz: the same of the words, as sets."""
    return np.asarray(process.cdist(texts, texts, scorer=fuzz.token_set_ratio, processor=utils.default_process)) / 100


def wordllama(texts: Sequence[str]) -> NDArray[Any]:
    """wordllama: cosine of its vectors, as its own deduplication and SemHash compare them."""
    rows = vectors().of(texts)
    alike: NDArray[Any] = rows @ rows.T
    return alike


def minilm(texts: Sequence[str]) -> NDArray[Any]:
    """all-MiniLM-L6-v2: cosine of its vectors."""
    rows = np.stack([minilm_model().vector(text) for text in texts])
    alike: NDArray[Any] = rows @ rows.T
    return alike


def minhash(texts: Sequence[str]) -> NDArray[Any]:
    """datasketch: estimated Jaccard index of three-letter shingles, 128 permutations."""
    minhash_of = import_module("datasketch").MinHash
    signatures = []
    for text in texts:
        plain = f"  {text.lower()} "
        signature = minhash_of(num_perm=128)
        signature.update_batch([plain[at : at + 3].encode() for at in range(len(plain) - 2)])
        signatures.append(signature.hashvalues)
    rows = np.stack(signatures)
    return np.stack([(rows == row).mean(axis=1) for row in rows])


LIBRARIES: dict[str, Likeness] = {
    "rapidfuzz ratio": ratio,
    "rapidfuzz token_set": token_set,
    "datasketch MinHash": minhash,
    "wordllama": wordllama,
    "MiniLM": minilm,
}


def decide(alike: NDArray[Any], threshold: float) -> list[bool]:
    """Item by item: a duplicate when it is at least as near as `threshold` to one accepted before."""
    accepted: list[int] = []
    dup = []
    for at in range(len(alike)):
        repeats = bool(accepted) and bool(alike[at, accepted].max() >= threshold)
        dup.append(repeats)
        if not repeats:
            accepted.append(at)
    return dup


def best(lists: Sequence[LabelledList], likeness: Likeness) -> tuple[float, Score]:
    """The threshold of the best F1 among those that reject at most 1 % of new items, and its score."""
    matrices = [likeness(one.items) for one in lists]
    found: tuple[float, Score] | None = None
    for threshold in (*THRESHOLDS, 1.01):
        score = Score()
        for one, alike in zip(lists, matrices, strict=True):
            score.count(one, decide(alike, threshold))
        if score.rejected <= MOST_REJECTED and (found is None or score.f1 > found[1].f1):
            found = threshold, score
    assert found is not None  # at 1.01 nothing is a duplicate
    return found


def semhash(lists: Sequence[LabelledList]) -> tuple[float, Score]:
    """SemHash itself, with wordllama's vectors, whole lists at once, at its best threshold."""
    library = import_module("semhash").SemHash

    class Encoder:
        def encode(self, inputs: Sequence[str], **_: object) -> NDArray[Any]:
            return vectors().of(list(inputs))

    found: tuple[float, Score] = 1.01, Score()
    for threshold in THRESHOLDS[::4]:
        score = Score()
        for one in lists:
            kept = library.from_records(list(one.items), model=Encoder()).self_deduplicate(threshold=threshold).selected
            left = set(kept)
            dup = []
            for item in one.items:
                dup.append(item not in left)
                left.discard(item)
            score.count(one, dup)
        if score.rejected <= MOST_REJECTED and score.f1 > found[1].f1:
            found = threshold, score
    return found
