"""What the recorder counts, for Prometheus."""

from collections import Counter as Kinds
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from shared.bus import Malformed, Stored, decode
from shared.metrics import Counter, Gauge

ENTRIES = Counter("chorus_recorded_entries", "Entries of the log written to files", "kind")
MALFORMED = Counter("chorus_recorded_entries_malformed", "Entries of the log that could not be read")
DAMAGED = Counter("chorus_log_damaged", "Places where the log differs from its copy, its own digests or a run's end", "what")
REPAIRED = Counter("chorus_files_repaired", "Files that did not agree with the log, set aside and written anew from it")
LAG = Gauge("chorus_recorder_lag_seconds", "From the newest recorded decision to its being in the files; 0 when all are")


class _Dated(msgspec.Struct):
    """Of any entry, when it was made."""

    at: str = ""


def recorded(kinds: Kinds[str], batch: Sequence[Stored]) -> None:
    """Count a batch that is in the files; an empty one says that nothing is waiting."""
    for kind, count in kinds.items():
        ENTRIES.add(kind, by=count)
    lag = _age(batch[-1]) if batch else 0.0
    LAG.read = lambda: lag


def _age(stored: Stored) -> float:
    """Seconds since an entry was made, by this machine's clock."""
    try:
        made = datetime.fromisoformat(decode(_Dated, stored.data).at)
        return max(0.0, (datetime.now(UTC) - made.astimezone(UTC)).total_seconds())
    except (Malformed, ValueError, OverflowError):
        return 0.0
