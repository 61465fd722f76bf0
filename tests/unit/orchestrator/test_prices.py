"""Prices are exact, dated, and never zero by accident."""

from pathlib import Path

import pytest

from services.orchestrator.prices import PriceError, Prices, Tokens, dollars, missing_line, pico


def test_a_known_call_costs_what_the_vendor_says() -> None:
    price = Prices.load().of("openai", "gpt-4o-mini")
    assert price is not None
    assert dollars(price.cost(Tokens(input=1000, output=500))) == 0.00045


def test_cached_and_reasoning_tokens_count_at_their_own_price(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[models]\n"openai/x" = { input = 1.0, cached_input = 0.25, output = 4.0, reasoning = 8.0 }\n')
    price = Prices.load(own).of("openai", "x")
    assert price is not None
    tokens = Tokens(input=1_000_000, cached=400_000, output=1_000_000, reasoning=250_000)
    assert dollars(price.cost(tokens)) == 0.6 + 0.1 + 3.0 + 2.0
    assert price.cost(tokens) <= price.most(tokens.input, tokens.output)


def test_an_unknown_model_has_no_price() -> None:
    prices = Prices.load()
    assert prices.of("openai", "made-up") is None
    assert prices.of("local", "anything") is not None
    assert '"openai/made-up" = ' in missing_line("openai", "made-up")


def test_own_entries_win_and_others_stay(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[models]\n"openai/gpt-4o" = { input = 9.0, output = 9.0 }\n')
    prices = Prices.load(own)
    changed, kept = prices.of("openai", "gpt-4o"), prices.of("openai", "gpt-4o-mini")
    assert changed is not None
    assert changed.input == pico(9.0) // 1_000_000
    assert kept == Prices.load().of("openai", "gpt-4o-mini")


@pytest.mark.parametrize(
    "text",
    ["[models", '[models]\n"a/b" = { input = -1, output = 0 }', '[models]\n"a/b" = { input = 1, ouput = 1, output = 1 }'],
)
def test_a_wrong_table_says_where(tmp_path: Path, text: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(PriceError, match="is wrong"):
        Prices.load(own)


def test_a_missing_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match="cannot be read"):
        Prices.load(tmp_path / "none.toml")


def test_every_vendor_price_is_dated() -> None:
    from services.orchestrator.prices import DEFAULT_TABLE, _read

    assert [name for name, entry in _read(DEFAULT_TABLE).items() if entry.as_of is None] == []
