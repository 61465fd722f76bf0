"""Money and routes on a real bus: budgets hold, prices are asked for, routes are kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from shared import streams, subjects
from shared.bus import Bus, decode
from shared.messages import Forecast, ForecastRun, Judgement, Presence, RunState, Settled, Task, Usage
from shared.service import end as end_tasks
from tests.conftest import eventually
from tests.integration.test_orchestrator import Orchestrator, ask, begin, finished, publish, spec, start

PRICES = """
[models]
"openai/a" = { input = 1.0, output = 2.0 }
"anthropic/b" = { input = 10.0, output = 20.0 }
"""


@pytest.fixture
def orchestrator(nats_url: str, tmp_path: Path) -> Iterator[Orchestrator]:
    (tmp_path / "prices.toml").write_text(PRICES)
    under_test = Orchestrator(nats_url, PRICES=str(tmp_path / "prices.toml"))
    under_test.start()
    yield under_test
    under_test.kill()


GREY = ["Labor", "Education", "Justice", "Defense", "Energy", "Health", "Housing", "Finance", "Tourism", "Culture", "Mining"]
"""What stays a possible duplicate of itself with "Department" behind it."""


class Vendor:
    """Producers of one provider: every call brings two attributes and costs what `tokens` says, or fails."""

    def __init__(self, bus: Bus, provider: str, model: str, slots: int = 1) -> None:
        self._bus = bus
        self.provider = provider
        self.model = model
        self.slots = slots
        self.tokens = (100, 50)
        self.fails = False
        self.gives_up = ""
        self.texts: Callable[[Task], list[str]] = lambda task: [f"thing {task.ordinal} {n}" for n in range(2)]
        self.tasks: list[Task] = []
        self._running: list[asyncio.Task[None]] = []

    def join(self) -> "Vendor":
        workers = [asyncio.create_task(self._work()) for _ in range(max(1, self.slots))]
        self._running = [asyncio.create_task(self._announce()), *workers]
        return self

    async def leave(self) -> None:
        await end_tasks(self._running)

    async def _announce(self) -> None:
        name = f"producer-{self.provider}"
        while True:
            presence = Presence(producer=name, provider=self.provider, models=[self.model], slots=self.slots)
            await self._bus.tell(subjects.presence(presence.provider, name), presence)
            await asyncio.sleep(0.1)

    async def _work(self) -> None:
        queue = self._bus.queue(self.provider)
        while True:
            delivery = await queue.take()
            if delivery is None:
                continue
            task = decode(Task, delivery.data)
            self.tasks.append(task)
            await begin(self._bus, task, self.provider)
            failed = self.fails or bool(self.gives_up)
            if not failed and self.provider == "random":
                for n, text in enumerate(self.texts(task)):
                    await publish(self._bus, task, n, text)
            usage = Usage(
                run=task.run,
                task=task.id,
                provider=self.provider,
                model=task.model,
                producer="p",
                outcome="failed" if failed else "ok",
                error="no more today" if failed else "",
                error_kind=self.gives_up or ("server" if failed else ""),
                gives_up=bool(self.gives_up),
                judgements=[Judgement(ordinal=pair.ordinal, same=True) for pair in task.pairs],
                input_tokens=0 if failed else self.tokens[0],
                output_tokens=0 if failed else self.tokens[1],
            )
            await self._bus.publish(subjects.usage(task.run, self.provider), usage, id=task.id)
            await delivery.done()


@pytest.fixture
async def vendors(bus: Bus) -> AsyncIterator[dict[str, Vendor]]:
    made = {
        "openai": Vendor(bus, "openai", "a", slots=4),
        "anthropic": Vendor(bus, "anthropic", "b", slots=4),
        "random": Vendor(bus, "random", "test", slots=4),
    }
    yield made
    for vendor in made.values():
        await vendor.leave()


async def known(bus: Bus, *vendors: Vendor) -> None:
    """Wait until the orchestrator has heard of the vendors' models: a forecast then has their prices."""

    async def heard() -> bool:
        wish = spec(providers=[v.provider for v in vendors], iterations=1)
        answer = await ask(bus, subjects.FORECAST_RUN, ForecastRun(spec=wish))
        return not any("/" in name and name.split("/")[1] not in {v.model for v in vendors} for name in answer["unpriced"])

    await eventually(heard)


