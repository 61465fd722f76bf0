"""What the operator allows holds whatever users ask for, to the last picodollar, and across a restart."""

import random

import pytest

from services.orchestrator.ceilings import MAX_DAYS, Ceilings, Ledger, day_of
from services.orchestrator.prices import PICO
from shared.messages import RunSpec
from shared.service import load

DAY, NEXT_DAY = "2026-11-29", "2026-11-30"

REACHED = "the day's ceiling of $2.5 (MAX_USD_PER_DAY) is reached; it goes on after midnight UTC"
SET_ASIDE = "the day's ceiling of $2.5 (MAX_USD_PER_DAY) is set aside for the calls under way; it goes on with what they leave"


def spec(**wishes: object) -> RunSpec:
    return RunSpec(topic="Paris attractions", providers=("openai",), **wishes)  # type: ignore[arg-type]  # fields by name


def ledger() -> Ledger:
    return Ledger(Ceilings(max_usd_per_day=2.5))


# ---- what a run may be -------------------------------------------------------------------------------------------


def test_without_ceilings_a_run_stays_as_it_was_asked_for() -> None:
    ceilings = Ceilings()
    assert ceilings.bounded(spec()) == spec()
    assert ceilings.problem(spec(producers=99, max_usd=1_000_000), [("openai", "new-model")]) == ""
    assert ceilings.crowded(31) == ""
    assert Ledger(ceilings).short(10**9 * PICO, DAY) == ""


def test_a_run_that_names_no_dollars_has_the_ceiling_as_its_limit() -> None:
    ceilings = Ceilings(max_usd_per_run=5)
    assert ceilings.bounded(spec()).max_usd == 5
    assert ceilings.bounded(spec(max_usd=0.5)).max_usd == 0.5
    assert ceilings.bounded(spec(max_items=7)) == spec(max_items=7, max_usd=5)


def test_a_run_that_asks_for_more_is_refused_with_the_name_of_the_setting() -> None:
    ceilings = Ceilings(max_usd_per_run=5, max_producers_per_run=8, max_runs=2)
    assert ceilings.problem(spec(max_usd=5, producers=8)) == ""
    assert ceilings.problem(spec(max_usd=5.01)) == "max_usd is $5.01; a run may cost $5 at most (MAX_USD_PER_RUN)"
    assert ceilings.problem(spec(producers=9)) == (
        "9 producers are asked for; a run may have 8 at most (MAX_PRODUCERS_PER_RUN)"
    )
    assert ceilings.crowded(1) == ""
    assert ceilings.crowded(2) == "2 runs are active, which is the most (MAX_RUNS); stop one first"


@pytest.mark.parametrize(
    ("ceilings", "setting"),
    [(Ceilings(max_usd_per_run=5), "MAX_USD_PER_RUN"), (Ceilings(max_usd_per_day=5), "MAX_USD_PER_DAY")],
)
def test_a_ceiling_in_dollars_refuses_models_without_a_price(ceilings: Ceilings, setting: str) -> None:
    line = '"openai/new-model" = { input = 0.00, output = 0.00 }  # dollars per million tokens, under [models]'
    found = ceilings.problem(spec(), [("openai", "new-model")])
    assert found == f"{setting} needs the price of every model; add to the price table: {line}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_USD_PER_RUN", "0"),
        ("MAX_USD_PER_RUN", "nan"),
        ("MAX_USD_PER_DAY", "-1"),
        ("MAX_USD_PER_DAY", "nan"),
        ("MAX_USD_PER_DAY", "inf"),
        ("MAX_USD_PER_DAY", "much"),
        ("MAX_RUNS", "0"),
        ("MAX_PRODUCERS_PER_RUN", "100"),
    ],
)
def test_a_ceiling_that_is_none_ends_the_start_with_a_line(name: str, value: str) -> None:
    assert load(Ceilings, {"MAX_USD_PER_DAY": "2.5", "MAX_RUNS": "4"}) == Ceilings(max_usd_per_day=2.5, max_runs=4)
    with pytest.raises(SystemExit, match="A setting is wrong") as refused:
        load(Ceilings, {name: value})
    assert name in str(refused.value).upper()


# ---- what a day may cost -----------------------------------------------------------------------------------------


