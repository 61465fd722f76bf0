"""A run in the browser with the whole stack behind it."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from playwright.async_api import Browser, expect

from tests.conftest import eventually
from tests.e2e.dashboard.page import at_least, number, open_page, picture


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


def contents(file: Path) -> str:
    return file.read_text()


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
