"""A page of the dashboard, and reading what it shows."""

from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.conftest import eventually
from tests.integration.gateway.kit import RUN

OUTPUT = Path(__file__).parents[1] / "output"
"""Screenshots, to be looked at."""

PATIENCE = 30_000
"""Milliseconds until the page must show something: tests share their machine."""

expect.set_options(timeout=PATIENCE)


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


async def picture(watched: Watched, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    await watched.page.screenshot(path=OUTPUT / f"{name}.png", full_page=name != "story")


def address(client: httpx.AsyncClient, *runs: str) -> str:
    return f"{str(client.base_url).rstrip('/')}/?" + "&".join(f"run={run}" for run in runs or (RUN,))