async def test_a_dollar_budget_is_not_overshot(bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]) -> None:
    """Four calls at once against a budget of a few: the spending is the sum of the calls and within it."""
    vendor = vendors["openai"].join()
    await known(bus, vendor)
    vendor.tokens = (2000, 3000)
    await start(bus, providers=["openai"], producers=4, max_usd=0.05, max_calls=200)
    end = await finished(bus, seconds=30)

    real = len(vendor.tasks) * (2000 * 1.0 + 3000 * 2.0) / 1e6
    assert end.usd == pytest.approx(real, abs=1e-12)
    assert end.usd is not None
    assert 0.03 < end.usd <= 0.05
    assert "(max_usd)" in end.reason
    assert end.status == "finished"


async def test_free_providers_go_on_when_the_money_is_spent(
    bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]
) -> None:
    paid, free = vendors["openai"].join(), vendors["random"].join()
    await known(bus, paid)
    paid.tokens = (2000, 3000)
    await start(bus, providers=["openai", "random"], producers=2, max_usd=0.02, max_calls=40)
    end = await finished(bus, seconds=30)

    assert end.usd is not None
    assert end.usd <= 0.02
    assert len(paid.tasks) + len(free.tasks) == 40
    assert len(free.tasks) > 30
    assert "(max_calls)" in end.reason


async def test_an_absent_provider_does_not_hold_a_run_whose_money_is_spent(
    bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]
) -> None:
    vendor = vendors["openai"].join()
    await known(bus, vendor)
    vendor.tokens = (2000, 3000)
    await start(bus, providers=["openai", "anthropic"], max_usd=0.02, max_calls=200)
    end = await finished(bus, seconds=30)
    assert end.status == "finished"
    assert "(max_usd)" in end.reason


async def test_tokens_are_bounded(bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]) -> None:
    vendor = vendors["random"].join()
    vendor.tokens = (1000, 1000)
    await start(bus, max_tokens=20_000, producers=4)
    end = await finished(bus)
    assert end.tokens == 2000 * len(vendor.tasks) <= 20_000
    assert "(max_tokens)" in end.reason


async def test_a_budget_survives_a_restart(bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]) -> None:
    """What was spent and what is under way is rebuilt from usage and queue."""
    vendor = vendors["random"].join()
    await start(bus, max_calls=30, producers=2)
    await eventually(lambda: len(vendor.tasks) > 10)
    orchestrator.kill()
    orchestrator.start()
    end = await finished(bus, seconds=30)
    assert end.calls == 30
    assert len({t.id for t in vendor.tasks}) == 30
    assert end.tokens == 30 * 150


async def test_a_model_without_a_price_is_refused_with_the_line_to_add(
    bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]
) -> None:
    vendors["openai"].model = "made-up"
    vendors["openai"].join()

    wish = ForecastRun(spec=spec(providers=["openai"], iterations=1))

    async def heard() -> bool:
        return bool((await ask(bus, subjects.FORECAST_RUN, wish))["unpriced"] == ["openai/made-up"])

    await eventually(heard)
    answer = await start(bus, providers=["openai"], max_usd=1.0)
    assert '"openai/made-up" = ' in answer["error"]


async def test_an_unknown_cost_is_not_called_nothing(bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]) -> None:
    vendors["openai"].model = "made-up"
    vendors["openai"].join()
    await start(bus, providers=["openai"], max_calls=3)
    end = await finished(bus)
    assert end.usd is None
    assert end.providers["openai"].usd is None


async def test_a_provider_that_gives_up_leaves_and_the_others_go_on(
    bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]
) -> None:
    vendors["openai"].gives_up = "quota"
    for vendor in vendors.values():
        vendor.join()
    await start(bus, providers=["openai", "anthropic", "random"], producers=3, max_calls=30)
    end = await finished(bus)
    assert end.providers["openai"].left == "no more today"
    assert end.providers["openai"].errors["quota"] >= 1
    assert len(vendors["openai"].tasks) <= 3
    assert end.calls == 30
    assert end.status == "finished"


async def test_a_run_fails_when_every_provider_gave_up(
    bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]
) -> None:
    vendors["openai"].gives_up = "auth"
    vendors["openai"].join()
    await start(bus, providers=["openai"])
    end = await finished(bus)
    assert end.status == "failed"
    assert "openai: no more today" in end.reason


async def test_weights_are_kept_on_the_bus(bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]) -> None:
    for vendor in vendors.values():
        vendor.join()
    await start(
        bus,
        providers=["openai", "anthropic", "random"],
        producers=4,
        max_calls=200,
        routing_strategy="weighted",
        routing_config="openai:a:0.5,anthropic:0.3,random:0.2",
        strategy="none",
    )
    end = await finished(bus, seconds=40)
    calls = Counter({name: counts.calls for name, counts in end.providers.items()})
    assert calls == {"openai": 100, "anthropic": 60, "random": 40}


