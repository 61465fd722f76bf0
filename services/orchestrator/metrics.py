"""What the orchestrator counts, for Prometheus."""

from collections.abc import Sequence

from services.orchestrator.prices import dollars
from shared.bus import Entry
from shared.messages import Accepted, Duplicate, Spent
from shared.metrics import Counter, Gauge, Histogram

DECIDED = Counter("chorus_candidates_decided", "Candidates decided; the tier is of duplicates", "outcome", "tier")
LATE = Counter("chorus_candidates_late", "Candidates that came when the list was full")
REFUSED = Counter("chorus_candidates_refused", "Candidates and usages that were passed over", "kind")
DECIDE_SECONDS = Histogram("chorus_decide_seconds", "A batch of one run's candidates, decided and written to the log")
TOKENS = Counter("chorus_usage_tokens", "Tokens of calls, also of those read again after a restart", "provider", "direction")
USD = Counter("chorus_usage_usd", "Dollars of calls counted, as far as prices are known", "provider")
RUNS = Gauge("chorus_runs_active", "Runs that have not ended")
OUTSTANDING = Gauge("chorus_tasks_outstanding", "Tasks handed out and not yet reported")
FOREIGN = Counter("chorus_log_foreign", "Messages in the log that are no entries, and were passed over")
LOG_FULL = Gauge("chorus_log_full", "Whether the log of decisions is at its bound, and runs wait")


def decided(entries: Sequence[Entry]) -> tuple[int, int]:
    """Count decisions; returns how many accepted and how many duplicates they were."""
    accepted = duplicates = 0
    for entry in entries:
        if isinstance(entry.message, Accepted):
            accepted += 1
        elif isinstance(entry.message, Duplicate):
            duplicates += 1
            DECIDED.add("duplicate", entry.message.tier)
    if accepted:
        DECIDED.add("accepted", "", by=accepted)
    return accepted, duplicates


def spent(call: Spent) -> None:
    """Count a finished call and what it cost."""
    TOKENS.add(call.provider, "input", by=call.input_tokens)
    TOKENS.add(call.provider, "output", by=call.output_tokens)
    USD.add(call.provider, by=dollars(call.cost or 0))
