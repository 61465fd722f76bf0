"""The dashboard in a real browser: what a person does with it, and what strangers' text does not do to it."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from shared import subjects
from shared.bus import Bus
from shared.messages import FacetCounts, Presence, ProviderCounts
from tests.conftest import eventually
from tests.e2e.chromium import CHROMIUM, chromium
from tests.integration.gateway.kit import RUN, SPEC, Orchestrator, gateway, ready, status_of

OUTPUT = Path(__file__).parent / "output"
"""Screenshots, to be looked at."""

PATIENCE = 30_000
"""Milliseconds until the page must show something: tests share their machine."""

pytestmark = pytest.mark.skipif(
    shutil.which(CHROMIUM) is None and not os.environ.get("CI"), reason=f"there is no browser at {CHROMIUM}"
)

expect.set_options(timeout=PATIENCE)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


class Watched:
    """A page, and all that went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.foreign: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: self.wrong.append(message.text) if "Content Security" in message.text else None)
        page.on("request", lambda request: None if "://127.0.0.1:" in request.url else self.foreign.append(request.url))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))

    async def listed(self) -> dict[int, str]:
        """The whole list as the page shows it, read by scrolling through it."""
        found: dict[int, str] = {}
        await self.page.select_option("#order", "first")
        while True:
            found |= await self.page.evaluate(ROWS_IN_VIEW)
            if await self.page.evaluate(SCROLL_ON):
                return {int(ordinal): text for ordinal, text in found.items()}
            await self.page.evaluate("new Promise(requestAnimationFrame)")


ROWS_IN_VIEW = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(Object.fromEntries(
    [...document.querySelectorAll("#list .row:not([hidden])")].map((row) =>
        [row.querySelector(".ordinal").textContent.replaceAll(",", ""), row.querySelector(".text").textContent]))))))"""

SCROLL_ON = """() => { const list = document.getElementById("list"), before = list.scrollTop;
    list.scrollTop += list.clientHeight; return list.scrollTop === before; }"""


async def open_page(browser: Browser | BrowserContext, url: str, **options: Any) -> Watched:
    context = await browser.new_context(**options) if isinstance(browser, Browser) else browser
    watched = Watched(await context.new_page())
    await watched.page.goto(url)
    return watched


async def number(page: Page, id: str) -> int:
    return int((await page.inner_text(f"#{id}")).replace(",", ""))


async def at_least(page: Page, id: str, least: int) -> None:
    async def reached() -> bool:
        return await number(page, id) >= least

    await eventually(reached, PATIENCE / 1000)


def contents(file: Path) -> str:
    return file.read_text()


async def picture(watched: Watched, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    await watched.page.screenshot(path=OUTPUT / f"{name}.png", full_page=name != "story")


# ---- with the whole stack behind it --------------------------------------------------------------------------------


class Stack:
    """Everything, with the random provider, in folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: asyncio.subprocess.Process
        self.url = ""

    async def start(self) -> None:
        listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        listener.close()
        await listener.wait_closed()
        inherited = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "NATS_URL"}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.launcher", "run", "--services", "nats,orchestrator,recorder,gateway"),
            *("--folder", str(self.folder / "stack"), "--provider", "random", "--producers", "2", "--port", str(port)),
            "--parent-stdin",
            env=inherited | {"OUTPUT": str(self.folder / "output"), "RANDOM_LATENCY_SECONDS": "0.5"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        said = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 60))
        assert said["ready"], said
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        if not hasattr(self, "process") or self.process.returncode is not None:
            return
        self.process.terminate()
        await asyncio.wait_for(self.process.wait(), 30)

    def files_of(self, run: str) -> Path:
        (found,) = [path for path in (self.folder / "output").iterdir() if path.name.endswith(run)]
        return found

    def gateway(self) -> psutil.Process:
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if "services.gateway" in child.cmdline():
                return child
        raise AssertionError("there is no gateway")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    under_test = Stack(tmp_path)
    await under_test.start()
    yield under_test
    await under_test.stop()


async def test_a_run_from_its_start_to_its_files(browser: Browser, stack: Stack) -> None:
    watched = await open_page(browser, stack.url, accept_downloads=True)
    page = watched.page
    await page.fill("[name=topic]", "Paris attractions")
    await page.uncheck("[name=providers][value=local]")
    await page.check("[name=providers][value=random]")
    await page.fill("[name=producers]", "2")
    await page.fill("[name=iterations]", "200")
    await expect(page.locator("#forecast")).to_contain_text("400 calls")
    await page.click("#start [type=submit]")
    await expect(page.locator("#topic")).to_have_text("Paris attractions")
    await expect(page.locator("#connection")).to_have_text("Live")
    await at_least(page, "unique", 60)

    await page.reload()  # the link holds the run
    await expect(page.locator("#topic")).to_have_text("Paris attractions")
    await at_least(page, "unique", 60)
    await expect(page.locator("#connection")).to_have_text("Live")

    await page.click("#pause")
    await expect(page.locator("#status")).to_have_text("paused")
    await page.click("#resume")
    await expect(page.locator("#status")).to_have_text("running")
    before = await number(page, "unique")

    killed = stack.gateway()
    killed.send_signal(signal.SIGKILL)
    await at_least(page, "unique", before + 40)  # it came back, and so did the page, by itself
    assert stack.gateway().pid != killed.pid
    await picture(watched, "running-light")

    await page.click("#stop")
    await expect(page.locator("#status")).to_have_text("stopped")
    await expect(page.locator("#reason")).to_contain_text("by the user")
    await expect(page.locator("#connection")).to_have_text("Run over, list complete")
    async with page.expect_download() as downloading:
        await page.click("#txt")
    downloaded = contents(Path(await (await downloading.value).path()))
    run = re.search(r"run=([\w-]+)", page.url)
    assert run is not None
    folder = stack.files_of(run[1])

    await eventually(lambda: contents(folder / "output.txt") == downloaded)
    lines = downloaded.splitlines()
    assert await watched.listed() == dict(enumerate(lines, start=1))  # no gap, no repeat
    assert await number(page, "unique") == len(lines)
    assert (watched.wrong, watched.foreign) == ([], [])


# ---- with a stand-in for the orchestrator --------------------------------------------------------------------------


@pytest.fixture
async def orchestrator(bus: Bus) -> Orchestrator:
    return await Orchestrator(bus).answer()


@pytest.fixture
async def client(nats_url: str, orchestrator: Orchestrator) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(nats_url) as served:
        await ready(served)
        await orchestrator.write()
        await eventually(lambda: status_of(served))
        yield served


def address(client: httpx.AsyncClient, *runs: str) -> str:
    return f"{str(client.base_url).rstrip('/')}/?" + "&".join(f"run={run}" for run in runs or (RUN,))


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
    await bus.tell(subjects.presence("p-1"), presence)
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
        await bus.tell(subjects.presence(presence.producer), presence)
