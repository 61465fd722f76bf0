"""The random provider: a finite world that repeats with its seed and behaves like a model."""

from statistics import mean

import pytest
from msgspec.structs import replace

from services.orchestrator.dedupe import key
from services.producer.adapters.contract import End, ModelError, Patience
from services.producer.adapters.random import RandomModel, RandomSettings, bare, build
from services.producer.parse import Parser
from services.producer.vocabulary import MOST, vocabulary
from shared.messages import Task
from shared.service import load

QUICK = RandomSettings(random_latency_seconds=0)


def task(ordinal: int = 0, count: int = 60, seed: int = 1, avoid: list[str] | None = None) -> Task:
    return Task(
        id="t", run="r", provider="random", topic="Anything", ordinal=ordinal, count=count, seed=seed, avoid=avoid or []
    )


async def answer(model: RandomModel, asked: Task) -> list[str]:
    parser = Parser(asked.count)
    found: list[str] = []
    async for piece in model.complete(asked):
        found += parser.end(whole=piece.whole) if isinstance(piece, End) else parser.feed(piece)
    assert not parser.rejected
    return found


def test_the_whole_vocabulary_has_keys_of_its_own() -> None:
    things = vocabulary(MOST)
    assert len(things) == MOST >= 5000
    assert len({key(thing) for thing in things}) == MOST
    assert all(1 <= len(thing.split()) <= 3 for thing in things)


def test_a_vocabulary_is_the_start_of_a_larger_one() -> None:
    assert vocabulary(1000) == vocabulary(6000)[:1000]


async def test_the_same_seed_and_ordinal_give_the_same_answer() -> None:
    first, again = RandomModel(QUICK), RandomModel(QUICK)
    assert await answer(first, task(3)) == await answer(again, task(3))
    assert await answer(first, task(3)) != await answer(first, task(4))
    assert await answer(first, task(3)) != await answer(first, task(3, seed=2))


@pytest.mark.parametrize("count", [1, 60, 500])
async def test_it_gives_as_many_as_asked_for_without_repeats(count: int) -> None:
    found = await answer(RandomModel(QUICK), task(count=count))
    assert len(found) == count == len({key(text) for text in found})


async def test_a_paraphrase_has_the_key_of_its_thing() -> None:
    things = set(vocabulary(6000))
    found = [text for ordinal in range(10) for text in await answer(RandomModel(QUICK), task(ordinal))]
    written_otherwise = [text for text in found if text[0].lower() + text[1:] not in things]
    assert 0.05 < len(written_otherwise) / len(found) < 0.35
    assert all(bare(text) in things and key(bare(text)) == key(text) for text in found)


async def test_popular_things_come_more_often() -> None:
    rank = {thing: number for number, thing in enumerate(vocabulary(6000))}
    found = [bare(text) for ordinal in range(20) for text in await answer(RandomModel(QUICK), task(ordinal))]
    assert mean(rank[thing] < 60 for thing in found) > 0.2  # 1 % of the things, by chance alone 0.01


@pytest.mark.parametrize(("obedience", "least", "most"), [(1.0, 0, 0), (0.9, 1, 14), (0.0, 60, 60)])
async def test_it_heeds_the_avoid_list_as_far_as_it_is_told_to(obedience: float, least: int, most: int) -> None:
    model = RandomModel(RandomSettings(random_latency_seconds=0, random_obedience=obedience))
    first = await answer(model, task())
    again = await answer(model, task(avoid=first))
    assert least <= len({key(text) for text in first} & {key(text) for text in again}) <= most


async def test_fifty_calls_find_many_hundreds() -> None:
    model = RandomModel(QUICK)
    assert len({key(text) for ordinal in range(50) for text in await answer(model, task(ordinal))}) > 800


async def test_it_fails_as_often_as_it_is_told_to() -> None:
    model = RandomModel(RandomSettings(random_latency_seconds=0, random_error_rate=0.3))
    failed = 0
    for ordinal in range(100):
        try:
            await answer(model, task(ordinal, count=5))
        except ModelError:
            failed += 1
    assert 15 < failed < 45


def test_wrong_settings_are_refused_in_one_line() -> None:
    with pytest.raises(SystemExit, match="RANDOM_OBEDIENCE"):
        load(RandomSettings, {"RANDOM_OBEDIENCE": "much"})


async def test_a_models_name_may_say_how_much_it_knows() -> None:
    model = build({"RANDOM_LATENCY_SECONDS": "0"}, ("random", "random-20"), Patience())
    assert len(await answer(model, replace(task(), model="random-20"))) == 20
    assert len(await answer(model, replace(task(), model="random"))) == 60


@pytest.mark.parametrize("name", ["gpt-4o", "random-5", "random-999999", "random-"])
def test_other_models_are_refused(name: str) -> None:
    with pytest.raises(SystemExit, match="random-10 to random-"):
        build({}, (name,), Patience())
