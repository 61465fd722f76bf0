"""The dashboard in a real browser: when each event reached its script."""

import contextlib
import time
from collections.abc import AsyncIterator

from playwright.async_api import Page, expect

from tests.bench.gateway.watchers import SENT
from tests.e2e.chromium import chromium

RECORDING = """
window.arrived = [];
window.EventSource = class extends EventSource {
    constructor(address) {
        super(address);
        this.addEventListener("accepted", (event) => window.arrived.push([performance.now(), event.data]));
    }
};
"""
"""Runs before the page's own scripts: its event stream also notes when what came."""

LOOKS = 30
"""At the browser's clock, to tell how it differs from ours; the quickest counts."""


class Viewer:
    """The page of a run."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def delays(self) -> tuple[list[float], float]:
        """Milliseconds from `sent=<nanoseconds>` in an attribute's text to its event, and how much they may all be off."""
        ahead, uncertainty = await self._clock()
        arrived: list[tuple[float, str]] = await self._page.evaluate("window.arrived")
        return [now - ahead - int(sent) / 1e6 for now, data in arrived for sent in SENT.findall(data.encode())], uncertainty

    async def _clock(self) -> tuple[float, float]:
        """How far the browser's clock is ahead of ours, and by how much that may be wrong, in milliseconds."""
        best = (0.0, float("inf"))
        for _ in range(LOOKS):
            before = time.monotonic_ns()
            now = float(await self._page.evaluate("performance.now()"))
            after = time.monotonic_ns()
            best = min(best, (now - (before + after) / 2e6, (after - before) / 2e6), key=lambda look: look[1])
        return best


@contextlib.asynccontextmanager
async def viewer(url: str, run: str) -> AsyncIterator[Viewer]:
    """A browser that shows a run, and is connected."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.add_init_script(RECORDING)
        await page.goto(f"{url}/?run={run}")
        await expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)
        yield Viewer(page)
