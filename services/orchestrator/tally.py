"""What one provider, or one of its models, did in a run, counted as it happens."""

from collections import Counter
from dataclasses import dataclass, field

from services.orchestrator.prices import Tokens, dollars
from shared.messages import ProviderCounts, Spent, Usage
from shared.outside_text import as_line


@dataclass(slots=True)
class Tally:
    """Running counts; see `ProviderCounts` for the meaning of each."""

    calls: int = 0
    failed: int = 0
    accepted: int = 0
    duplicates: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    usd: int | None = 0
    """Picodollars; None once a call had no price."""
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    last_error: str = ""
    left: str = ""

    def used(self, spent: Spent) -> None:
        """Count a finished call."""
        self.calls += 1
        self.tokens = self.tokens.plus(
            Tokens(
                input=spent.input_tokens,
                cached=spent.cached_tokens,
                output=spent.output_tokens,
                reasoning=spent.reasoning_tokens,
            )
        )
        self.usd = None if self.usd is None or spent.cost is None else self.usd + spent.cost
        self.seconds += spent.seconds
        if spent.outcome in ("failed", "lost"):
            self.failed += 1
            self.errors[spent.error_kind or "unknown"] += 1
        self.last_error = spent.error or self.last_error

    def counts(self) -> ProviderCounts:
        return ProviderCounts(
            calls=self.calls,
            failed=self.failed,
            candidates=self.accepted + self.duplicates,
            accepted=self.accepted,
            duplicates=self.duplicates,
            input_tokens=self.tokens.input,
            output_tokens=self.tokens.output,
            cached_tokens=self.tokens.cached,
            reasoning_tokens=self.tokens.reasoning,
            usd=None if self.usd is None else dollars(self.usd),
            seconds=round(self.seconds, 3),
            errors=dict(self.errors),
            last_error=as_line(self.last_error),
            left=as_line(self.left),
        )


def tokens_of(usage: Usage) -> Tokens:
    """The tokens that a finished call reports."""
    return Tokens(
        input=usage.input_tokens,
        cached=usage.cached_tokens,
        cache_write=usage.cache_write_tokens,
        output=usage.output_tokens,
        reasoning=usage.reasoning_tokens,
    )
