"""A run's account as a fold over the log: what is issued is held until it is spent, and a replay has the same sums."""

from typing import Any

import msgspec
import pytest

from services.orchestrator.budget import Cost
from services.orchestrator.gate import lost, returned
from services.orchestrator.prices import pico
from services.orchestrator.run import Decision, Run
from shared import streams
from shared.bus import encode
from shared.messages import Issued, Pair, RunSpec, Spent, Task

WORST = Cost(usd=pico(0.25), tokens=3000)
SPEC = RunSpec(topic="tools", providers=("openai",), max_usd=1, max_calls=10)


def a_run() -> Run:
    return Run("r1", SPEC, "now")


def a_task(number: int, **changes: Any) -> Task:
    task = Task(
        id=f"r1-{number}",
        run="r1",
        provider="openai",
        topic="tools",
        ordinal=number,
        count=5,
        model="gpt-4o-mini",
        reserved_usd=0.25,
        reserved_tokens=3000,
        max_output_tokens=1000,
    )
    return msgspec.structs.replace(task, **changes)


def spent(number: int, **changes: Any) -> Spent:
    made = Spent(
        run="r1", task=f"r1-{number}", outcome="ok", provider="openai", model="gpt-4o-mini", asked=5, report=number + 1
    )
    return msgspec.structs.replace(made, **{"cost": pico(0.01), "tokens": 150, **changes})


def test_what_is_issued_is_held_until_it_is_spent() -> None:
    run = a_run()
    run.issue(a_task(0), 0.0)
    assert (run.budget.reserved, run.budget.calls) == (WORST, 1)
    assert run.spend(spent(0))
    assert (run.budget.reserved, run.budget.spent) == (Cost(), Cost(pico(0.01), 150))
    assert (run.calls, run.budget.calls) == (1, 1)


def test_a_task_is_spent_once() -> None:
    run = a_run()
    run.issue(a_task(0), 0.0)
    assert run.spend(spent(0))
    assert run.spend(spent(0)) is None
    assert run.budget.spent == Cost(pico(0.01), 150)


def test_what_was_never_issued_costs_nothing() -> None:
    run = a_run()
    assert run.spend(spent(7)) is None
    assert run.budget.spent == Cost()


def test_a_returned_task_is_no_call_and_leaves_its_number() -> None:
    run = a_run()
    held = run.issue(a_task(0), 0.0)
    run.spend(returned(held))
    assert (run.budget.reserved, run.budget.spent, run.budget.calls) == (Cost(), Cost(), 0)
    assert (run.calls, run.made, run.issued) == (0, 0, 1)


def test_a_lost_task_costs_its_worst_case() -> None:
    run = a_run()
    held = run.issue(a_task(0), 0.0)
    run.spend(lost(held, "", 0, "gone"))
    assert (run.budget.reserved, run.budget.spent) == (Cost(), WORST)
    assert (run.calls, run.budget.calls) == (1, 1)
    counts = run.state().providers["openai"]
    assert (counts.failed, counts.errors) == (1, {"lost": 1})
    assert counts.input_tokens + counts.output_tokens == run.state().tokens == 3000


def test_no_reservation_passes_a_limit() -> None:
    run = a_run()
    assert [run.budget.reserve(f"r1-{n}", WORST) for n in range(6)] == [True] * 4 + [False] * 2


def test_a_replay_has_the_same_account() -> None:
    """Tasks that are still out are held again, whatever the queue and the streams of reports have forgotten."""
    lived = a_run()
    log: list[Decision] = []
    for number in range(6):
        held = lived.issue(a_task(number), 0.0)
        log.append(Issued(run="r1", task=a_task(number, avoid=[])))
        if number < 2:
            entry = spent(number)
        elif number == 2:
            entry = lost(held, "", 0, "gone")
        elif number == 3:
            entry = returned(held)
        else:
            continue
        lived.spend(entry)
        log.append(entry)
    replayed = a_run()
    replayed.replay(log)
    assert replayed.budget == lived.budget
    assert replayed.outstanding.keys() == lived.outstanding.keys() == {"r1-4", "r1-5"}
    assert (replayed.issued, replayed.made, replayed.calls) == (lived.issued, lived.made, lived.calls) == (6, 5, 3)
    assert replayed.state() == lived.state()
    assert replayed.places == {"openai": 2}


@pytest.mark.parametrize(("kind", "number"), [("adjudicate", 1), ("facets", 1), ("judge", 1)])
def test_numbers_of_questions_go_on_after_a_replay(kind: Any, number: int) -> None:
    run = a_run()
    task = a_task(0, id="r1-a0" if kind == "adjudicate" else "r1-q0", kind=kind)
    run.replay([Issued(run="r1", task=task), spent(0, task=task.id, kind=kind)])
    assert (run.grey.number if kind == "adjudicate" else run.aside.number) == number
    assert not run.outstanding


def test_an_answer_that_steering_cannot_take_in_is_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run()
    run.issue(a_task(0), 0.0)

    def broken(_: object) -> None:
        raise KeyError("there is no such facet")

    monkeypatch.setattr(run.steering, "called", broken)
    assert run.spend(spent(0))
    assert (run.budget.reserved, run.calls, run.unsteered) == (Cost(), 1, 1)


def test_the_largest_state_and_end_fit_a_message() -> None:
    """Every name and error as long as it may be, in a script of four bytes a character."""
    wide = "\U00020000"
    facets = "; ".join(f"{wide * 77}{n:03}" for n in range(24))
    spec = RunSpec(
        topic=wide * 200,
        providers=("openai", "anthropic", "gemini", "local", "random"),
        facets=facets[:1900],
        routing_strategy="roundrobin",
        routing_config=wide * 1000,
    )
    run = Run("r" * 64, spec, "now")
    run.steering.facets.give(f"{wide * 77}{n:03}" for n in range(24))
    for number in range(40):
        model = f"{wide * 197}{number:03}"
        run.issue(a_task(number, provider="openai", model=model), 0.0)
        run.spend(spent(number, model=model, outcome="failed", error=wide * 300, error_kind="rate_limit"))
        run.tally("openai", model).left = wide * 300
    run.reason = wide * 300
    assert len(encode(run.state())) < streams.MAX_PAYLOAD - 2048
    assert len(encode(run.finished())) < streams.MAX_PAYLOAD - 2048
    pair = Pair(ordinal=1, text=wide * 200, of=2, of_text=wide * 200)
    issued = Issued(run=run.id, task=a_task(99, kind="adjudicate", topic=wide * 200, pairs=[pair] * 20))
    assert len(encode(issued)) < streams.MAX_PAYLOAD - 2048
