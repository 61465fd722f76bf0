"""The files of all runs in one output folder, as far as one log (one epoch of RESULTS) tells of them."""

import time

import structlog

from services.recorder import cursor, metrics
from services.recorder.cursor import Cursor
from services.recorder.folder import Folder
from services.recorder.place import find_place
from services.recorder.recording import Recording
from shared import subjects
from shared.bus import Malformed, Stored, StreamHead, decode
from shared.messages import Accepted, Duplicate, Finished, Settled, Started

CURSOR_SECONDS = 5.0
"""Between two writings of the cursor: one that is behind costs some reading after a restart and nothing else."""

log = structlog.get_logger()

Entry = Started | Accepted | Duplicate | Settled | Finished

KINDS: dict[str, type[Entry]] = {
    "started": Started,
    "accepted": Accepted,
    "duplicate": Duplicate,
    "settled": Settled,
    "finished": Finished,
}

OF_NO_FILE = frozenset(("issued", "spent", "epoch"))
"""Kinds of entries that no file of a run tells of: its calls, which the last entry sums up, and who wrote the log."""


class Archive:
    """Takes the entries of the log in order. After an OSError it is to be closed, and a new one to be fed anew."""

    def __init__(self, root: Folder, head: StreamHead, *, one_run_exactly: bool | None = None) -> None:
        """`one_run_exactly`: None to keep all runs and a cursor; else to keep one, with True in `root` itself."""
        self.root = root
        self._epoch = head.epoch
        self._exactly = bool(one_run_exactly)
        self._cursor = cursor.load(root, head) if one_run_exactly is None else None
        self._next_cursor = time.monotonic() + CURSOR_SECONDS
        self._active: dict[str, Recording] = {}
        self._begun: dict[str, int] = {}
        """Where the active runs' first entries stand."""
        self._unreadable: dict[str, int] = {}
        """Where the first entries stand that could not be read, of runs of which nothing else came yet."""
        self._unknown: set[str] = set()
        """Kinds of entries of a newer version that came by."""
        self._complete: set[str] = set()
        """Runs whose files were complete before; until their last entry has passed."""
        self.sequence = self._cursor.sequence if self._cursor else 0
        """The entry taken last, or after which the reading is to begin."""

    def take(self, batch: list[Stored]) -> None:
        """Write what the next entries say, then what is due. Raises OSError."""
        for stored in batch:
            kind, run = subjects.decision(stored.subject)
            if kind not in KINDS:
                self._pass_over(stored, kind)
            elif run not in self._complete or kind == "finished":
                self._take(stored, kind, run)
            self.sequence = stored.sequence
        for recording in self._active.values():
            recording.flush()
            recording.snapshot_if_due()
        if time.monotonic() >= self._next_cursor:
            self._save_cursor()

    def close(self) -> None:
        """Bring the files up to date as far as the disk allows, and let go of them."""
        try:
            for recording in self._active.values():
                recording.snapshot()
            self._save_cursor()
        except OSError as error:
            log.warning("recorder.closed_behind", error=str(error), hint="the next start completes the files from the log")
        for recording in self._active.values():
            recording.folder.close()
        self._active.clear()
        self.root.close()

    # ---- entries -----------------------------------------------------------------------------------------------

    def _pass_over(self, stored: Stored, kind: str) -> None:
        if kind in OF_NO_FILE or kind in self._unknown:
            return
        self._unknown.add(kind)
        log.warning(
            "recorder.unknown_kind", subject=stored.subject, sequence=stored.sequence, hint="of a newer version; passed over"
        )

    def _take(self, stored: Stored, kind: str, run: str) -> None:
        entry = _read(stored, kind, run)
        if isinstance(entry, Started):
            self._begin(entry.run, stored.sequence, entry)
        elif kind == "started":
            self._unreadable[run] = stored.sequence
        elif run in self._complete:
            self._complete.remove(run)
        elif entry and run in self._unreadable:  # a run whose first entry cannot be read is recorded all the same
            self._begin(run, self._unreadable.pop(run), None)
            self._take(stored, kind, run)
        elif recording := self._active.get(run):
            self._continue(recording, stored, entry)
        elif entry:
            log.error("recorder.stray_entry", subject=stored.subject, sequence=stored.sequence, hint="its run has not begun")

    def _begin(self, run: str, sequence: int, started: Started | None) -> None:
        begun = started.at if started else ""
        folder, standing = find_place(
            self.root, started.spec.topic if started else "", run, self._epoch, begun, exactly=self._exactly
        )
        if standing == "complete":
            folder.close()
            self._complete.add(run)
            return
        try:
            recording = self._active[run] = Recording(folder, run, self._epoch, started)
        except OSError:
            folder.close()
            raise
        self._begun[run] = sequence
        if standing != "ours":
            recording.begin()
        log.info("recording.started" if standing == "free" else "recording.resumed", run=run, folder=str(folder.path))

    def _continue(self, recording: Recording, stored: Stored, entry: Entry | None) -> None:
        match entry:
            case Accepted():
                recording.accept(stored, entry)
            case Duplicate():
                recording.absorb(entry)
            case Settled():
                recording.settle(entry)
            case Finished():
                recording.finish(entry)
                recording.folder.close()
                del self._active[recording.run], self._begun[recording.run]
            case _:
                recording.skip()

    # ---- cursor ------------------------------------------------------------------------------------------------

    def _save_cursor(self) -> None:
        self._next_cursor = time.monotonic() + CURSOR_SECONDS
        if self._cursor is None:
            return
        reached = Cursor(self._epoch, min(self._begun.values(), default=self.sequence + 1) - 1)
        if reached != self._cursor:
            cursor.save(self.root, reached)
            self._cursor = reached


def _read(stored: Stored, kind: str, run: str) -> Entry | None:
    """The entry, or None if it is malformed, not of the run that its subject names, or none at all.

    The server stores its answer to any request as an entry, if the request asks for it on an entry's subject.
    """
    try:
        entry = decode(KINDS[kind], stored.data)
        if entry.run != run:
            raise Malformed(f"{kind}: it says it is of run {entry.run}")
    except Malformed as error:
        metrics.MALFORMED.add()
        log.warning("recorder.malformed", subject=stored.subject, sequence=stored.sequence, error=str(error))
        return None
    return entry
