"""Calls go where new attributes are, for what they cost."""

from itertools import pairwise

import pytest

from services.orchestrator.steering import Offer
from tests.unit.steering.playing import ALL, SIZE, Play, shares, steering

EQUAL = {"a/m": 1.0, "b/m": 1.0, "c/m": 1.0, "d/m": 1.0}


def test_equal_routes_take_turns() -> None:
    play = Play(steering(), EQUAL)
    for _ in range(80):
        play.call(dict.fromkeys(EQUAL, 10))
    assert all(0.2 <= shares(play.routes, route) <= 0.3 for route in EQUAL)


@pytest.mark.parametrize("objective", ["dollars", "balanced", "seconds"])
def test_a_route_that_repeats_itself_loses_its_share_and_is_tried_again(objective: str) -> None:
    """80 % of its share within ten calls; then a call now and then, and its share back once it has something new."""
    play = Play(steering(objective=objective), EQUAL)
    for _ in range(40):
        play.call(dict.fromkeys(EQUAL, 12))
    before = shares(play.routes, "a/m")
    for _ in range(10):
        play.call({**dict.fromkeys(EQUAL, 12), "a/m": 0})
    for _ in range(60):
        play.call({**dict.fromkeys(EQUAL, 12), "a/m": 0})
    assert shares(play.routes[50:], "a/m") <= 0.2 * before
    assert "a/m" in play.routes[50:]
    for _ in range(60):
        play.call(dict.fromkeys(EQUAL, 12))
    assert shares(play.routes[-20:], "a/m") >= 0.5 * before


def test_cheap_routes_go_first_when_dollars_count() -> None:
    prices = {"a/dear": 4.0, "b/cheap": 0.3}
    play = Play(steering(objective="dollars"), prices)
    for _ in range(30):
        play.call(dict.fromkeys(prices, 10))
    assert shares(play.routes, "b/cheap") > 0.9


def test_prices_do_not_count_when_seconds_do() -> None:
    prices = {"a/dear": 4.0, "b/cheap": 0.3}
    play = Play(steering(objective="seconds"), prices)
    for _ in range(40):
        play.call(dict.fromkeys(prices, 10))
    assert 0.3 < shares(play.routes, "a/dear") < 0.6


def test_what_is_free_is_not_infinitely_better() -> None:
    """A local model that brings next to nothing does not keep the others from being asked."""
    prices = {"a/vendor": 0.01, "local/tiny": 0.0}
    play = Play(steering(objective="balanced"), prices)
    for _ in range(40):
        play.call({"a/vendor": 15, "local/tiny": 1})
    assert shares(play.routes, "a/vendor") > 0.7


def test_a_call_waits_for_a_far_cheaper_route_when_dollars_count() -> None:
    under_test = steering(objective="dollars")
    play = Play(under_test, {"a/dear": 4.0, "b/cheap": 0.3})
    for _ in range(12):
        play.call({"a/dear": 10, "b/cheap": 10})
    busy = [Offer("a/dear", 4.0), Offer("b/cheap", 0.3, free=False)]
    assert (under_test.choose(busy) or busy[1]).route == "a/dear"  # nothing of ours is under way there: it may never be free
    under_test.handed_out(play.made[-1])
    assert under_test.choose(busy) is None


def test_without_allocation_the_route_with_the_fewest_calls_goes_next() -> None:
    play = Play(steering(ALL - {"allocation"}), {"a/dear": 4.0, "b/cheap": 0.3})
    for _ in range(10):
        play.call({"a/dear": 0, "b/cheap": SIZE})
    assert all(one != other for one, other in pairwise(play.routes))


def test_a_route_that_strays_from_the_topic_loses_share() -> None:
    under_test = steering()
    play = Play(under_test, {"a/m": 1.0, "b/m": 1.0})
    for _ in range(20):
        play.call({"a/m": 10, "b/m": 10})
    of_a = [index for index, route in enumerate(under_test.on_topic._routes) if route == "a/m"]  # noqa: SLF001 (whose they are)
    under_test.on_topic.judged(on=[], off=of_a[:20])
    later = len(play.routes)
    for _ in range(30):
        play.call({"a/m": 10, "b/m": 10})
    assert shares(play.routes[later:], "a/m") < 0.15
