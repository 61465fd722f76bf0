"""What a producer counts, for Prometheus."""

from shared.messages import Usage
from shared.metrics import Counter, Gauge

CALLS = Counter("chorus_calls", "Model calls made", "provider", "outcome")
RETRIES = Counter("chorus_call_retries", "Requests made again", "provider")
TOKENS = Counter("chorus_call_tokens", "Tokens of model calls", "provider", "direction")
REJECTED = Counter("chorus_lines_rejected", "Lines of answers that were no attributes", "kind")
MALFORMED = Counter("chorus_tasks_malformed", "Tasks discarded since nobody could do them")
PAUSED = Gauge("chorus_key_paused_seconds", "How long the key still waits for a rate limit")


def made(usage: Usage) -> None:
    """Count a call that was made."""
    CALLS.add(usage.provider, usage.outcome)
    RETRIES.add(usage.provider, by=max(0, usage.attempts - 1))
    TOKENS.add(usage.provider, "input", by=usage.input_tokens)
    TOKENS.add(usage.provider, "output", by=usage.output_tokens)
    for kind, count in usage.rejected.items():
        REJECTED.add(kind, by=count)
