"""Laws the whole engine obeys, whatever the texts."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.orchestrator.dedupe import CapacityError, Deduper, Tiers
from services.orchestrator.dedupe.word_list import word_list

WORDS = word_list(
    "red white old new stone bridge bridges museum Museum of the Paris Texas Pont Neuf Marie learning learn to "
    "cook cooking World War I II 2 WWII eggplant aubergine puma cougar resturant restaurant Café café C++ "
    "(film) Москва 東京 🍎 not without John F. Kennedy JFK"
)

texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), max_size=12)
beyond_keys = pytest.mark.parametrize("tiers", ["fuzzy", "semantic"])
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@beyond_keys
@few
@given(batch=texts)
def test_a_batch_decides_like_its_items_one_by_one(tiers: Tiers, batch: list[str]) -> None:
    together, alone = Deduper(tiers), Deduper(tiers)

    assert together.offer(batch) == [alone.offer([text])[0] for text in batch]


@beyond_keys
@few
@given(first=texts, second=texts)
def test_a_replay_decides_like_the_original(tiers: Tiers, first: list[str], second: list[str]) -> None:
    original, replayed = Deduper(tiers), Deduper(tiers)
    original.offer(first)
    replayed.restore([original.text(index) for index in range(len(original))])

    assert replayed.offer(second) == original.offer(second)


@beyond_keys
@few
@given(batch=texts)
def test_what_was_offered_before_is_a_duplicate(tiers: Tiers, batch: list[str]) -> None:
    deduper = Deduper(tiers)
    deduper.offer(batch)

    assert all(verdict.of is not None for verdict in deduper.offer(batch))


@beyond_keys
@few
@given(batch=texts)
def test_a_duplicate_names_an_accepted_attribute(tiers: Tiers, batch: list[str]) -> None:
    deduper = Deduper(tiers)
    for text in batch:
        before = len(deduper)
        verdict = deduper.offer([text])[0]

        assert verdict.of is None or (verdict.of < before and verdict.tier and 0 < verdict.score <= 1)
        assert verdict.near is None or (verdict.of is None and verdict.near < before)
        assert bool(verdict.words) == (verdict.of is not None or verdict.near is not None)
        assert len(deduper) == before + (verdict.of is None)


@beyond_keys
def test_a_full_list_is_an_error(tiers: Tiers) -> None:
    deduper = Deduper(tiers, capacity=2)
    deduper.offer(["Louvre", "Pont Neuf", "the Louvre"])

    with pytest.raises(CapacityError):
        deduper.offer(["Sacré-Cœur"])


def test_the_grey_zone_is_kept_and_named() -> None:
    """A near neighbour that nothing decides is accepted, with the attribute it may repeat and how near that is."""
    deduper = Deduper()
    verdict = deduper.offer(["full marathon", "marathon"])[1]

    assert (verdict.of, verdict.near) == (None, 0)
    assert verdict.near_score > 0.8
    assert verdict.words == "one says more: “full”"


@pytest.mark.parametrize("pair", [("the Louvre", "Louvre"), ("eggplant", "aubergine"), ("restaurant", "resturant")])
def test_a_decision_gives_the_reason_that_why_gives(pair: tuple[str, str]) -> None:
    deduper = Deduper()

    assert deduper.offer(pair)[1].words == deduper.why(*pair).words


def test_why_names_the_veto() -> None:
    why = Deduper().why("Route 66", "Route 67")

    assert (why.dup, why.veto) == (False, "numbers differ")
    assert "66" in why.words
