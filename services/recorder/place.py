"""Where a run's files lie. An earlier run's files are never touched."""

import errno
from collections.abc import Iterator
from typing import Literal

import structlog

from services.recorder.folder import Folder, slug
from services.recorder.metadata import owner

TEXT = "output.txt"
ARRAY = "output.json"
COPY = "output.jsonl"
METADATA = "metadata.json"
FILES = (TEXT, ARRAY, COPY, METADATA)

MAX_OWNER_BYTES = 1024 * 1024
"""A larger metadata.json is not one of ours."""

ATTEMPTS = 9
"""Folders tried for one run: `<slug>-<run>`, then `<slug>-2-<run>` and so on; all end in the run."""

Standing = Literal["free", "ours", "moved", "complete", "foreign", "busy"]
"""Moved: ours, but the log was rebuilt since, so the places in it that the files name are no longer true."""

log = structlog.get_logger()


def find_place(root: Folder, topic: str, run: str, epoch: str, begun: str, *, exactly: bool) -> tuple[Folder, Standing]:
    """Open and lock the folder of a run: free, ours from before a restart, or complete already.

    `begun` is when the run began: the same in a log that was rebuilt, another one in a log that holds another run of this id.

    That is `<slug>-<run>` in `root`, or with `exactly` the root itself; or the next name if other files lie there.
    Raises OSError if none can be had.
    """
    refused = ""
    for folder in _candidates(root, slug(topic), run, exactly=exactly):
        try:
            standing = _standing(folder, run, epoch, begun)
        except OSError:
            folder.close()  # or its lock would keep this very process out the next time
            raise
        if standing in ("free", "ours", "moved", "complete"):
            if refused:
                log.warning("recording.folder_taken", run=run, taken=refused, instead=str(folder.path))
            return folder, standing
        refused = refused or str(folder.path)
        folder.close()
    raise OSError(errno.EEXIST, "holds other files, as do the places tried after it", refused)


def _candidates(root: Folder, slug: str, run: str, *, exactly: bool) -> Iterator[Folder]:
    if exactly:
        yield Folder.at(root.path)
    for number in range(1, ATTEMPTS + 1):
        try:
            yield root.subfolder(f"{slug}-{run}" if number == 1 else f"{slug}-{number}-{run}")
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):  # a link or a file lies there
                raise


def _standing(folder: Folder, run: str, epoch: str, begun: str) -> Standing:
    if not folder.lock():
        return "busy"
    present = folder.names().intersection(FILES)
    if not present:
        return "free"
    if METADATA not in present:
        return "foreign"
    try:
        with folder.open(METADATA) as file:
            found = owner(file.read(MAX_OWNER_BYTES))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return "foreign"
    if found is None or found.run != run or (found.epoch != epoch and found.started != begun):
        return "foreign"
    if found.ended:
        return "complete"
    return "ours" if found.epoch == epoch else "moved"
