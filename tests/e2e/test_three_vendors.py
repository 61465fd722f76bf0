"""One list from three vendors that fail a fifth of the time: real SDKs, a real bus, and money that adds up."""

import json
from pathlib import Path

from services.orchestrator.prices import Prices, Tokens, dollars
from shared.providers import DEFAULT_MODELS
from tests.e2e.test_cli import CommandLine, check_files
from tests.vendors.faults import Fault
from tests.vendors.server import vendors

MARK = "marked-secret-0123456789"


async def test_three_vendors_share_a_list_and_the_bill_is_exact(tmp_path: Path) -> None:
    """All three contribute, the run goes on through 20 % errors, and the spending is the vendors' own sum."""
    async with vendors(seed=3) as server:
        for vendor in server.all:
            vendor.rate(0.2, Fault.RATE_LIMITED_SECONDS, Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.OVERLOADED)
        cli = CommandLine(tmp_path)
        code, output, errors = await cli.run(
            *("--topic", "Paris attractions", "--provider", "env", "--producers", "6", "--iterations", "5"),
            *("--request-size", "20", "--max-usd", "5", "--dedupe", "exact", "--output", "list", "--json"),
            seconds=100,
            OPENAI_API_KEY=f"sk-{MARK}-o",
            OPENAI_BASE_URL=server.openai.url,
            ANTHROPIC_API_KEY=f"sk-ant-{MARK}-a",
            ANTHROPIC_BASE_URL=server.anthropic.url,
            GEMINI_API_KEY=f"{MARK}-g",
            GEMINI_BASE_URL=server.gemini.url,
        )
        assert code == 0, errors
        metadata = check_files(tmp_path / "list")
        billed = 0
        for provider in ("openai", "anthropic", "gemini"):
            price = Prices.load().of(provider, DEFAULT_MODELS[provider])
            assert price is not None
            entries = [e for e in server.ledger.entries if e.provider == provider]
            for entry in entries:
                billed += price.cost(Tokens(input=entry.billed.input, output=entry.billed.output))
            assert metadata["providers"][provider]["accepted"] > 0
            assert metadata["providers"][provider]["left"] == ""
            assert {e.fault for e in entries} - {None}, "no call of it failed, so the test shows nothing"
    assert metadata["providers"].keys() == {"openai", "anthropic", "gemini"}
    assert 30 < metadata["calls"] <= 36  # those for attributes, and a few for the parts of the topic
    assert metadata["usd"] == dollars(billed)
    assert json.loads(output.splitlines()[-1])["usd"] == metadata["usd"]
    for path in (tmp_path / "list").iterdir():
        assert MARK not in path.read_text()
    assert MARK not in output + errors