def test_a_day_ends_with_its_ceiling_to_the_last_picodollar() -> None:
    found = ledger()
    found.spent(DAY, 2 * PICO)
    assert found.short(PICO // 2, DAY) == ""
    assert found.short(PICO // 2 + 1, DAY) == REACHED
    found.spent(DAY, PICO // 2)
    assert found.of(DAY) == 5 * PICO // 2
    assert found.short(1, DAY) == REACHED
    assert found.short(1, NEXT_DAY) == ""


def test_calls_under_way_count_at_their_worst_until_they_end() -> None:
    found = ledger()
    found.hold("r1-0", 2 * PICO)
    found.hold("r1-0", 2 * PICO)
    assert found.reserved == 2 * PICO
    assert found.short(PICO, DAY) == SET_ASIDE
    found.spent(DAY, PICO, "r1-0")
    assert (found.reserved, found.of(DAY)) == (0, PICO)
    assert found.short(3 * PICO // 2, DAY) == ""
    found.hold("r2-0", 3 * PICO // 2)
    found.release("r2-0")
    found.release("r2-0")
    assert (found.reserved, found.of(DAY)) == (0, PICO)


def test_a_call_under_way_at_midnight_counts_with_the_new_day() -> None:
    found = ledger()
    found.spent(DAY, 2 * PICO)
    found.hold("r1-0", PICO // 2)
    assert found.short(2 * PICO + 1, NEXT_DAY) == SET_ASIDE
    assert found.short(2 * PICO, NEXT_DAY) == ""
    found.spent(NEXT_DAY, PICO // 2, "r1-0")
    assert (found.of(DAY), found.of(NEXT_DAY)) == (2 * PICO, PICO // 2)


def test_free_calls_go_on_and_a_call_above_the_ceiling_does_not_wait_for_midnight() -> None:
    found = ledger()
    found.spent(DAY, 5 * PICO // 2)
    assert found.short(0, DAY) == ""
    assert found.short(3 * PICO, DAY) == (
        "another call may cost $3, which is more than the day's ceiling of $2.5 (MAX_USD_PER_DAY)"
    )


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_calls_of_many_runs_passes_a_days_ceiling(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test's dice
    found, days, calls, made = ledger(), [DAY, NEXT_DAY], dict[str, int](), 0
    for number in range(2000):
        day = days[number >= 1000]
        task, worst = f"r{number % 7}-{number}", chance.randrange(PICO // 20)
        if not found.short(worst, day):
            found.hold(task, worst)
            calls[task] = worst
            made += 1
        while calls and chance.random() < 0.6:
            ended = chance.choice(sorted(calls))
            most = calls.pop(ended)
            if chance.random() < 0.1:
                found.release(ended)
            else:
                found.spent(day, chance.randint(0, most), ended)
        assert found.of(day) + found.reserved <= 5 * PICO // 2
        assert found.reserved == sum(calls.values())
    assert made > 100


def test_a_replay_in_any_order_gives_the_same_ledger() -> None:
    chance = random.Random(7)  # noqa: S311  # a test's dice
    entries = [(f"2026-11-{chance.randint(1, 30):02}T12:00:00.000+00:00", chance.randrange(PICO)) for _ in range(500)]
    live, replayed = ledger(), ledger()
    for at, cost in entries:
        live.spent(day_of(at), cost)
    for at, cost in sorted(entries, key=lambda entry: entry[1]):
        replayed.spent(day_of(at), cost)
    days = [f"2026-11-{number:02}" for number in range(1, 31)]
    assert [live.of(day) for day in days] == [replayed.of(day) for day in days]
    assert sum(live.of(day) for day in days) == sum(cost for _, cost in entries)


def test_only_the_latest_days_are_kept() -> None:
    found = ledger()
    for number in range(MAX_DAYS + 5):
        found.spent(f"{number:04}", 1)
    assert [found.of(f"{number:04}") for number in (4, 5, MAX_DAYS + 4)] == [0, 1, 1]


def test_a_day_is_one_of_utc() -> None:
    assert day_of("2026-11-29T23:59:59.999+00:00") == "2026-11-29"
    assert day_of("2026-11-30T00:30:00+01:00") == "2026-11-29"
    assert day_of("2026-11-29T23:30:00-01:00") == "2026-11-30"
    assert [day_of(odd) for odd in ("", "yesterday", "0001-01-01T00:00:00+14:00")] == ["", "", ""]
