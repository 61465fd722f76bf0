"""The world that steering is measured in is what its law says."""

from collections import Counter
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from tests.bench.zipf.world import FACETS, PARTS, Law, World

SMALL = Law(concepts=300, facets=4)

COUNT = 20


def _answers(world: World, model: int = 0, avoid: list[str] | None = None, times: int = 200, **how: bool) -> list[list[str]]:
    rng = np.random.default_rng(5)
    return [world.answer(model, COUNT, "", avoid or [], rng, **how) for _ in range(times)]


@pytest.mark.parametrize("popularity", ["zipf", "lognormal", "mixture"])
def test_an_answer_names_known_concepts_once_and_popular_ones_oftener(popularity: str) -> None:
    world = World(replace(SMALL, popularity=popularity), 1)  # type: ignore[arg-type]  # one of the three
    named = Counter(world.concept(text) for answer in _answers(world) for text in answer)
    assert all(len({world.concept(text) for text in answer}) == COUNT for answer in _answers(world, times=5))
    assert all(world.weights[0][concept] > 0 for concept in named)
    order = np.argsort(-world.weights[0])
    assert sum(named[int(c)] for c in order[:20]) > 4 * sum(named[int(c)] for c in order[80:100])


def test_what_a_call_is_about_to_bring_is_what_it_brings() -> None:
    """To within 5 % of what calls bring in the mean: in a facet, with names to avoid, and some found already."""
    world = World(SMALL, 2)
    popular = [int(c) for c in np.argsort(-world.weights[1])[:60]]
    found, avoid = set(popular[:40]), [world.names[c] for c in popular[20:60]]
    rng = np.random.default_rng(5)
    for facet in ("", FACETS[0]):
        told = world.expected_new(1, COUNT, facet, avoid, found)
        answers = [{world.concept(t) for t in world.answer(1, COUNT, facet, avoid, rng)} for _ in range(300)]
        assert told == pytest.approx(mean(len(answer - found) for answer in answers), rel=0.05)


def test_asking_for_the_tail_flattens_and_only_where_the_law_says_so() -> None:
    listens, deaf = World(replace(SMALL, flattened=0.6), 3), World(SMALL, 3)

    def different(world: World, *, tail: bool) -> int:
        return len({world.concept(text) for answer in _answers(world, times=20, tail=tail) for text in answer})

    assert different(listens, tail=True) > 1.2 * different(listens, tail=False)
    assert different(deaf, tail=True) == different(deaf, tail=False)


def test_a_name_to_avoid_is_obeyed_as_often_as_the_law_says() -> None:
    world = World(replace(SMALL, obedience=0.75), 4)
    top = world.names[int(np.argmax(world.weights[0]))]
    said = mean(any(world.concept(text) == world.concept(top) for text in answer) for answer in _answers(world, avoid=[top]))
    assert said == pytest.approx(0.25, abs=0.08)


def test_models_share_as_much_as_the_law_says() -> None:
    apart, together = World(replace(SMALL, exclusive=1.0), 5), World(SMALL, 5)
    knowing = [np.sum([w > 0 for w in world.weights], axis=0) for world in (apart, together)]
    assert knowing[0].max() == 1
    assert knowing[1].max() == len(SMALL.prices)
    assert apart.findable() == int((knowing[0] > 0).sum()) < together.findable()


def test_an_answer_repeats_itself_in_other_words() -> None:
    world = World(replace(SMALL, repeated=0.3), 6)
    answers = _answers(world, times=50)
    distinct = mean(len({world.concept(text) for text in answer}) for answer in answers)
    assert distinct == pytest.approx(COUNT * 0.7, abs=1)


def test_a_facet_has_parts_that_make_it_up_and_parts_have_none() -> None:
    world = World(SMALL, 7)
    facet, *_ = world.parts("")
    parts = world.parts(facet)
    assert len(parts) == PARTS
    assert not world.parts(parts[0])
    rng = np.random.default_rng(5)
    of_parts = [{world.concept(t) for t in world.answer(0, 300, part, [], rng)} for part in parts]
    assert set().union(*of_parts) == {world.concept(t) for t in world.answer(0, 300, facet, [], rng)}
    assert sum(map(len, of_parts)) == len(set().union(*of_parts))
