"""A budget is never overshot, whatever the order of calls, and leaks nothing."""

import asyncio
import random

import pytest

from services.orchestrator.budget import Budget, Cost, Limits


@pytest.mark.parametrize("seed", range(20))
async def test_a_thousand_concurrent_calls_never_overshoot(seed: int) -> None:
    """Each call reserves its worst case, takes a while, and costs anything up to it, or fails."""
    chance = random.Random(seed)  # noqa: S311  # a test's dice
    budget = Budget(Limits(usd=1_000_000, tokens=500_000, calls=700))
    made = 0

    async def call(number: int) -> None:
        nonlocal made
        worst = Cost(usd=chance.randrange(1, 5_000), tokens=chance.randrange(1, 2_000))
        if not budget.reserve(f"t{number}", worst):
            return
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
            held = budget.spent + budget.reserved
            assert held.usd <= 1_000_000
            assert held.tokens <= 500_000
        if chance.random() < 0.2:
            budget.release(f"t{number}")
            return
        made += 1
        budget.commit(f"t{number}", Cost(chance.randint(0, worst.usd), chance.randint(0, worst.tokens)))

    await asyncio.gather(*(call(n) for n in range(1000)))

    assert made > 200
    assert budget.spent.usd <= 1_000_000
    assert budget.spent.tokens <= 500_000
    assert budget.calls == made <= 700
    assert budget.reserved == Cost()


def test_each_limit_names_itself() -> None:
    budget = Budget(Limits(usd=10, tokens=10, calls=1))
    assert budget.short_of(Cost(11, 1)) == "usd"
    assert budget.short_of(Cost(1, 11)) == "tokens"
    assert budget.reserve("a", Cost(1, 1))
    assert budget.short_of(Cost(1, 1)) == "calls"


def test_free_calls_go_on_when_the_money_is_spent() -> None:
    budget = Budget(Limits(usd=10))
    budget.reserve("a", Cost(10, 5))
    budget.commit("a", Cost(10, 5))
    assert not budget.reserve("b", Cost(1, 5))
    assert budget.reserve("c", Cost(0, 5))


def test_a_call_is_committed_once() -> None:
    """The same task again neither frees nor reserves twice."""
    budget = Budget(Limits(usd=10))
    assert budget.reserve("a", Cost(6, 0))
    assert not budget.reserve("a", Cost(1, 0))
    budget.release("a")
    budget.release("a")
    assert (budget.reserved, budget.calls) == (Cost(), 0)
