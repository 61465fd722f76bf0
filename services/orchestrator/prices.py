"""What a model call costs: the price table, and exact arithmetic on it."""

import datetime
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

DEFAULT_TABLE = Path(__file__).parents[2] / "deploy" / "prices.toml"

PICO = 10**12
"""Money is counted in whole millionths of a millionth of a dollar: any price per million tokens is then a whole number a
token, and sums are exact."""

NonNegative = Annotated[float, Meta(ge=0)]


class PriceError(ValueError):
    """Raised when a price table cannot be read; the text says where and what is wrong."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the table, in dollars per million tokens."""

    input: NonNegative
    output: NonNegative
    cached_input: NonNegative | None = None
    cache_write: NonNegative | None = None
    reasoning: NonNegative | None = None
    as_of: datetime.date | None = None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, Entry]


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of one call; `cached` and `cache_write` are part of `input`, `reasoning` is part of `output`."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    def plus(self, other: "Tokens") -> "Tokens":
        return Tokens(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Price(msgspec.Struct, frozen=True):
    """What a token of each kind costs, in picodollars."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int

    def cost(self, tokens: Tokens) -> int:
        """Picodollars of one call. Counts that contradict each other are read in the vendor's favour, never below."""
        cached = min(tokens.cached, tokens.input)
        written = min(tokens.cache_write, tokens.input - cached)
        reasoning = min(tokens.reasoning, tokens.output)
        return (
            (tokens.input - cached - written) * self.input
            + cached * self.cached_input
            + written * self.cache_write
            + (tokens.output - reasoning) * self.output
            + reasoning * self.reasoning
        )

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """Picodollars that a call of at most so many tokens can cost, whatever its kinds."""
        dearest_input = max(self.input, self.cached_input, self.cache_write)
        return input_tokens * dearest_input + output_tokens * max(self.output, self.reasoning)


class Prices:
    """The price table: the project's own, with the user's entries over it."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._prices = {name: _price(entry) for name, entry in entries.items()}

    @classmethod
    def load(cls, own: Path | None = None) -> "Prices":
        """Read the table, and `own` over it. Raises PriceError."""
        entries = _read(DEFAULT_TABLE)
        return cls(entries | _read(own) if own else entries)

    def of(self, provider: str, model: str) -> Price | None:
        """The price of a model, or None if the table has none: unknown is not free."""
        return self._prices.get(f"{provider}/{model}") or self._prices.get(f"{provider}/*")


def missing_line(provider: str, model: str) -> str:
    """The line a user adds to a price table for a model it lacks."""
    return f'"{provider}/{model}" = {{ input = 0.00, output = 0.00 }}  # dollars per million tokens, under [models]'


def dollars(pico: int) -> float:
    """Picodollars as dollars, for people and the wire; sums are made before."""
    return pico / PICO


def pico(amount: float) -> int:
    """Dollars as picodollars, by their decimal form: 0.1 is a tenth, not the nearest binary fraction."""
    return int(Decimal(str(amount)) * PICO)


def _price(entry: Entry) -> Price:
    def per_token(amount: float | None, default: float) -> int:
        return pico(default if amount is None else amount) // 1_000_000

    return Price(
        input=per_token(entry.input, 0),
        cached_input=per_token(entry.cached_input, entry.input),
        cache_write=per_token(entry.cache_write, entry.input),
        output=per_token(entry.output, 0),
        reasoning=per_token(entry.reasoning, entry.output),
    )


def _read(path: Path) -> dict[str, Entry]:
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(data, _Table).models
    except OSError as error:
        raise PriceError(f"the price table {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise PriceError(f"the price table {path} is wrong: {error}") from error
