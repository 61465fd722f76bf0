"""What an entry of the log is: its subject says of which kind and run, and its content agrees.

Whatever else stands in the stream is passed over by all who read it. The server itself may put it there: it sends its answer to
any request to the subject that the request names.
"""

import structlog

from shared import subjects
from shared.bus import Malformed, Stored, decode
from shared.messages import Accepted, Duplicate, Epoch, Finished, Issued, Settled, Spent, Started

Entry = Started | Accepted | Duplicate | Settled | Issued | Spent | Finished | Epoch

KINDS: dict[str, type[Entry]] = {
    "started": Started,
    "accepted": Accepted,
    "duplicate": Duplicate,
    "settled": Settled,
    "issued": Issued,
    "spent": Spent,
    "finished": Finished,
    "epoch": Epoch,
}

log = structlog.get_logger()


def read(stored: Stored) -> Entry:
    """The entry. Raises Malformed for what is none, or belongs on another subject."""
    kind, run = subjects.decision(stored.subject)
    if kind not in KINDS:
        raise Malformed(f"an entry of an unknown kind, {kind[:40]}")
    entry = decode(KINDS[kind], stored.data)
    if kind != "epoch" and getattr(entry, "run", run) != run:
        raise Malformed(f"{type(entry).__name__}: of another run than its subject says")
    return entry


def is_entry(stored: Stored) -> bool:
    """Whether it is one."""
    try:
        read(stored)
    except Malformed:
        return False
    return True


def read_or_skip(stored: Stored) -> Entry | None:
    """The entry, or None: one that cannot be read must not keep every run from being taken up."""
    try:
        return read(stored)
    except Malformed as error:
        log.warning("recovery.malformed", subject=stored.subject[:200], sequence=stored.sequence, error=str(error)[:200])
        return None
