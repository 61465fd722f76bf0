"""What the log shall be, put together from what log, copies and files have of it."""

import hashlib
from collections.abc import AsyncIterator, Iterator

import structlog

from services.recorder import log_copy, run_files
from services.recorder.chains import Chains
from services.recorder.comparison import Comparison, CopyReader, side_by_side
from services.recorder.folder import Folder
from services.recorder.log_copy import LogCopy
from shared import streams, subjects
from shared.bus import Stored, encode
from shared.streams import MAX_BATCH

DROPPED = ".dropped"
"""Begins the names of files that keep what did not fit into the log that was rebuilt."""

TAKEN = frozenset(subject.split(".")[1] for subject in streams.RESULTS.subjects or ())
"""Kinds of entries that the log made anew takes."""

log = structlog.get_logger()


class Merged:
    """Each entry once, in order, without what comes after a hole in a run that goes on; written to a file as a copy is."""

    def __init__(self, folder: Folder, name: str, found: Comparison) -> None:
        self._folder = folder
        self._ended = {*found.chains.ended, *_ended_in(folder, found.lost)}
        self._files = found.files
        self._copy = LogCopy(folder, name, found.store)
        self._dropped: list[Stored] = []
        self._seen: set[bytes] = set()
        self._chains = Chains()
        self._cut: dict[str, str] = {}
        self._unknown: set[str] = set()
        self._lines: list[Stored] = []
        self._end = 0

    def take(self, entries: Iterator[Stored] | CopyReader) -> None:
        """Take the entries of a log that is gone."""
        for stored in entries:
            self._take(stored)

    async def take_both(self, copy: Iterator[Stored], logged: AsyncIterator[list[Stored]]) -> None:
        """Take the copy's entries before the log's: it was written when the log was whole."""
        later: list[Stored] = []  # written by somebody to whom a damaged log had given the same places again
        async for kept, stored in side_by_side(copy, logged):
            self._take(kept or stored)
            if kept and stored and kept != stored:
                later.append(stored)
        for stored in later:
            self._take(stored)

    def finish(self) -> tuple[int, int]:
        """Have all on disk; returns how many entries there are, and how many were left out."""
        for run, begun in self._chains.open():
            if self._has_ended(run) and (finished := run_files.end_of(self._folder, self._files.get((run, begun), ""))):
                log.error("repair.end_restored", run=run)
                self._take(Stored(0, subjects.finished(run), encode(finished), ""))
        self._flush()
        if self._dropped:
            name = f"{DROPPED}-{hashlib.sha256(repr(self._dropped).encode()).hexdigest()[:12]}.jsonl"
            self._folder.replace(name, (log_copy.encoded(stored, "") for stored in self._dropped))
        return self._end, len(self._dropped)

    def _take(self, stored: Stored | None) -> None:
        if stored is None:
            return
        token = hashlib.blake2b(stored.subject.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        if token in self._seen:
            return
        if not self._belongs(stored):
            self._dropped.append(stored)
            return
        self._seen.add(token)
        self._end += 1
        self._lines.append(Stored(self._end, stored.subject, stored.data, stored.trace))
        if len(self._lines) >= MAX_BATCH:
            self._flush()

    def _belongs(self, stored: Stored) -> bool:
        """Whether an entry may stand here. A run that goes on must be whole: what it lacks is decided again.

        What was issued stays: without an entry that it is spent, it is counted from its report again, or at its worst.
        """
        kind, run = subjects.decision(stored.subject)
        if kind not in TAKEN:
            if kind not in self._unknown:
                self._unknown.add(kind)
                log.error("repair.unknown_kind", subject=stored.subject, hint="of a newer version; repair with that")
            return False
        if run in self._cut:
            return kind == "issued"
        unreadable = self._chains.unreadable
        problem = self._chains.follow(stored)
        if not problem:  # what stands in the place of a run's end, and is none, would keep it from ending for ever
            return kind != "finished" or self._chains.unreadable == unreadable
        ended = self._has_ended(run)
        log.error("repair.run_has_a_hole", run=run, sequence=stored.sequence, problem=problem, ended=ended)
        if ended:
            return True
        self._cut[run] = problem
        return False

    def _has_ended(self, run: str) -> bool:
        """Whether a run has ended as any copy or its files say: what it lacks is gone, but nobody shall go on with it."""
        return run in self._ended or (run, self._chains.begun.get(run, "")) in self._files

    def _flush(self) -> None:
        self._copy.append(self._lines)
        self._lines = []


def _ended_in(folder: Folder, copies: list[str]) -> Iterator[str]:
    """The runs that some copies have the end of."""
    for name in copies:
        for stored in CopyReader(folder, name):
            kind, run = subjects.decision(stored.subject)
            if kind == "finished":
                yield run
