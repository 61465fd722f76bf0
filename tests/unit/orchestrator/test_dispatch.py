"""A run whose budget is spent ends, or says what it waits for."""

from typing import Any

from msgspec import structs

from services.orchestrator.budget import Cost
from services.orchestrator.dispatch import FIRST_SEEN_SECONDS, Dispatch, Load
from services.orchestrator.prices import PICO
from services.orchestrator.producers import Producers
from services.orchestrator.run import Run
from shared.messages import Presence, RunSpec

PRICED = Presence(producer="p1", provider="openai", models=["gpt-4o-mini"])
ANOTHER = Presence(producer="p2", provider="anthropic", models=["claude-haiku-4-5"])
FREE = Presence(producer="p3", provider="local", models=["small"])


async def dispatch_of(*live: Presence, spent: float = 0.0, seconds: float = FIRST_SEEN_SECONDS, **wish: Any) -> Dispatch:
    """The dispatch of a run that has spent so many dollars in so many seconds, with these producers."""
    producers = Producers()
    for presence in live:
        await producers.announced(presence)
    run = Run("r1", RunSpec(topic="tools", **wish), created="now")
    run.seconds = seconds
    run.budget.hold("earlier", Cost())
    run.budget.commit("earlier", Cost(usd=int(spent * PICO)))
    return Dispatch(run, producers, Load())


async def test_spent_dollars_end_a_run_that_names_a_provider_without_producer() -> None:
    """Nobody knows what that provider would cost; the run would wait for it for ever, and not say so."""
    dispatch = await dispatch_of(PRICED, spent=1, providers=("openai", "anthropic"), max_usd=1)

    over = dispatch.over()
    assert over is not None
    assert over[0]
    assert "(max_usd)" in over[1]


async def test_a_provider_that_is_just_being_started_is_waited_for() -> None:
    dispatch = await dispatch_of(PRICED, spent=1, seconds=1, providers=("openai", "anthropic"), max_usd=1)

    assert dispatch.over() is None
    assert dispatch.waits_for().startswith(
        "waiting for a producer of anthropic: none is running. It goes on by itself, and spends"
    )


async def test_a_provider_whose_producer_is_started_again_keeps_its_price() -> None:
    gone = structs.replace(FREE, state="leaving")
    dispatch = await dispatch_of(PRICED, FREE, gone, spent=1, providers=("openai", "local"), max_usd=1)

    assert dispatch.over() is None
    assert dispatch.waits_for().startswith("waiting for a producer of local: none is running. It goes on by itself, and spends")


async def test_dollars_that_are_left_do_not_end_it() -> None:
    dispatch = await dispatch_of(PRICED, providers=("openai", "anthropic"), max_usd=1)

    assert dispatch.over() is None
    assert dispatch.waits_for() == ""


async def test_a_free_provider_is_waited_for_when_the_dollars_are_spent() -> None:
    dispatch = await dispatch_of(PRICED, spent=1, providers=("openai", "local"), max_usd=1)

    assert dispatch.over() is None
    assert dispatch.waits_for().startswith("waiting for a producer of local: none is running. It goes on by itself, and spends")


async def test_a_free_provider_whose_rate_is_limited_is_named_alone() -> None:
    paused = Presence(producer="p3", provider="local", models=["small"], slots=0, state="paused")
    dispatch = await dispatch_of(PRICED, paused, spent=1, providers=("openai", "local"), max_usd=1)

    assert dispatch.over() is None
    assert dispatch.waits_for() == "waiting for the rate limit of local"


async def test_a_run_of_absent_providers_waits_for_them() -> None:
    dispatch = await dispatch_of(providers=("openai", "anthropic"), max_usd=1)

    assert dispatch.over() is None
    assert dispatch.waits_for().startswith(
        "waiting for a producer of openai or anthropic: none is running. It goes on by itself, and spends"
    )


async def test_spent_tokens_end_the_run_whoever_is_missing() -> None:
    dispatch = await dispatch_of(FREE, providers=("local", "openai"), max_tokens=100)

    over = dispatch.over()
    assert over is not None
    assert "(max_tokens)" in over[1]


async def test_the_last_of_several_that_cost_money_ends_it() -> None:
    dispatch = await dispatch_of(PRICED, ANOTHER, spent=1, providers=("openai", "anthropic"), max_usd=1)

    assert dispatch.over() is not None
