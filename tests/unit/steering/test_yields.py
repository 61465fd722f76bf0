"""What a call promises: what like calls brought lately, and for what was never tried, what other first calls brought."""

import pytest

from services.orchestrator.steering.yields import Yields
from tests.unit.steering.playing import SIZE


def _called(yields: Yields, *calls: tuple[str, str, int]) -> Yields:
    for route, facet, new in calls:
        yields.called(route, facet, SIZE, new)
    return yields


def test_what_was_never_tried_is_hoped_to_bring_nothing_but_new_ones() -> None:
    assert Yields(SIZE).of_pair("a/m", "museums") == 1.0


def test_a_route_new_to_a_dry_facet_is_hoped_to_add_what_routes_added_elsewhere() -> None:
    """Models that say the same add nothing where others have been; models that share nothing add as much as ever."""
    dry = [("a/m", "parks", 20), *[("a/m", "parks", 0)] * 6]
    alike = _called(Yields(SIZE), *dry, *[(r, f, n) for f in "xyz" for r, n in (("a/m", 20), ("b/m", 1))])
    apart = _called(Yields(SIZE), *dry, *[(r, f, n) for f in "xyz" for r, n in (("a/m", 20), ("b/m", 19))])
    assert alike.of_pair("b/m", "parks") < 0.15
    assert apart.of_pair("b/m", "parks") > 0.6


def test_what_a_route_brought_in_a_facet_counts_less_once_others_were_there() -> None:
    yields = _called(Yields(SIZE), ("a/m", "museums", 18))
    before = yields.of_pair("a/m", "museums")
    _called(yields, *[("b/m", "museums", 2)] * 4)
    assert yields.of_pair("a/m", "museums") < 0.6 * before
    _called(yields, *[("b/m", "parks", 2)] * 4)
    assert yields.of_pair("a/m", "museums") > 0.1  # calls elsewhere take nothing away here


def test_the_next_calls_go_where_most_is_promised_and_each_takes_from_the_one_after() -> None:
    yields = _called(Yields(SIZE), ("a/m", "museums", 20), ("a/m", "parks", 0))
    best, poor = yields.of_pair("a/m", "museums"), yields.of_pair("a/m", "parks")
    one = yields.of_next(1, ["a/m"], ["museums", "parks"])
    assert yields.of_next(2, ["a/m"], ["museums", "parks"]) == pytest.approx(one * (1 + 0.7) / 2)
    assert yields.of_next(1, ["a/m"], ["parks"]) == pytest.approx(one * poor / best)


def test_promises_are_marked_down_as_far_as_they_were_not_kept() -> None:
    kept = _called(Yields(SIZE), *[(route, "museums", 10) for route in ("a/m", "b/m") * 6])
    broken = _called(Yields(SIZE), *[(route, facet, 1) for facet in "uvwxyz" for route in ("a/m", "b/m")])
    assert kept.of_next(1, ["a/m"], ["museums"]) > 0.8 * kept.of_pair("a/m", "museums")
    assert broken.of_next(1, ["a/m"], ["new"]) < 0.6 * broken.of_pair("a/m", "new")
