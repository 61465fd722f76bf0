"""The search for neighbours in meaning, before and after it goes on in cells."""

from itertools import islice

import numpy as np
import pytest

from services.orchestrator.dedupe import neighbours, signs
from services.orchestrator.dedupe.measure import made_up
from services.orchestrator.dedupe.neighbours import Neighbours
from services.orchestrator.dedupe.points import Point, points
from services.orchestrator.dedupe.vectors import vectors

QUERIES = 200
LEAST = 0.68


def filled(some: list[Point]) -> Neighbours:
    found = Neighbours()
    for point in some:
        found.add(point)
    return found


@pytest.fixture(scope="module")
def every() -> list[Point]:
    return points(vectors().of(list(islice(made_up(12_000 + QUERIES), 12_000 + QUERIES))))


@pytest.mark.parametrize("sample", [8_192, 2_500])
def test_cells_find_nearly_all_nearest_neighbours(every: list[Point], monkeypatch: pytest.MonkeyPatch, sample: int) -> None:
    """Also where each fourth text is of one kind, and one in four is looked at to make the cells."""
    monkeypatch.setattr(neighbours, "_CELLS_AT", (10_000,))
    monkeypatch.setattr(signs, "_SAMPLE", sample)
    stored, sought = every[:-QUERIES], every[-QUERIES:]
    in_cells = filled(stored)
    rows = np.array([point.vector for point in stored])
    with_near = missed = 0
    for point in sought:
        best = float((rows @ point.vector).max())
        if best >= LEAST + 0.01:
            with_near += 1
            found = in_cells.nearest(point, 1, LEAST)
            missed += not found or found[0][1] < best - 0.01
    assert with_near > QUERIES / 2
    assert missed / with_near <= 0.02


def test_the_same_vectors_in_the_same_order_find_the_same(every: list[Point]) -> None:
    one, other = filled(every[:-QUERIES]), filled(every[:-QUERIES])
    assert [one.nearest(p, 3, LEAST) for p in every[-QUERIES:]] == [other.nearest(p, 3, LEAST) for p in every[-QUERIES:]]


def test_what_is_added_after_the_cut_is_found(every: list[Point], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_CELLS_AT", (512, 1024))
    found = Neighbours()
    for place, point in enumerate(every[:2_000]):
        found.add(point)
        (nearest,) = found.nearest(point, 1, 0.999)
        assert nearest[0] <= place
