"""The second copy of the log: every entry of RESULTS in its order, in one file that only grows.

`.log-<epoch>.jsonl` in the folder of the runs' folders. Its first line names the NATS store that the log stood in, each
other line one entry. Each line's `check` is a hash of what it says and, but for the first, of the check before, so a flipped
bit shows, and where.
"""

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import msgspec
import structlog
from msgspec import Struct

from services.recorder.folder import Folder
from shared.bus import Stored

log = structlog.get_logger()

PREFIX, SUFFIX = ".log-", ".jsonl"

MAX_LINE = 256 * 1024
"""Bytes of one line: the largest entry, 64 KiB of which every byte may need base64, with room for the rest."""

CHECK_CHARACTERS = 32
"""128 bits of the hash, in hex."""

STEP = 8 * 1024
"""Bytes read at once on the way back from a file's end: some ten lines."""


class Header(Struct, frozen=True, omit_defaults=True):
    """First line: where the log stood. A store made anew has another name, so its log is not taken for a damaged one."""

    store: str
    check: str = ""
    """Empty where a person wrote the line."""


class Line(Struct, frozen=True, omit_defaults=True):
    """One entry. What is no JSON of one line stands in `bytes`, in base64."""

    sequence: int
    subject: str
    check: str
    trace: str = ""
    entry: msgspec.Raw = msgspec.Raw()
    bytes: str = ""


def name_of(epoch: str) -> str:
    """The file's name for the log of this epoch (see `shared.bus.StreamHead`)."""
    return f"{PREFIX}{epoch}{SUFFIX}"


def names(folder: Folder) -> list[str]:
    """The copies in a folder, of whatever log."""
    return sorted(name for name in folder.names() if name.startswith(PREFIX) and name.endswith(SUFFIX))


def store_of(folder: Folder, name: str) -> str | None:
    """Which NATS store a copy belongs to; empty if it has not one whole line yet, None if the first one is damaged."""
    with folder.open(name) as file:
        line = text = file.readline(MAX_LINE)
        while text and not text.endswith(b"\n"):  # zeros, if a power cut left the length of more than a line without its data
            text = file.readline(MAX_LINE)
    return _store(line) if text else ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A line of a copy: the entry, or None where the line is damaged."""

    number: int
    """Of the line, from 1 for the first entry."""
    stored: Stored | None
    complete: bool = True
    """False for what a crash left after the last line's end: what it began to say is still in the log."""


def read(folder: Folder, name: str, size: int) -> Iterator[Kept]:
    """The lines in the first `size` bytes of a copy, each checked. Raises OSError."""
    check = ""
    with folder.open(name) as file:
        left = size - len(file.readline(MAX_LINE))
        number = 0
        while left > 0 and (text := file.readline(min(left, MAX_LINE))):
            left -= len(text)
            number += 1
            if not text.endswith(b"\n"):  # no line: the end of the file, or damage as far as the next line's end
                while left > 0 and not text.endswith(b"\n") and (text := file.readline(min(left, MAX_LINE))):
                    left -= len(text)
                yield Kept(number, None, complete=text.endswith(b"\n"))
                continue
            line = _line(text)
            stored = _stored(line) if line else None
            if line and stored and _check(check, stored) == line.check:
                yield Kept(number, stored)
            else:
                yield Kept(number, None)
            check = line.check if line else ""


class Diverged(Exception):
    """Raised when a log is not the one that was copied so far: it lost entries, or the copy is damaged. The text says how."""


