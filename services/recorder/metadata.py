"""metadata.json: what a run was, how it ended, and whose files lie beside it."""

import contextlib
from datetime import datetime

import msgspec
from msgspec import Struct

from shared.messages import RunSpec, Status

FORMAT = "1.0"
"""Version of the layout of the four files."""


class ProviderRecord(Struct):
    """What one provider did in a run. What only the run's end tells is None before."""

    candidates: int = 0
    accepted: int = 0
    duplicates: int = 0
    calls: int | None = None
    failed: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Metadata(Struct, kw_only=True):
    """The content of metadata.json."""

    version: str = FORMAT
    run: str
    topic: str | None
    settings: RunSpec | None
    """None if the run's first entry in the log could not be read."""
    started: str
    ended: str | None = None
    """Set last of all: once it is there, the other files are complete."""
    status: Status = "running"
    reason: str = ""
    candidates: int = 0
    accepted: int = 0
    duplicates: int = 0
    late: int = 0
    malformed: int = 0
    """Entries of the run in the log that could not be read."""
    seconds: float = 0
    """Time spent running; pauses are left out once the run has ended."""
    attributes_per_minute: float = 0
    providers: dict[str, ProviderRecord]
    digest: str = ""
    files: tuple[str, ...]
    epoch: str
    """The log that the run stands in: a log made anew may hold another run of the same id."""

    def encoded(self) -> bytes:
        """The file's content."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Owner(Struct):
    """Whose files lie in a folder, and whether they are complete."""

    run: str
    epoch: str
    ended: str | None = None


def owner(content: bytes) -> Owner | None:
    """Whose metadata.json this is; None if nobody's that we know."""
    try:
        return msgspec.json.decode(content, type=Owner)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one time to another as the wire writes them; 0 if one of them is missing or odd."""
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
    return 0.0
