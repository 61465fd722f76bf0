"""The list: long, hostile, told in stories, and the same in two tabs."""

import httpx
import msgspec
from playwright.async_api import Browser, expect

from shared import subjects
from shared.bus import Bus
from shared.messages import Presence, ProviderCounts
from tests.e2e.dashboard.page import address, open_page, picture
from tests.integration.gateway.kit import SPEC, Orchestrator


async def test_fifty_thousand_attributes_scroll_smoothly(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    for first in range(0, 50_000, 200):
        await orchestrator.accept(*(f"item {number}" for number in range(first, first + 200)))
    watched = await open_page(browser, address(client))
    await expect(watched.page.locator("#list-note")).to_have_text("50,000 attributes")
    frames = await watched.page.evaluate(SCROLLED)
    assert len(frames) == 100
    assert sorted(frames)[50] < 50, frames  # of a browser that draws without a graphics card, on a busy machine
    assert await watched.page.locator("#list .row").count() < 100
    await watched.page.fill("#search", "item 4999")
    await expect(watched.page.locator("#list-note")).to_have_text("11 of 50,000")
    assert await watched.page.inner_text("#list [data-index='0']:not([hidden]) .text") == "item 49999"
    await watched.page.fill("#search", "")
    await watched.page.focus("#list")
    await watched.page.keyboard.press("End")
    await expect(watched.page.locator("#list [aria-selected=true] .text")).to_have_text("item 0")


SCROLLED = """() => new Promise((done) => {
    const list = document.getElementById("list"), frames = [];
    let before = performance.now();
    const step = (now) => {
        frames.push(now - before);
        before = now;
        list.scrollTop += 9731;
        frames.length < 100 ? requestAnimationFrame(step) : done(frames);
    };
    requestAnimationFrame((now) => { before = now; requestAnimationFrame(step); });
})"""


PAYLOADS = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg onload=window.pwned=1>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "<a href=javascript:window.pwned=1>click</a>",
    "javascript:window.pwned=1",
    "\"><img src=x onerror='window.pwned=1'>",
    "'-window.pwned=1-'",
    "${window.pwned=1}{{constructor.constructor('window.pwned=1')()}}",
    "<style>@import 'http://evil.test/x.css'</style>",
    "<base href=http://evil.test/>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "data: {}\n\nevent: done\ndata: {}",
    "\u202e reversed \u2066 isolated",
    "[x](javascript:window.pwned=1) ![x](http://evil.test/x.png)",
    "&lt;script&gt;window.pwned=1&lt;/script&gt;",
    "\x1b[31m\x1b]8;;http://evil.test\x07",
]


async def test_text_of_strangers_is_text(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator, bus: Bus
) -> None:
    hostile = PAYLOADS[2]
    left = ProviderCounts(calls=1, failed=1, left=hostile, last_error=hostile, errors={hostile: 1})
    await orchestrator.write(spec=msgspec.structs.replace(SPEC, topic=hostile), reason=hostile)
    await orchestrator.accept(*PAYLOADS)
    await orchestrator.repeat(*PAYLOADS, of=1)
    presence = Presence(producer="p-1", provider="random", models=[hostile], state="working", busy=1, error=hostile)
    await bus.tell(subjects.presence("random", "p-1"), presence)
    watched = await open_page(browser, address(client))
    page = watched.page
    await expect(page.locator("#topic")).to_have_text(hostile)
    await expect(page.locator("#list-note")).to_have_text(f"{len(PAYLOADS)} attributes")
    await orchestrator.tell(providers={"random": left}, models={f"random/{hostile}": left})
    await expect(page.locator(".toast")).to_contain_text(hostile)
    assert [" ".join(text.split()) for text in (await watched.listed()).values()] == [" ".join(p.split()) for p in PAYLOADS]
    for row in range(2):
        await page.locator("#list .row").nth(row).click()
        await expect(page.locator("#story")).to_be_visible()
        await page.keyboard.press("Escape")
    await expect(page.locator("#past .name").first).to_have_text(hostile)
    for forecast in ("#start-error", "#forecast"):
        assert await page.locator(forecast).count() == 1
    assert await page.evaluate(
        "[window.pwned, document.scripts.length, document.querySelectorAll('main img, iframe').length]"
    ) == [
        None,
        1,
        0,
    ]
    assert (watched.wrong, watched.foreign) == ([], [])


async def test_a_row_tells_its_story_by_keyboard(
    browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.accept("Louvre", "Eiffel Tower")
    await orchestrator.repeat("the Louvre", "Louvre museum", of=1)
    watched = await open_page(browser, address(client))
    page = watched.page
    await expect(page.locator("#list-note")).to_have_text("2 attributes")
    await page.focus("#list")
    await page.keyboard.press("End")  # the oldest, as the newest stand first
    await page.keyboard.press("Enter")
    await expect(page.locator("#story-text")).to_have_text("Louvre")
    await expect(page.locator("#story-facts")).to_contain_text("producer-random-1")
    await expect(page.locator("#story-count")).to_have_text("Found again 2 times")
    await expect(page.locator("#story-repeats li").first).to_contain_text("a slip of the pen, 97%")
    await expect(page.locator("#story-repeats li").first).to_contain_text("“louvre” with one letter less")
    await picture(watched, "story")
    await page.keyboard.press("Escape")
    await expect(page.locator("#story")).to_be_hidden()

    await orchestrator.accept("Louvre Palace", near=1)
    await expect(page.locator("#list .row.near")).to_contain_text("possible duplicate")
    await orchestrator.settle(3, of=1, same=True)
    await expect(page.locator("#list .row.near")).to_contain_text("duplicate, says a model")
    await page.click("#list .row.near")
    await expect(page.locator("#story-near")).to_contain_text("Louvre (#1, likeness 81%: “louvre palace” against “louvre”).")
    await expect(page.locator("#story-near")).to_contain_text("judge says: one and the same.")
    await page.click("#story-near button")
    await expect(page.locator("#story-text")).to_have_text("Louvre")
    assert watched.wrong == []


async def test_two_tabs_of_one_run_agree(browser: Browser, client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    context = await browser.new_context()
    one, two = await open_page(context, address(client)), await open_page(context, address(client))
    await orchestrator.accept("Louvre", "Eiffel Tower")
    for tab in (one, two):
        await expect(tab.page.locator("#list-note")).to_have_text("2 attributes")
    await two.page.click("#stop")
    await expect(one.page.locator("#status")).to_have_text("stopped")
    assert await one.listed() == await two.listed() == {1: "Louvre", 2: "Eiffel Tower"}
    assert one.wrong + two.wrong == []
