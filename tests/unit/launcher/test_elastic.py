"""How many producers the runs get."""

import pytest

from services.launcher.elastic import MAX_PRODUCERS, Demand, by_default, cut, wanted

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


def test_what_runs_get_is_bounded_and_no_provider_is_left_out() -> None:
    counts = wanted(BASE, [Demand(("random",), 99), Demand(("local",), 99), Demand(("openai",), 2)])

    started = cut(counts, BASE, 20)

    assert sum(started.values()) == 20
    assert started["openai"] == 2
    assert abs(started["random"] - started["local"]) <= 1
    assert cut(counts, BASE, 1) == {"random": 3, "local": 1, "openai": 1}  # the base, and one of each that is wanted
    assert cut({"random": 5}, BASE, 20) == {"random": 5}


def test_what_the_user_keeps_ready_is_not_cut() -> None:
    base = Demand(("random",), 30)

    assert cut(wanted(base, [Demand(("random",), 99)]), base, 8) == {"random": 30}


def test_the_default_grows_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, producers in ((1, 8), (4, 16), (64, MAX_PRODUCERS)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert by_default() == producers
