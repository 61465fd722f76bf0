"""The pairs made by hand: the figure of the whole, and what `why` and `offer` say of each."""

from collections import Counter
from functools import cache

import pytest

from services.orchestrator.dedupe import Deduper
from tests.bench.dedupe.labelled import own_pairs

PAIRS = own_pairs()


@cache
def judge() -> Deduper:
    return Deduper()


def test_there_are_enough_pairs_of_every_kind() -> None:
    kinds = Counter(pair.kind for pair in PAIRS)

    assert sum(kinds.values()) >= 200
    assert min(kinds.values()) >= 8


def test_98_in_100_are_right() -> None:
    wrong = [pair for pair in PAIRS if judge().why(pair.a, pair.b).dup != pair.dup]

    assert len(wrong) <= len(PAIRS) * 0.02, wrong


@pytest.mark.parametrize("kind", sorted({pair.kind for pair in PAIRS}))
def test_an_offered_pair_is_decided_as_why_explains_it(kind: str) -> None:
    """What finds the candidates among many must not miss one that the comparison of two would merge."""
    for pair in PAIRS:
        if pair.kind == kind:
            why = judge().why(pair.a, pair.b)
            verdict = Deduper().offer([pair.a, pair.b])[1]

            assert (verdict.tier, pair) == (why.tier, pair)


@pytest.mark.parametrize("kind", sorted({pair.kind for pair in PAIRS}))
def test_why_says_the_same_both_ways_round(kind: str) -> None:
    for pair in PAIRS:
        if pair.kind == kind:
            forth, back = judge().why(pair.a, pair.b), judge().why(pair.b, pair.a)

            assert (forth.tier, forth.veto, pair) == (back.tier, back.veto, pair)
