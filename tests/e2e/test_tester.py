"""The tester as a user runs it."""

import asyncio
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.vendors.server import vendors


async def run(folder: Path, *flags: str, **variables: str) -> tuple[int, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "NATS_URL"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.tester", *flags),
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(Path.cwd()), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 110)
    return process.returncode or 0, output.decode()


async def test_a_scenario_passes_and_leaves_its_results(tmp_path: Path) -> None:
    flags = ("--scenario", "trace_capture", "--junit", "results.xml", "--seed", "7", "--verbose")
    code, said = await run(tmp_path, *flags)
    assert code == 0, said
    assert "seed 7" in said
    assert "1 of 1 passed" in said
    (case,) = ET.parse(tmp_path / "results.xml").getroot().iter("testcase")  # noqa: S314  # the tester wrote it
    assert case.get("name") == "trace-capture"


async def test_a_run_that_takes_too_long_fails(tmp_path: Path) -> None:
    code, said = await run(tmp_path, "--scenario", "minimal", "--timeout-secs", "0.01")
    assert code == 1, said
    assert "FAILED" in said


async def test_a_real_vendor_needs_a_key(tmp_path: Path) -> None:
    code, said = await run(tmp_path, "--scenario", "real-api")
    assert code == 0, said
    assert "not run" in said
    assert "OPENAI_API_KEY" in said


async def test_with_a_key_the_vendor_is_asked(tmp_path: Path) -> None:
    async with vendors(seed=1) as server:
        address = {"OPENAI_API_KEY": "sk-test-0123456789abcdef", "OPENAI_BASE_URL": server.openai.url}
        code, said = await run(tmp_path, "--scenario", "real-api", **address)
        assert code == 0, said
        assert "2 calls" in said


async def test_an_unknown_scenario_is_told_in_one_line(tmp_path: Path) -> None:
    code, said = await run(tmp_path, "--scenario", "everything")
    assert code == 2
    assert "trace-capture" in said
    assert len(said.splitlines()) == 1