class LogCopy:
    """Appends to the copy of one log."""

    def __init__(self, folder: Folder, name: str, store: str) -> None:
        """Go on with the file, or begin it. Raises OSError, and Diverged if its end is damaged or it is another store's."""
        self._folder = folder
        self._name = name
        self.sequence = 0
        """Of the last entry in the copy."""
        self._last: Stored | None = None
        self._check = ""
        self._size = folder.size(name)
        named = store_of(folder, name) if self._size else ""
        if not named and named is not None:
            self._begin(store)
        elif named != store:
            raise Diverged("its first line does not name this store")
        else:
            self._find_end()

    def append(self, entries: Iterable[Stored]) -> None:
        """Have the next entries of the log on disk; what is in the copy is passed over.

        Raises OSError, after which the copy is to be opened anew, and Diverged for what does not follow the copy's end.
        """
        lines: list[bytes] = []
        for stored in entries:
            if stored.sequence < self.sequence:
                continue
            if stored.sequence == self.sequence:
                if stored != self._last:
                    raise Diverged(f"entry {stored.sequence} of the log is another one than was copied")
                continue
            if stored.sequence != self.sequence + 1:
                raise Diverged(f"the log has no entry {self.sequence + 1}")
            self._check = _check(self._check, stored)
            self.sequence, self._last = stored.sequence, stored
            lines.append(encoded(stored, self._check))
        if lines:
            self._write(b"".join(lines))

    def _begin(self, store: str) -> None:
        if self._size:  # a crash tore the first line
            self._folder.truncate(self._name, 0)
            self._size = 0
        self._write(msgspec.json.encode(Header(store, _check_of_store(store))) + b"\n")
        self._folder.sync()

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        with self._folder.open(self._name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        self._size += len(content)

    def _find_end(self) -> None:
        """Take up the last good entry, and cut off what a crash left after it: half a line, zeros without their data, garbage.

        Raises Diverged where an entry stands there that can be read and is not as its check says: that is damage.
        """
        with self._folder.open(self._name) as file:
            header = len(file.readline(MAX_LINE))
            end = _line_end(file, self._size)
            while end > header:
                begin = _line_end(file, end - 1)
                if line := _line(_bytes(file, begin, end)):
                    before = _line(_bytes(file, _line_end(file, begin - 1), begin)) if begin > header else None
                    self._last = _stored(line)
                    if self._last is None or line.check != _check(before.check if before else "", self._last):
                        raise Diverged("its last line is damaged")
                    self.sequence, self._check = line.sequence, line.check
                    break
                end = begin
        if end < self._size:
            log.warning("recorder.copy_cut", file=self._name, bytes=self._size - end, after_entry=self.sequence)
            self._folder.truncate(self._name, end)
            self._size = end


def _line_end(file: IO[bytes], before: int) -> int:
    """Where the last line ends that ends in the first `before` bytes; 0 if none does."""
    while before > 0:
        start = max(0, before - STEP)
        if found := _bytes(file, start, before).rfind(b"\n") + 1:
            return start + found
        before = start
    return 0


def _bytes(file: IO[bytes], begin: int, end: int) -> bytes:
    """A part of a file, of which what is longer than any line is left out."""
    file.seek(begin)
    return file.read(min(end - begin, MAX_LINE))


def _store(text: bytes) -> str | None:
    try:
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return header.store or None if header.check in ("", _check_of_store(header.store)) else None


def _line(text: bytes) -> Line | None:
    try:
        return msgspec.json.decode(text, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _stored(line: Line) -> Stored | None:
    try:
        data = base64.b64decode(line.bytes, validate=True) if line.bytes else bytes(line.entry)
    except ValueError:
        return None
    return Stored(line.sequence, line.subject, data, line.trace)


def encoded(stored: Stored, check: str) -> bytes:
    """One line."""
    if _is_one_line_of_json(stored.data):
        line = Line(stored.sequence, stored.subject, check, stored.trace, msgspec.Raw(stored.data))
    else:
        line = Line(stored.sequence, stored.subject, check, stored.trace, bytes=base64.b64encode(stored.data).decode())
    return msgspec.json.encode(line) + b"\n"


def _is_one_line_of_json(data: bytes) -> bool:
    if not data.startswith(b"{") or b"\n" in data or b"\r" in data:
        return False
    try:
        return bytes(msgspec.json.decode(data, type=msgspec.Raw)) == data and bool(data.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _check_of_store(store: str) -> str:
    return hashlib.sha256(store.encode("utf-8", "surrogateescape")).hexdigest()[:CHECK_CHARACTERS]


def _check(before: str, stored: Stored) -> str:
    about = f"{before}\n{stored.sequence}\n{stored.subject}\n{stored.trace}\n".encode("utf-8", "surrogateescape")
    return hashlib.sha256(about + stored.data).hexdigest()[:CHECK_CHARACTERS]
