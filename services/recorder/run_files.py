"""The files of ended runs, compared with the log: a copy that was damaged since is written again."""

import contextlib
from collections.abc import Iterator, Mapping

import msgspec
import structlog
from msgspec import Struct

from services.recorder import cursor
from services.recorder.chains import Chain
from services.recorder.folder import Folder
from services.recorder.metadata import Metadata
from services.recorder.place import ARRAY, COPY, MAX_OWNER_BYTES, METADATA, TEXT
from shared.messages import Accepted, Finished, next_digest

log = structlog.get_logger()


class _Copied(Struct):
    accepted: Accepted


def ended(root: Folder) -> dict[tuple[str, str], str]:
    """The runs whose complete files lie in a folder: by run and when it began, the name of its folder. Raises OSError."""
    found: dict[tuple[str, str], str] = {}
    for name, folder in _folders(root):
        if metadata := _of_ended_run(folder):
            found[metadata.run, metadata.started] = name
    return found


def end_of(root: Folder, name: str) -> Finished | None:
    """How the run ended whose complete files lie in the folder `name`; None if they do not any more. Raises OSError."""
    folder = _open(root, name)
    with contextlib.closing(folder) if folder else contextlib.nullcontext():
        metadata = _of_ended_run(folder) if folder else None
    return metadata.finished() if metadata else None


def repair(root: Folder, ended: Mapping[tuple[str, str], Chain]) -> list[str]:
    """Have the recorder write anew what is not as the log says; returns what was found, in sentences. Raises OSError.

    `ended` is how the lists of ended runs end as the log says, by run and when it began.
    """
    found: list[str] = []
    for name, folder in _folders(root):
        metadata = _of_ended_run(folder)
        run = (metadata.run, metadata.started) if metadata else ("", "")
        if run in ended and _chain(folder) != ended[run]:
            kept = folder.set_aside(COPY) if COPY in folder.names() else "nothing"
            for file in (TEXT, ARRAY, METADATA):  # the last one last: while it is there, this can be done again
                folder.remove(file)
            root.remove(cursor.NAME)
            found.append(f"{name}/{COPY} was damaged; the recorder writes it anew from the log. Kept: {kept}.")
            log.error("repair.file_damaged", folder=str(folder.path), run=run[0], kept_as=kept)
    return found


def _folders(root: Folder) -> Iterator[tuple[str, Folder]]:
    """The folders that may be runs', each open until the next one."""
    for name in sorted(root.names()):
        if not name.startswith(".") and (folder := _open(root, name)):
            with contextlib.closing(folder):
                yield name, folder


def _open(root: Folder, name: str) -> Folder | None:
    try:
        return root.existing(name)
    except OSError:  # a file, or a link: no run's folder
        return None


def _of_ended_run(folder: Folder) -> Metadata | None:
    """What lies beside complete files; None if these are not."""
    try:
        with folder.open(METADATA) as file:
            found = msgspec.json.decode(file.read(MAX_OWNER_BYTES), type=Metadata)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.ended else None


def _chain(folder: Folder) -> Chain | None:
    """How far the copy in a folder goes, by its texts; None if it cannot be read."""
    chain = Chain()
    try:
        with folder.open(COPY) as lines:
            for line in lines:
                accepted = msgspec.json.decode(line, type=_Copied).accepted
                chain = Chain(accepted.ordinal, next_digest(chain.digest, accepted.text))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return chain
