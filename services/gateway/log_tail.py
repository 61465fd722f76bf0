"""The newest part of the log, in pieces ready to send."""

from bisect import bisect_right
from collections import deque

from services.gateway.frames import Chunk, Frame

TAIL_BYTES = 16 * 1024 * 1024
"""Frames kept for each kind of client, of all runs: about 40,000 attributes. Who is further behind reads the stream."""

TAIL_ENTRIES = 20_000
"""Entries of the log that a gateway reads when it starts, so that most clients that come back find their place."""

CHUNK_FRAMES = 200
"""Frames sent at once, about 80 KB: a slow line gets it through within the time a send may take, and what each send costs
besides its bytes is shared by many."""


class _Piece:
    """Up to `CHUNK_FRAMES` frames that follow each other, as one run of bytes that all clients are sent."""

    def __init__(self) -> None:
        self._data: bytes | bytearray = bytearray()
        self._sequences: list[int] = []
        self._ends: list[int] = []
        self._last = False

    @property
    def full(self) -> bool:
        return len(self._sequences) >= CHUNK_FRAMES

    @property
    def sequence(self) -> int:
        """Of its last frame."""
        return self._sequences[-1]

    @property
    def size(self) -> int:
        return len(self._data)

    def add(self, frame: Frame) -> None:
        self._data += frame.data
        self._sequences.append(frame.sequence)
        self._ends.append(len(self._data))
        self._last = frame.last
        if self.full:
            self._data = bytes(self._data)  # from now on it is sent as it is, without being copied for each client

    def after(self, sequence: int) -> Chunk:
        """What follows a sequence that is below its last."""
        skipped = bisect_right(self._sequences, sequence)
        data = self._data[self._ends[skipped - 1] :] if skipped else self._data
        return Chunk(self.sequence, bytes(data), len(self._sequences) - skipped, self._last)


class _RunTail:
    """The newest pieces of one run, oldest first."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._pieces: deque[_Piece] = deque()
        self._ends: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, frame: Frame) -> bool:
        """Add a frame; returns whether it begins a new piece."""
        begins = not self._pieces or self._pieces[-1].full
        if begins:
            self._pieces.append(_Piece())
            self._ends.append(0)
        self._pieces[-1].add(frame)
        self._ends[-1] = frame.sequence
        return begins

    def drop_oldest(self) -> _Piece:
        piece = self._pieces.popleft()
        self.floor = self._ends.popleft()
        return piece

    def after(self, sequence: int) -> Chunk | None:
        place = bisect_right(self._ends, sequence)
        return self._pieces[place].after(sequence) if place < len(self._pieces) else None


class LogTail:
    """The log's newest entries. A client needs no queue: its place is a sequence, and `after` gives what follows."""

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
        """The run of each piece, in the order in which they began."""
        self._runs: dict[str, _RunTail] = {}

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
            self._runs[run] = _RunTail(self._floor)
        if self._runs[run].add(frame):
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

    def after(self, run: str, sequence: int) -> Chunk | None:
        """The next frames of a run above a sequence that is not below its floor; None if there are none."""
        tail = self._runs.get(run)
        return tail.after(sequence) if tail else None

    def _drop_oldest(self) -> None:
        run = self._order.popleft()
        piece = self._runs[run].drop_oldest()
        self._bytes -= piece.size
        self._floor = max(self._floor, piece.sequence)
        if not len(self._runs[run]):
            del self._runs[run]