PRIORITY = {"routing_strategy": "priority", "routing_config": "openai,random"}


async def test_priority_falls_back_and_returns(bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]) -> None:
    """While the first fails its pauses grow and the second works; once it answers again the first has it all."""
    first, second = vendors["openai"].join(), vendors["random"].join()
    first.fails = True
    await start(bus, providers=["openai", "random"], producers=1, strategy="none", **PRIORITY)
    await eventually(lambda: len(second.tasks) > 10)
    first.fails = False
    failed = len(first.tasks)
    await eventually(lambda: len(first.tasks) > failed + 20, 30)
    before = len(second.tasks)
    await eventually(lambda: len(first.tasks) > failed + 40, 30)
    assert len(second.tasks) <= before + 1


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"routing_strategy": "weighted", "routing_config": "random:0.5"}, "add up to"),
        ({"routing_strategy": "magic", "routing_config": "random"}, "unknown routing strategy"),
        ({"routing_strategy": "priority"}, "belong together"),
        ({"routing_strategy": "priority", "routing_config": "openai,random"}, "not among the providers"),
    ],
)
async def test_wrong_routes_are_refused(bus: Bus, orchestrator: Orchestrator, fields: dict[str, str], complaint: str) -> None:
    assert complaint in (await start(bus, **fields))["error"]


async def test_a_forecast_tells_before_the_run(bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]) -> None:
    vendor = vendors["openai"].join()
    await known(bus, vendor)
    wish = spec(providers=["openai"], producers=2, iterations=10)
    raw = await bus.ask(subjects.FORECAST_RUN, ForecastRun(spec=wish))
    found = decode(Forecast, raw)
    assert found.calls == 20
    assert found.limited_by == "iterations"
    assert found.usd is not None
    assert found.most_usd is not None
    assert 0 < found.usd < found.most_usd
    assert streams.RESULTS.name  # no run was started by asking
    assert await bus.last(streams.RESULTS.name, subjects.ALL_STARTED) is None


async def test_a_killed_producers_reservation_is_freed(
    bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]
) -> None:
    """A producer dies with a task: its reservation is held until another did the task, and then nothing is left of it."""
    dead = bus.queue("openai")
    await bus.tell(subjects.presence("openai", "dead"), Presence(producer="dead", provider="openai", models=["a"]))
    await start(bus, providers=["openai"], producers=1, max_usd=0.5, max_calls=1)

    async def taken() -> bool:
        await bus.tell(subjects.presence("openai", "dead"), Presence(producer="dead", provider="openai", models=["a"]))
        return await dead.take() is not None

    await eventually(taken)

    async def reserved() -> bool:
        stored = await bus.last("KV_RUNS", "$KV.RUNS.r1")
        return stored is not None and decode(RunState, stored.data).reserved_usd > 0

    await eventually(reserved)
    vendors["openai"].join()
    end = await finished(bus, seconds=streams.ACK_WAIT + 10)
    assert end.calls == 1
    assert end.usd == pytest.approx((100 * 1.0 + 50 * 2.0) / 1e6)

    async def freed() -> bool:
        stored = await bus.last("KV_RUNS", "$KV.RUNS.r1")
        return stored is not None and decode(RunState, stored.data).reserved_usd == 0

    await eventually(freed)


async def test_possible_duplicates_are_settled_within_their_share(
    bus: Bus, orchestrator: Orchestrator, vendors: dict[str, Vendor]
) -> None:
    """Pairs that may be one are asked about in batches, of a capable model, in at most a twentieth of the calls, once; what
    it says is in the log."""
    judge, source = vendors["openai"].join(), vendors["random"].join()
    source.texts = lambda task: [f"{name} Department" for name in GREY] + GREY
    await known(bus, judge)
    await start(bus, providers=["random", "openai"], producers=2, max_calls=120, dedupe="semantic", strategy="none")
    end = await finished(bus, seconds=60)

    asked = [t for t in judge.tasks if t.kind == "adjudicate"]
    assert asked
    assert len(asked) * 20 <= end.calls == 120
    settled = []
    async for batch in bus.history("RESULTS", [subjects.ALL_SETTLED]):
        settled += [decode(Settled, stored.data) for stored in batch]
    assert {(s.text, s.of_text) for s in settled} == {(name, f"{name} Department") for name in GREY}
    assert {s.same for s in settled} == {True}
    pairs = [pair.ordinal for task in asked for pair in task.pairs]
    assert len(set(pairs)) == len(pairs) == len(GREY)
