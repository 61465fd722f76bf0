"""A file that only grows, and that a replay of the log may find partly written."""

import errno
import os

import structlog

from services.recorder import metrics
from services.recorder.folder import Folder

CHUNK = 1024 * 1024
"""Bytes copied at once."""

log = structlog.get_logger()


class ReplayedFile:
    """The log is put in line by line, from the beginning, after every start.

    What the file holds already is compared, what it lacks is appended, and a line torn by a crash is completed: so each
    line is there once, wherever the writer was ended. A file that differs from the log is kept aside and written anew.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._agreed = 0
        """Bytes known to be those of the log."""
        self._size = folder.size(name)

    @property
    def replaying(self) -> bool:
        """Whether the file holds bytes that the log has not confirmed yet."""
        return self._agreed < self._size

    def put(self, lines: bytes, *, sync: bool = False) -> None:
        """Have the next lines in the file, with `sync` on disk. Raises OSError; the file is then to be opened anew."""
        present = self._read(len(lines)) if self.replaying else b""
        if not lines.startswith(present):
            self._set_aside()
            present = b""
        if len(present) < len(lines) or not self._size:
            self._append(lines[len(present) :], self._agreed + len(present), sync)
        self._agreed += len(lines)
        self._size = max(self._size, self._agreed)

    def finish(self) -> None:
        """Have the file on disk, holding nothing but what was put in."""
        if self.replaying:
            self._set_aside()
        with self._folder.open(self._name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            os.fsync(file.fileno())

    def _read(self, length: int) -> bytes:
        with self._folder.open(self._name) as file:
            file.seek(self._agreed)
            return file.read(length)

    def _append(self, rest: bytes, at: int, sync: bool) -> None:
        with self._folder.open(self._name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            if os.fstat(file.fileno()).st_size != at:  # somebody edited or removed it: compare it from the beginning
                raise OSError(errno.ESTALE, "changed by somebody else", str(self._folder.path / self._name))
            while rest:
                rest = rest[file.write(rest) :]
            if sync:
                os.fsync(file.fileno())

    def _set_aside(self) -> None:
        """Keep the file under another name and go on with a copy of what agrees with the log."""
        kept = self._folder.set_aside(self._name)
        metrics.REPAIRED.add()
        log.error("recording.file_damaged", file=str(self._folder.path / self._name), agrees_until=self._agreed, kept_as=kept)
        with self._folder.open(kept) as old:
            sizes = [min(CHUNK, self._agreed - start) for start in range(0, self._agreed, CHUNK)]
            self._folder.replace(self._name, (old.read(size) for size in sizes))
        self._size = self._agreed
