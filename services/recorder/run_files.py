"""The files of ended runs, compared with the log: a copy that was damaged since is written again."""

from collections.abc import Mapping

import msgspec
import structlog
from msgspec import Struct

from services.recorder import cursor
from services.recorder.chains import Chain
from services.recorder.folder import Folder
from services.recorder.metadata import owner
from services.recorder.place import ARRAY, COPY, MAX_OWNER_BYTES, METADATA, TEXT
from shared.messages import Accepted, next_digest

log = structlog.get_logger()


class _Copied(Struct):
    accepted: Accepted


def repair(root: Folder, ended: Mapping[str, Chain]) -> list[str]:
    """Have the recorder write anew what is not as the log says; returns what was found, in sentences. Raises OSError.

    `ended` are the runs that have ended, by how the log says that their lists end.
    """
    found: list[str] = []
    for name in sorted(root.names()):
        if name.startswith(".") or not (folder := _open(root, name)):
            continue
        try:
            run = _ended_run(folder)
            if run in ended and _chain(folder) != ended[run]:
                kept = folder.set_aside(COPY) if COPY in folder.names() else "nothing"
                for file in (TEXT, ARRAY, METADATA):  # the last one last: while it is there, this can be done again
                    folder.remove(file)
                root.remove(cursor.NAME)
                found.append(f"{name}/{COPY} was damaged; the recorder writes it anew from the log. Kept: {kept}.")
                log.error("repair.file_damaged", folder=str(folder.path), run=run, kept_as=kept)
        finally:
            folder.close()
    return found


def _open(root: Folder, name: str) -> Folder | None:
    try:
        return root.existing(name)
    except OSError:  # a file, or a link: no run's folder
        return None


def _ended_run(folder: Folder) -> str:
    """The run whose complete files lie here, or nothing."""
    try:
        with folder.open(METADATA) as file:
            found = owner(file.read(MAX_OWNER_BYTES))
    except OSError:
        return ""
    return found.run if found and found.ended else ""


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
