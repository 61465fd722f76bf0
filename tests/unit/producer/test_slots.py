"""How many calls at once: more while all goes well, half as many on overload, told or felt."""

import pytest

from services.producer.slots import Slots
from tests.unit.producer.test_limits import Clock


def rounds(slots: Slots, clock: Clock, number: int, first: float, seconds: float | None = None, tokens: int = 0) -> None:
    """So many calls one after the other, each as told."""
    for _ in range(number):
        began = clock.now
        clock.now += seconds if seconds is not None else first
        slots.succeeded(began, first, clock.now - began, tokens)


def test_it_starts_with_all_and_never_has_more() -> None:
    clock = Clock()
    slots = Slots(4, clock)
    rounds(slots, clock, 100, 0.5)
    assert slots.now == 4


def test_overload_halves_once_a_round_trip_and_success_brings_one_back_a_round() -> None:
    clock = Clock()
    slots = Slots(8, clock)
    began = clock.now
    clock.now += 1
    for _ in range(5):
        slots.overloaded(began)  # all of them were under way together
    assert slots.now == 4
    slots.overloaded(clock.now)
    assert slots.now == 2
    rounds(slots, clock, 2, 0.5)
    assert slots.now == 3
    rounds(slots, clock, 2, 0.5)
    assert slots.now == 3
    rounds(slots, clock, 1, 0.5)
    assert slots.now == 4


def test_one_is_the_least() -> None:
    clock = Clock()
    slots = Slots(4, clock)
    for _ in range(9):
        clock.now += 1
        slots.overloaded(clock.now)
    assert slots.now == 1


def test_answers_that_begin_later_and_later_mean_fewer_calls() -> None:
    clock = Clock()
    slots = Slots(8, clock)
    rounds(slots, clock, 20, 0.5)
    rounds(slots, clock, 5, 1.5)
    assert slots.now == 4


def test_answers_that_are_written_slower_mean_fewer_calls() -> None:
    clock = Clock()
    slots = Slots(8, clock)
    rounds(slots, clock, 20, 0.5, 2.5, tokens=100)
    rounds(slots, clock, 5, 0.5, 6.5, tokens=100)
    assert slots.now == 4


@pytest.mark.parametrize("late", [0.9, 0.1])
def test_what_is_usual_or_still_quick_changes_nothing(late: float) -> None:
    clock = Clock()
    slots = Slots(8, clock)
    rounds(slots, clock, 20, late / 1.8)
    rounds(slots, clock, 50, late)
    assert slots.now == 8


def test_a_single_slow_answer_changes_nothing() -> None:
    clock = Clock()
    slots = Slots(8, clock)
    for _ in range(20):
        rounds(slots, clock, 4, 0.5)
        rounds(slots, clock, 1, 20)
    assert slots.now == 8
