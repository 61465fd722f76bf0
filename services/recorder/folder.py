"""A directory held open, and the place of a run's files in it.

Everything is reached relative to the open directory and never through a symbolic link, so no name leads outside.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import IO

SLUG_CHARACTERS = 40
"""With a run id of at most 64 characters a folder's name stays far below the 255 bytes that file systems allow."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def slug(topic: str) -> str:
    """The topic as a part of a folder's name: `[a-z0-9-]`, at most `SLUG_CHARACTERS`, never empty."""
    ascii_only = unicodedata.normalize("NFKD", topic.casefold()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")
    return words[:SLUG_CHARACTERS].rstrip("-") or "topic"


class Folder:
    """One directory, held open until `close`. All methods raise OSError."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def at(cls, path: Path) -> "Folder":
        """Open a place that the user chose, making it if it is not there."""
        path.mkdir(parents=True, exist_ok=True)
        return cls(path.resolve(), os.open(path, DIRECTORY))

    def subfolder(self, name: str) -> "Folder":
        """Open the directory `name` in this one, making it if it is not there. A link or a file in its place is an error."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=self._handle)
        return self.existing(name)

    def existing(self, name: str) -> "Folder":
        """Open the directory `name` in this one. A link or a file in its place is an error."""
        return Folder(self.path / name, os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=self._handle))

    def lock(self) -> bool:
        """Keep other processes' recorders out until `close`; False if one is in here already."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def names(self) -> set[str]:
        """What is in the directory."""
        return set(os.listdir(self._handle))  # noqa: PTH208  # a path could lead elsewhere by now; the handle cannot

    def size(self, name: str) -> int:
        """Bytes of a file; 0 if there is none."""
        try:
            found = os.stat(name, dir_fd=self._handle, follow_symlinks=False)
        except FileNotFoundError:
            return 0
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(self.path / name))
        return found.st_size

    def open(self, name: str, flags: int = os.O_RDONLY) -> IO[bytes]:
        """Open a file, unbuffered if it is to be written."""
        handle = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=self._handle)
        return os.fdopen(handle, "rb") if flags == os.O_RDONLY else os.fdopen(handle, "ab", buffering=0)

    def replace(self, name: str, content: Iterable[bytes]) -> None:
        """Write a whole file: whoever reads it, even after a crash, finds the old content or the new one."""
        temporary = f".{name}.tmp"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=self._handle)  # left by a crash
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=self._handle)
        with os.fdopen(handle, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
        self.sync()

    def truncate(self, name: str, size: int) -> None:
        """Cut a file off after so many bytes."""
        with self.open(name, os.O_WRONLY | os.O_APPEND) as file:
            os.ftruncate(file.fileno(), size)
            os.fsync(file.fileno())

    def remove(self, name: str) -> None:
        """Remove a file; once more does nothing."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)
        self.sync()

    def rename(self, name: str, new_name: str) -> None:
        """Give a file another name."""
        os.rename(name, new_name, src_dir_fd=self._handle, dst_dir_fd=self._handle)

    def set_aside(self, name: str) -> str:
        """Give a damaged file another name, so that what is in it can still be looked at; returns that name."""
        names = self.names()
        number = 1
        while (kept := f"{name}.damaged-{number}") in names:
            number += 1
        self.rename(name, kept)
        self.sync()
        return kept

    def sync(self) -> None:
        """Have the names in the directory on disk, as `fsync` has a file's content."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Let go of the directory and its lock; once more does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
