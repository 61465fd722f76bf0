"""The newest part of the log, as frames ready to send."""

from bisect import bisect_right
from collections import deque
from heapq import merge
from itertools import islice
from operator import attrgetter

from services.gateway.frames import Chunk, Frame, chunk

TAIL_BYTES = 16 * 1024 * 1024
"""Frames kept of each kind, of all runs together: about 40,000 attributes. Who is further behind reads the stream."""

TAIL_ENTRIES = 20_000
"""Entries of the log that a gateway reads when it starts, so that most clients that come back find their place."""

CHUNK_FRAMES = 100
"""Frames sent at once, about 40 KB: a slow line gets it through within the time a send may take."""

MAX_CHUNKS = 64
"""Pieces kept for the next client, about 2.5 MB."""

_sequence = attrgetter("sequence")


class _Tail:
    """The newest frames of one run, oldest first."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._frames: list[Frame] = []
        self._start = 0  # frames below it are gone; cutting them off one by one would move all the others each time

    def __len__(self) -> int:
        return len(self._frames) - self._start

    def add(self, frame: Frame) -> None:
        self._frames.append(frame)

    def drop_oldest(self) -> Frame:
        frame = self._frames[self._start]
        self._start += 1
        self.floor = frame.sequence
        if self._start > 1000 and self._start * 2 > len(self._frames):
            del self._frames[: self._start]
            self._start = 0
        return frame

    def after(self, sequence: int, limit: int) -> list[Frame]:
        first = bisect_right(self._frames, sequence, lo=self._start, key=_sequence)
        return list(islice(self._frames, first, first + limit))


class LogTail:
    """Frames of the log's newest entries. A client needs no queue: its place is a sequence, and `after` gives what follows."""

    def __init__(self, max_bytes: int = TAIL_BYTES) -> None:
        self.epoch = ""
        """Of the log that is read; empty until there is one."""
        self.generation = 0
        """Rises whenever the log is read anew: places of another generation mean nothing."""
        self.head = 0
        """Sequence up to which the log has been read."""
        self._floor = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._order: deque[str] = deque()
        self._runs: dict[str, _Tail] = {}

    def begin(self, epoch: str, floor: int) -> None:
        """Forget everything and hold what a log has above sequence `floor`."""
        self.epoch = epoch
        self.generation += 1
        self.head = self._floor = floor
        self._bytes = 0
        self._order.clear()
        self._runs.clear()

    def add(self, run: str, frame: Frame) -> None:
        """Take the next frame of the log; one that is not above `head` is an old one read again, and is left out."""
        if frame.sequence <= self.head:
            return
        self.head = frame.sequence
        if run not in self._runs:
            self._runs[run] = _Tail(self._floor)
        self._runs[run].add(frame)
        self._order.append(run)
        self._bytes += len(frame.data)
        while self._bytes > self._max_bytes:
            self._drop_oldest()

    def skip(self, sequence: int) -> None:
        """Note that the log was read up to here, though there is nothing to show for it."""
        self.head = max(self.head, sequence)

    def floor(self, run: str) -> int:
        """Frames of this run above the floor are all here, up to `head`; those at or below may be gone."""
        tail = self._runs.get(run)
        return tail.floor if tail else self._floor

    def after(self, run: str, sequence: int, limit: int) -> list[Frame]:
        """The next frames of a run above a sequence that is not below its floor."""
        tail = self._runs.get(run)
        return tail.after(sequence, limit) if tail else []

    def _drop_oldest(self) -> None:
        run = self._order.popleft()
        frame = self._runs[run].drop_oldest()
        self._bytes -= len(frame.data)
        self._floor = frame.sequence
        if not len(self._runs[run]):
            del self._runs[run]


class Log:
    """What the log holds of late: the list, and aside from it, since few ask for them, what is told of duplicates."""

    def __init__(self, max_bytes: int = TAIL_BYTES) -> None:
        self._accepted = LogTail(max_bytes)
        self._aside = LogTail(max_bytes)
        self._chunks: dict[tuple[str, int, bool], tuple[int, Chunk]] = {}
        """By where they begin, with the head as it was: a chunk that is full stays as it is, another may have grown since."""

    @property
    def epoch(self) -> str:
        """Of the log that is read; empty until there is one."""
        return self._accepted.epoch

    @property
    def generation(self) -> int:
        """Rises whenever the log is read anew: places of another generation mean nothing."""
        return self._accepted.generation

    @property
    def head(self) -> int:
        """Sequence up to which the log has been read."""
        return self._accepted.head

    def begin(self, epoch: str, floor: int) -> None:
        """Forget everything and hold what a log has above sequence `floor`."""
        self._accepted.begin(epoch, floor)
        self._aside.begin(epoch, floor)
        self._chunks.clear()

    def add(self, run: str, frame: Frame, *, aside: bool = False) -> None:
        """Take the next frame of the log."""
        kind, other = (self._aside, self._accepted) if aside else (self._accepted, self._aside)
        kind.add(run, frame)
        other.skip(frame.sequence)

    def skip(self, sequence: int) -> None:
        """Note that the log was read up to here, though there is nothing to show for it."""
        self._accepted.skip(sequence)
        self._aside.skip(sequence)

    def floor(self, run: str, *, duplicates: bool) -> int:
        """Frames of this run above the floor are all here, up to `head`; those at or below may be gone."""
        accepted = self._accepted.floor(run)
        return max(accepted, self._aside.floor(run)) if duplicates else accepted

    def next_chunk(self, run: str, sequence: int, *, duplicates: bool) -> Chunk | None:
        """The next frames of a run above a sequence that is not below its floor, as one piece; None if there are none.

        Clients that watch one run are mostly at the same place, so a piece is put together once and sent to all of them.
        """
        place = (run, sequence, duplicates)
        if (known := self._chunks.get(place)) and (known[0] == self.head or known[1].events == CHUNK_FRAMES):
            return known[1]
        found = self._after(run, sequence, CHUNK_FRAMES, duplicates=duplicates)
        if not found:
            return None
        made = chunk(found)
        self._chunks[place] = (self.head, made)
        while len(self._chunks) > MAX_CHUNKS:
            del self._chunks[next(iter(self._chunks))]
        return made

    def _after(self, run: str, sequence: int, limit: int, *, duplicates: bool) -> list[Frame]:
        accepted = self._accepted.after(run, sequence, limit)
        if not duplicates:
            return accepted
        return list(islice(merge(accepted, self._aside.after(run, sequence, limit), key=_sequence), limit))
