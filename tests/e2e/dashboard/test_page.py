"""What a person meets before a run, and the page in three sizes and colours."""

from typing import Any

import httpx
import msgspec
import pytest
from playwright.async_api import Browser, expect

from shared import subjects
from shared.bus import Bus
from shared.messages import FacetCounts, Presence, ProviderCounts
from tests.conftest import eventually
from tests.e2e.dashboard.page import PATIENCE, address, open_page, picture
from tests.integration.gateway.kit import RUN, SPEC, Orchestrator, gateway, ready


async def test_what_a_run_aims_at_can_be_chosen(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    watched = await open_page(browser, str(client.base_url))
    page = watched.page
    await page.fill("[name=topic]", "Paris")
    await page.click("#start summary")
    await page.select_option("[name=objective]", "dollars")
    await page.fill("[name=stop_below]", "5")
    await expect(page.locator("[name=facet_list]")).to_be_disabled()
    await page.select_option("[name=facets]", "list")
    await page.fill("[name=facet_list]", "museums; parks")
    await page.click("#start [type=submit]")
    await expect(page.locator("#topic")).to_have_text("Paris")
    spec = orchestrator.asked[-1].spec
    assert (spec.objective, spec.stop_below, spec.given_facets) == ("dollars", 0.05, ("museums", "parks"))
    assert watched.wrong == []


async def test_a_browser_is_asked_for_the_token(browser: Browser, nats_url: str, orchestrator: Orchestrator) -> None:
    token = "correct-horse-battery"  # noqa: S105  # of this test alone
    async with gateway(nats_url, gateway_token=token) as client:
        await ready(client)
        watched = await open_page(browser, str(client.base_url))
        page = watched.page
        await page.fill("#token", "wrong")
        await page.click("#sign-in [type=submit]")
        await expect(page.locator("#sign-in-error")).to_have_text("That is not the token.")
        await page.fill("#token", token)
        await page.click("#sign-in [type=submit]")
        await expect(page.locator("#past-empty")).to_be_visible()
        await expect(page.locator("#sign-in")).to_be_hidden()
        await page.fill("[name=topic]", "Paris")
        await page.check("[name=providers][value=random]")
        await page.click("#start [type=submit]")
        await expect(page.locator("#topic")).to_have_text("Paris")
        assert await page.evaluate("document.cookie") == ""  # scripts cannot read it


async def test_a_browser_signs_in_by_a_link_and_out_again(browser: Browser, nats_url: str, orchestrator: Orchestrator) -> None:
    token = "correct-horse-battery"  # noqa: S105  # of this test alone
    async with gateway(nats_url, gateway_token=token) as client:
        await ready(client)
        made = await client.post("/api/login-links", headers={"Authorization": f"Bearer {token}"})
        watched = await open_page(browser, made.json()["link"])
        page = watched.page
        assert await page.context.cookies() == []
        await page.click("[type=submit]")
        await expect(page.locator("#past-empty")).to_be_visible()
        assert [cookie["name"] for cookie in await page.context.cookies()] == ["chorus_session"]
        await page.click("#sign-out")
        await expect(page.locator("#sign-in")).to_be_visible()
        assert await page.context.cookies() == []
        await expect(page.locator("#sign-out")).to_be_hidden()
        assert watched.wrong == []


async def test_what_is_missing_is_said_until_it_is_there(browser: Browser, nats_url: str, bus: Bus) -> None:
    async with gateway(nats_url) as client:
        await ready(client)
        watched = await open_page(browser, str(client.base_url))
        await expect(watched.page.locator("#missing")).to_contain_text("No orchestrator answers")
        await Orchestrator(bus).answer()
        await expect(watched.page.locator("#missing")).not_to_contain_text("No orchestrator answers")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}}),
        ("dark", {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}}),
        ("phone", {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "has_touch": True}),
    ],
)
async def test_it_fits(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator, bus: Bus, name: str, options: dict[str, Any]
) -> None:
    """Nothing is wider than the page, whatever the words; the pictures are for people to look at."""
    spec = msgspec.structs.replace(SPEC, providers=("openai", "local", "random"), max_items=800, max_usd=1.0)
    texts = [f"item {number}" for number in range(297)] + ["w" * 200, "a longer attribute of several words " * 5, "Sacré-Cœur"]
    openai = ProviderCounts(calls=9, failed=2, candidates=190, accepted=120, usd=0.31, errors={"rate_limit": 2}, seconds=20)
    local = ProviderCounts(calls=12, candidates=220, accepted=130, usd=0.0, seconds=44, left="The server has gone.")
    both = {"openai": openai, "local": local, "random": ProviderCounts(calls=3, candidates=90, accepted=50, usd=0.0)}
    models = {"openai/gpt-4o-mini": openai, "openai/a-model-with-a-very-long-name-2026-11-24": openai, "local/SmolLM2": local}
    await orchestrator.write(spec=spec, providers=both, models=models)
    await orchestrator.accept(*texts[:150])
    await orchestrator.repeat(*(f"again {number}" for number in range(120)), of=3)
    await orchestrator.accept(*texts[150:])
    watched = await open_page(browser, address(client), **options)
    await expect(watched.page.locator("#list-note")).to_have_text("300 attributes")
    facets = {
        "museums": FacetCounts(calls=6, accepted=80, new_share=0.12),
        "parks and gardens": FacetCounts(calls=4, accepted=41, new_share=0.3),
        "c" * 80: FacetCounts(calls=3, accepted=22, new_share=0.02, closed="nothing new came of its last 3 calls"),
    }
    estimates = {"coverage": 0.62, "coverage_low": 0.5, "coverage_high": 0.74, "new_share": 0.2, "marginal_usd": 0.002}
    await orchestrator.tell(
        accepted=300, usd=0.31, tokens=38_000, calls=24, seconds=30.0, duplicates=120, facets=facets, **estimates
    )
    await expect(watched.page.locator("#cost")).to_have_text("$0.31")

    async def three_producers() -> bool:
        await announce(bus)
        return await watched.page.inner_text("#producers-note") == "3 producers"

    await eventually(three_producers, PATIENCE / 1000)
    await expect(watched.page.locator("#producers")).to_contain_text("asks for parks and gardens, for 4 s")
    await expect(watched.page.locator("#curve path")).to_have_count(2)
    await picture(watched, name)
    width, inner = await watched.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner
    assert watched.wrong == []


async def announce(bus: Bus) -> None:
    """Three producers say that they are there, as they do once a second."""
    working = Presence(
        producer="p-working",
        provider="openai",
        models=["gpt-4o-mini"],
        state="working",
        busy=1,
        run=RUN,
        task="t-12",
        facet="parks and gardens",
        task_seconds=4.2,
    )
    waiting = Presence(
        producer="p-waiting", provider="openai", models=["gpt-4o-mini"], state="paused", slots=0, paused_seconds=12
    )
    failing = Presence(producer="p-failing", provider="local", models=["SmolLM2"], error="The server at 127.0.0.1 has gone.")
    for presence in (working, waiting, failing):
        await bus.tell(subjects.presence(presence.provider, presence.producer), presence)
