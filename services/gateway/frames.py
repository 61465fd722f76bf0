"""Server-sent events as bytes, rendered once for all clients."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import structlog

from services.gateway.run_view import RunView
from shared import subjects
from shared.bus import Malformed, Stored, decode
from shared.messages import Accepted, Duplicate, FacetCounts, Finished, ProviderCounts, Settled, Snapshot, Status
from shared.metrics import MALFORMED

log = structlog.get_logger()

HEARTBEAT = b"event: hb\ndata: {}\n\n"
RESET = b"event: reset\ndata: {}\n\n"
BYE = b"event: bye\ndata: {}\n\n"

EVENT_ID = re.compile(r"([0-9a-f]{12})-([0-9]{1,18})")


class Frame(NamedTuple):
    """One event of a run's log."""

    sequence: int
    data: bytes
    last: bool = False
    """Nothing follows: the run has ended."""


class Chunk(NamedTuple):
    """Some events of a run's log that are sent at once."""

    sequence: int
    """Of the last of them."""
    data: bytes
    events: int
    last: bool


def chunk(found: Sequence[Frame]) -> Chunk:
    """These frames, of which there is one at least, as one piece."""
    return Chunk(found[-1].sequence, b"".join([frame.data for frame in found]), len(found), found[-1].last)


class AcceptedEvent(msgspec.Struct):
    """Data of the event `accepted`."""

    ordinal: int
    text: str
    provider: str
    model: str
    producer: str
    facet: str
    task: str
    at: str
    digest: str
    near: int = 0
    """Ordinal of the attribute it may repeat, though it was kept; 0 when there is none."""
    near_text: str = ""
    near_score: float = 0
    near_why: str = ""
    """In words, how the two differ."""
    probe: bool = False
    """Its call was made as if nothing had been found yet."""
    trace: str = ""
    """Id of the trace in which it was found."""


class DuplicateEvent(msgspec.Struct):
    """Data of the event `duplicate`, for those who ask for it."""

    of: int
    """Ordinal of the attribute that it repeats."""
    text: str
    tier: str
    score: float
    why: str
    """In words, what makes the two one."""
    provider: str
    model: str
    producer: str
    task: str
    facet: str
    at: str
    trace: str = ""


class SettledEvent(msgspec.Struct):
    """Data of the event `settled`, for those who ask for duplicates: a model has judged a possible one."""

    ordinal: int
    of: int
    same: bool
    provider: str
    model: str
    at: str


class DoneEvent(msgspec.Struct, kw_only=True):
    """Data of the event `done`."""

    status: Status
    reason: str
    accepted: int
    duplicates: int
    late: int = 0
    seconds: float
    calls: int
    tokens: int
    usd: float | None
    providers: dict[str, ProviderCounts]
    models: dict[str, ProviderCounts]
    coverage: float | None = None
    coverage_low: float | None = None
    coverage_high: float | None = None
    new_share: float | None = None
    marginal_usd: float | None = None
    marginal_seconds: float | None = None
    on_topic: float | None = None
    on_topic_low: float | None = None
    on_topic_high: float | None = None
    judged: int = 0
    facets: dict[str, FacetCounts] = {}
    digest: str = ""
    at: str = ""


KINDS: dict[str, tuple[bytes, type[msgspec.Struct], type[msgspec.Struct]]] = {
    "accepted": (b"accepted", Accepted, AcceptedEvent),
    "duplicate": (b"duplicate", Duplicate, DuplicateEvent),
    "settled": (b"settled", Settled, SettledEvent),
    "finished": (b"done", Finished, DoneEvent),
}
"""Of each kind of entry of the log: the event's name, the entry's type, and the type of the event's data."""

ASIDE = ("duplicate", "settled")
"""Kinds that are sent to those who ask for duplicates."""


def event_id(epoch: str, sequence: int) -> str:
    return f"{epoch}-{sequence}"


def parse_event_id(text: str) -> tuple[str, int] | None:
    """Epoch and sequence of an event id, or None if it is none of ours."""
    found = EVENT_ID.fullmatch(text)
    return (found[1], int(found[2])) if found else None


def opening(retry_milliseconds: int) -> bytes:
    """First bytes of a stream: they make a client's `open` fire and say how soon to come back."""
    return f"retry: {retry_milliseconds}\n: ok\n\n".encode()


def hello(view: RunView) -> bytes:
    """Where the run stands when a client joins."""
    return _event(b"hello", msgspec.json.encode(view))


def ended(view: RunView) -> bytes:
    """The end of a run whose last entry the log does not have: the log was lost, the run's state was not."""
    data = msgspec.convert(view, DoneEvent, from_attributes=True)
    return _event(b"done", msgspec.json.encode(data))


def run(view: RunView) -> bytes:
    """The run changed its status."""
    return _event(b"run", msgspec.json.encode(view))


def snapshot(message: Snapshot) -> bytes:
    """The run's counters as of now; without an id, for it is no part of the log."""
    return _event(b"snapshot", msgspec.json.encode(message))


def decision(stored: Stored, epoch: str) -> Frame | None:
    """The frame of one entry of the log, or None (and a line in our log) if it is malformed."""
    kind, _ = subjects.decision(stored.subject)
    if kind not in KINDS:
        return None
    name, entry, event = KINDS[kind]
    try:
        data = msgspec.convert(decode(entry, stored.data), event, from_attributes=True)
        rendered = _event(name, msgspec.json.encode(data), event_id(epoch, stored.sequence))
        return Frame(stored.sequence, rendered, last=kind == "finished")
    except Malformed as error:
        MALFORMED.add(entry.__name__)
        log.warning("entry.malformed", subject=stored.subject, sequence=stored.sequence, error=str(error))
        return None


def _event(name: bytes, data: bytes, id: str = "") -> bytes:
    """One event. JSON has no raw line breaks, so its data is always one line."""
    first = b"id: " + id.encode() + b"\n" if id else b""
    return first + b"event: " + name + b"\ndata: " + data + b"\n\n"
