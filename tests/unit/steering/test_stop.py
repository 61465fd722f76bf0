"""A run stops when there is nothing more to find, and says why."""

from itertools import product

from services.orchestrator.steering import Called, Made
from tests.unit.steering.playing import ALL, SIZE, Play, steering

ONE = {"a/m": 0.5}


def test_ten_calls_without_anything_new_end_a_run() -> None:
    play = Play(steering(), ONE)
    for _ in range(5):
        play.to("a/m", 10)
    for calls in range(10):
        assert not play.steering.stop(["a/m"]), calls
        play.to("a/m", 0)
    assert play.steering.stop(["a/m"]) == "the last 10 calls brought nothing new: these models have nothing more to say"


def test_every_route_has_its_say_before_that() -> None:
    """A route that was asked seldom may know what the others do not."""
    prices = {"a/m": 1.0, "b/m": 1.0, "c/dear": 20.0}
    play = Play(steering(objective="dollars"), prices)
    for _ in range(20):
        play.call({"a/m": 12, "b/m": 12, "c/dear": 12})
    while not play.steering.stop(list(prices)):
        play.call(dict.fromkeys(prices, 0))
    barren = play.steering.saturation.barren
    assert barren.total() <= 14
    assert all(barren[route] >= 2 for route in prices)


def test_one_new_attribute_begins_the_count_anew() -> None:
    play = Play(steering(), ONE)
    play.to("a/m", 10)
    for _ in range(9):
        play.to("a/m", 0)
    play.to("a/m", 1)
    play.to("a/m", 0)
    assert not play.steering.stop(["a/m"])


def test_a_share_of_ones_own_ends_it_sooner_with_the_price_of_going_on() -> None:
    play = Play(steering(stop_below=0.1), ONE)
    for _ in range(10):
        play.to("a/m", 10)
    assert not play.steering.stop(["a/m"])
    while not (reason := play.steering.stop(["a/m"])):
        play.to("a/m", 1)
    assert reason.startswith("the last 10 calls asked for 200 attributes and brought ")
    assert "the next one would cost about $" in reason
    assert reason.endswith("(stop_below 10%)")
    assert len(play.made) <= 25


def test_a_route_that_still_brings_something_keeps_the_run_going() -> None:
    prices = {"a/m": 1.0, "b/m": 1.0}
    play = Play(steering(stop_below=0.1), prices)
    for _ in range(60):
        play.call({"a/m": 0, "b/m": 6})
        assert not play.steering.stop(list(prices))


def test_calls_under_way_are_waited_for_when_they_may_be_the_last() -> None:
    under_test = steering()
    play = Play(under_test, ONE)
    play.to("a/m", 10)
    for _ in range(6):
        play.to("a/m", 0)
    assert not under_test.waits()
    for number in range(8):
        under_test.handed_out(Made(f"under way {number}", "a/m"))
    assert under_test.waits()


def test_stopping_can_be_switched_off() -> None:
    play = Play(steering(ALL - {"stop"}), ONE)
    for _ in range(40):
        play.to("a/m", 0)
    assert not play.steering.stop(["a/m"])


def test_what_the_next_attribute_costs() -> None:
    play = Play(steering(), ONE, seconds=3.0)
    for _ in range(10):
        play.to("a/m", 5)
    saturation = play.steering.saturation
    assert saturation.new_share == 5 / SIZE
    assert saturation.usd_per_new == 0.1
    assert saturation.seconds_per_new == 0.6


def test_a_run_goes_on_while_a_part_of_the_topic_is_hardly_tried() -> None:
    """The last calls brought next to nothing, but they were made in one place: what the others promise counts as well."""
    under_test = steering(ALL - {"probes"}, facets=("museums", "parks", "cafés"), stop_below=0.1)
    play = Play(under_test, ONE)
    play.to("a/m", 10)
    for number in range(12):
        under_test.accepted(f"museum {number}", made := Made(f"m{number}", "a/m", "museums"))
        under_test.called(Called(made, SIZE, 0.5, 1.0))
    assert under_test.saturation.below(0.1)
    assert not under_test.stop(["a/m"])
    for number, facet in product(range(5), ("", "parks", "cafés")):
        under_test.accepted(f"{facet} {number}", made := Made(f"{facet}{number}", "a/m", facet))
        under_test.called(Called(made, SIZE, 0.5, 1.0))
    assert under_test.stop(["a/m"]).endswith("(stop_below 10%)")
