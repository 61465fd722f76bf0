"""A key's limits hold in every minute, are divided among its users, and pauses are kept."""

import random

import pytest

from services.producer.limits import Limits


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_without_limits_nobody_waits() -> None:
    limits = Limits(clock=Clock())
    for _ in range(1000):
        limits.take(10_000)
        assert limits.wait(10_000) == 0


@pytest.mark.parametrize("seed", range(5))
def test_no_minute_has_more_requests_or_tokens_than_allowed(seed: int) -> None:
    clock, rng = Clock(), random.Random(seed)  # noqa: S311 (a fixed order, no secret)
    limits = Limits(30, 20_000, clock=clock)
    made: list[tuple[float, int]] = []
    for _ in range(300):
        tokens = rng.randrange(100, 2500)
        if wait := limits.wait(tokens):
            clock.now += wait
        assert limits.wait(tokens) == pytest.approx(0, abs=1e-6)
        limits.take(tokens)
        made.append((clock.now, tokens))
        clock.now += rng.random()
    for moment, _ in made:
        within = [tokens for at, tokens in made if moment <= at < moment + 60 - 1e-6]
        assert len(within) <= 30
        assert sum(within) <= 20_000
    assert len(made) / (made[-1][0] - made[0][0]) > 0.2  # and it does not dawdle


def test_what_a_call_took_counts_once_it_is_known() -> None:
    limits = Limits(tokens=1000, clock=Clock())
    request = limits.take(900)
    assert limits.wait(500) > 0
    request.tokens = 100
    assert limits.wait(500) == 0


def test_a_call_that_is_larger_than_the_limit_waits_for_all_of_it_and_goes() -> None:
    clock = Clock()
    limits = Limits(tokens=1000, clock=clock)
    limits.take(10)
    assert limits.wait(5000) == pytest.approx(60)
    clock.now += 60
    assert limits.wait(5000) == 0


@pytest.mark.parametrize(("limit", "sharers"), [(30, 3), (5, 2), (1, 3)])
def test_all_producers_of_a_key_together_keep_its_limit(limit: int, sharers: int) -> None:
    clock = Clock()
    parts = [Limits(limit, clock=clock) for _ in range(sharers)]
    for part in parts:
        part.sharers = sharers
    made: list[float] = []
    while clock.now < 1000 + 600:
        for part in parts:
            if not part.wait(1):
                part.take(1)
                made.append(clock.now)
        clock.now += 0.5
    for moment in made:
        assert sum(moment <= at < moment + 60 for at in made) <= max(limit, sharers)
    assert len(made) >= limit * 10 * 0.8


def test_a_pause_holds_and_a_shorter_one_does_not_end_it() -> None:
    clock = Clock()
    limits = Limits(clock=clock)
    limits.pause(10)
    limits.pause(1)
    assert limits.paused == limits.wait(1) == 10
    clock.now += 10
    assert limits.paused == limits.wait(1) == 0


def test_no_pause_is_longer_than_an_hour() -> None:
    limits = Limits(clock=Clock())
    limits.pause(1e9)
    assert limits.paused == 3600
