"""How many producers the runs get."""

import pytest

from services.launcher.elastic import MAX_PRODUCERS, Demand, wanted

BASE = Demand(("random",), 3)


@pytest.mark.parametrize(
    ("runs", "counts"),
    [
        pytest.param([], {"random": 3}, id="no run: the base"),
        pytest.param([Demand(("random",), 2)], {"random": 3}, id="never fewer than the base"),
        pytest.param([Demand(("random",), 7)], {"random": 7}, id="a run that asks for more"),
        pytest.param([Demand(("random",), 7), Demand(("random",), 5)], {"random": 7}, id="the largest run, not the sum"),
        pytest.param([Demand(("random", "local"), 5)], {"random": 3, "local": 3}, id="shares are rounded up"),
        pytest.param([Demand(("local", "openai"), 1)], {"random": 3, "local": 1, "openai": 1}, id="each provider at least one"),
    ],
)
def test_producers_follow_the_largest_active_run(runs: list[Demand], counts: dict[str, int]) -> None:
    assert wanted(BASE, runs) == counts


def test_a_base_of_none_starts_none() -> None:
    assert wanted(Demand(("local",), 0), []) == {"local": 0}


def test_the_total_is_bounded_and_no_provider_is_left_out() -> None:
    runs = [Demand(("random",), 99), Demand(("local",), 99), Demand(("openai",), 2)]

    counts = wanted(BASE, runs)

    assert sum(counts.values()) == MAX_PRODUCERS
    assert counts["openai"] == 2
    assert abs(counts["random"] - counts["local"]) <= 1
