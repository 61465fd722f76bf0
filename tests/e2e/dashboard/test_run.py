"""What the page tells of a run: cost, limits, curves, coverage, and other runs beside it."""

import httpx
import msgspec
import pytest
from playwright.async_api import Browser, expect

from services.gateway import events, follower
from services.gateway.view import View
from shared.bus import Bus
from shared.messages import FacetCounts, ProviderCounts
from tests.conftest import eventually
from tests.e2e.dashboard.page import PATIENCE, address, open_page, picture
from tests.integration.gateway.kit import SPEC, Orchestrator, gateway, ready, status_of

COLOUR = "(node) => getComputedStyle(node).color"


async def test_cost_limits_and_a_provider_that_left(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    spec = msgspec.structs.replace(
        SPEC, providers=("openai", "random"), max_items=500, max_usd=2.0, max_tokens=9000, iterations=20
    )
    openai = ProviderCounts(calls=9, candidates=90, accepted=50, usd=0.5, input_tokens=700, seconds=18)
    await orchestrator.write(spec=spec)
    await orchestrator.accept("Louvre", "Eiffel Tower")
    watched = await open_page(browser, address(client))
    page = watched.page
    await expect(page.locator("#list-note")).to_have_text("2 attributes")
    random = ProviderCounts(calls=4, candidates=10, accepted=50, usd=0.0)
    counts = {"openai": openai, "random": random}
    await orchestrator.tell(accepted=100, usd=0.5, tokens=700, calls=13, seconds=20.0, providers=counts)
    await expect(page.locator("#cost")).to_have_text("$0.50")
    await expect(page.locator("#cost-each")).to_have_text("$0.005")
    await expect(page.locator("#progress")).to_contain_text("100 of 500")
    await expect(page.locator("#progress")).to_contain_text("$0.50 of $2.00")
    await expect(page.locator("#provider-rows tr").first).to_contain_text("2.0 s")
    assert await page.locator(".toast").count() == 0

    left = msgspec.structs.replace(openai, failed=1, errors={"quota": 1}, left="The daily quota is used up.")
    await orchestrator.tell(accepted=100, usd=None, seconds=21.0, providers={**counts, "openai": left})
    await expect(page.locator(".toast")).to_contain_text("openai left the run")
    await expect(page.locator(".toast")).to_contain_text("Raise the quota")
    await expect(page.locator("#cost")).to_have_text("unknown")
    await expect(page.locator("#cost-each")).to_have_text("unknown")
    await expect(page.locator("#provider-rows")).to_contain_text("The daily quota is used up.")
    await page.click(".toast .close")
    assert await page.locator(".toast").count() == 0
    await expect(page.locator("#left")).to_contain_text("Raise the quota")  # stays, and is there for who comes later
    await page.reload()
    await expect(page.locator("#left")).to_contain_text("openai left the run")
    assert await page.locator(".toast").count() == 0
    assert watched.wrong == []


async def test_curves_are_whole_after_a_reload(browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    async def tell(seconds: int) -> None:
        await orchestrator.tell(seconds=float(seconds), usd=seconds / 100, coverage=seconds / 50)

    for seconds in range(1, 11):
        await tell(seconds)
    watched = await open_page(browser, address(client))
    page = watched.page
    await expect(page.locator("#cost")).to_have_text("$0.10")

    async def drawn(points: int) -> None:
        async def so_many() -> bool:
            path = await page.locator("#spend path").get_attribute("d")
            return path is not None and path.count("L") + 1 == points

        await eventually(so_many, PATIENCE / 1000)

    await drawn(11)  # from 0 on, though the page was opened only now
    await page.reload()
    await drawn(11)
    await tell(12)
    await drawn(12)
    await expect(page.locator("#spend-note")).to_be_hidden()
    await expect(page.locator("#coverage-curve path")).to_have_count(1)
    assert watched.wrong == []


async def test_what_was_spent_before_the_gateway_listened_is_said_to_be_a_sum(
    browser: Browser, nats_url: str, orchestrator: Orchestrator
) -> None:
    await orchestrator.write(seconds=90.0, usd=0.5)
    async with gateway(nats_url) as client:
        await ready(client)
        await eventually(lambda: status_of(client))
        watched = await open_page(browser, address(client))
        await expect(watched.page.locator("#spend-note")).to_contain_text("Of the first 1 min 30 s only the sum is known")


async def test_how_complete_the_list_is(browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    await orchestrator.accept("Louvre", "Orsay", facet="museums")
    await orchestrator.accept("Tuileries", facet="parks")
    watched = await open_page(browser, address(client))
    page = watched.page
    await expect(page.locator("#list-note")).to_have_text("3 attributes")
    await expect(page.locator("#coverage-card")).to_be_hidden()
    facets = {
        "museums": FacetCounts(calls=2, accepted=2, new_share=0.25),
        "parks": FacetCounts(calls=3, accepted=1, closed="nothing new came"),
    }
    estimates = {"coverage": 0.62, "coverage_low": 0.5, "coverage_high": 0.74, "new_share": 0.08, "marginal_usd": 0.002}
    await orchestrator.tell(**estimates, on_topic=0.98, judged=40, facets=facets)
    await expect(page.locator("#coverage")).to_have_text("62%")
    await expect(page.locator("#covered")).to_have_text("62%")
    await expect(page.locator("#coverage-range")).to_have_text("likely 50% to 74%")
    await expect(page.locator("#coverage-next")).to_contain_text("8% was new. The next new attribute takes about $0.002.")
    await expect(page.locator("#coverage-next")).to_contain_text("98% belong to the topic, says a model of a sample of 40.")
    await expect(page.locator("#facet-rows tr").last).to_contain_text("nothing new came")
    await page.click("#facet-rows button >> text=museums")
    await expect(page.locator("#list-note")).to_have_text("2 of 3")
    await page.locator("#list .row").first.click()
    await expect(page.locator("#story-facts")).to_contain_text("museums")
    assert watched.wrong == []


async def test_runs_side_by_side(browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    await orchestrator.accept("Louvre", "Eiffel Tower")
    orchestrator.texts.clear()
    await orchestrator.write(run="other", spec=msgspec.structs.replace(SPEC, topic="Rome"), created="2026-01-01T00:00:00Z")
    await orchestrator.accept("Colosseum", run="other")
    watched = await open_page(browser, address(client))
    page = watched.page
    await page.click("[aria-label='Show Rome beside the open run']")
    await expect(page.locator("#compared tr", has_text="Unique").first).to_contain_text("2")
    await expect(page.locator("#compared-head")).to_contain_text("Rome")
    await page.reload()  # the link holds both
    await expect(page.locator("#compared-head")).to_contain_text("Rome")
    await picture(watched, "side-by-side")
    await page.click("#compared-head .close")
    await expect(page.locator("#comparison")).to_be_hidden()
    assert watched.wrong == []


async def test_a_run_that_waits_for_a_provider_says_so_and_can_be_held_and_ended(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.write(status="waiting", reason="nobody offers openai")
    watched = await open_page(browser, address(client))
    page = watched.page
    await expect(page.locator("#status")).to_have_text("waits for a provider")
    await expect(page.locator("#past")).to_contain_text("waits for a provider")
    await expect(page.locator("#reason")).to_have_text("nobody offers openai")
    waiting = await page.locator("#status").evaluate(COLOUR)
    await expect(page.locator("#stop")).to_be_enabled()
    await expect(page.locator("#resume")).to_be_disabled()
    await page.click("#pause")
    await expect(page.locator("#status")).to_have_text("paused")
    await page.click("#resume")
    await expect(page.locator("#status")).to_have_text("running")
    assert waiting != await page.locator("#status").evaluate(COLOUR)
    assert watched.wrong == []


async def test_a_proxy_that_keeps_the_last_event_to_itself_doubles_nothing(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LIFE_SECONDS", 1)  # then the browser comes back by itself
    monkeypatch.setattr(follower, "HEARTBEAT_SECONDS", 0.5)
    await orchestrator.accept("Louvre", "Eiffel Tower")
    await orchestrator.repeat("louvre", "louvres")
    kept: list[str] = []

    async def nowhere(view: View, bus: Bus, last_id: str) -> int:
        kept.append(last_id)
        return 0

    monkeypatch.setattr(events, "_place", nowhere)
    watched = await open_page(browser, address(client))
    page = watched.page
    await expect(page.locator("#list-note")).to_have_text("2 attributes")
    await eventually(lambda: len(kept) >= 2, PATIENCE / 1000)
    await orchestrator.accept("Orsay")
    await expect(page.locator("#list-note")).to_have_text("3 attributes")
    await expect(page.locator("#unique")).to_have_text("3")
    await expect(page.locator("#duplicates")).to_have_text("2")
    assert watched.wrong == []
