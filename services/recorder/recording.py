"""The files of one run, written as its entries in the log are read."""

import time
from collections import defaultdict
from collections.abc import Iterator

import msgspec
import structlog
from msgspec import Struct

from services.recorder import metrics
from services.recorder.absorbed import Absorbed, AbsorbedTexts
from services.recorder.folder import Folder
from services.recorder.metadata import Metadata, ProviderRecord, seconds_between
from services.recorder.place import ARRAY, COPY, FILES, METADATA, TEXT
from services.recorder.replayed_file import ReplayedFile
from shared.bus import Stored
from shared.messages import Accepted, Duplicate, Finished, Settled, Started, next_digest, now

SNAPSHOT_SECONDS = 5.0
"""Between two writings of output.json and metadata.json while a run goes on."""

SNAPSHOT_SHARE = 20
"""A long list takes long to write: that may cost one part in so many of the time."""

log = structlog.get_logger()


class CopiedEntry(Struct):
    """One line of output.jsonl: an Accepted as it stands in the log, and where it stands."""

    epoch: str
    sequence: int
    accepted: msgspec.Raw


class CopiedAttribute(Struct):
    """The same line, as read for output.json."""

    accepted: Accepted


class Possible(Struct):
    """The attribute that another may repeat, though both were kept."""

    ordinal: int
    text: str
    score: float
    why: str
    """In words, how the two differ."""
    settled: bool | None
    """What a model said: True if they are one and the same, False if not; None if none was asked or answered."""


class ListedAttribute(Struct):
    """One element of output.json."""

    text: str
    ordinal: int
    provider: str
    model: str
    producer: str
    time: str
    facet: str
    trace: str
    possible_duplicate_of: Possible | None
    absorbed: Absorbed


class Recording:
    """One run's files. Any OSError leaves them such that a new Recording, fed from the run's first entry, completes them."""

    def __init__(self, folder: Folder, run: str, epoch: str, started: Started | None) -> None:
        self.folder = folder
        self.run = run
        self._epoch = epoch
        self._metadata = Metadata(
            run=run,
            topic=started.spec.topic if started else None,
            settings=started.spec if started else None,
            started=started.at if started else "",
            providers=defaultdict(ProviderRecord, {p: ProviderRecord() for p in (started.spec.providers if started else ())}),
            models=defaultdict(ProviderRecord),
            files=FILES,
            epoch=epoch,
        )
        self._copy = ReplayedFile(folder, COPY)
        self._text = ReplayedFile(folder, TEXT)
        self._absorbed = AbsorbedTexts()
        self._settled: dict[int, bool] = {}
        self._last_ordinal = 0
        self._copy_lines: list[bytes] = []
        self._text_lines: list[bytes] = []
        self._changed = True
        self._next_snapshot = time.monotonic() + SNAPSHOT_SECONDS

    def begin(self) -> None:
        """Put the four files of a new run into its folder; metadata.json comes first, as it says whose the others are.

        Files of before the log was rebuilt are begun anew: their lines name places that are no longer true.
        """
        self._write_metadata()
        self.folder.remove(COPY)
        self._copy = ReplayedFile(self.folder, COPY)
        self._copy.put(b"", sync=True)
        self._text.put(b"")
        self._write_array()

    # ---- entries of the log ------------------------------------------------------------------------------------

    def accept(self, stored: Stored, accepted: Accepted) -> None:
        """Take one attribute; `flush` writes it."""
        self._check(accepted)
        line = CopiedEntry(self._epoch, stored.sequence, msgspec.Raw(_one_line(stored.data)))
        self._copy_lines.append(msgspec.json.encode(line) + b"\n")
        # Whatever some reader may take for the end of a line would make two attributes of one.
        self._text_lines.append(" ".join(accepted.text.splitlines()).encode() + b"\n")
        self._metadata.accepted += 1
        for record in self._records(accepted):
            record.accepted += 1
        self._heard_of(accepted)

    def absorb(self, duplicate: Duplicate) -> None:
        """Take one duplicate."""
        self._absorbed.add(duplicate.of, duplicate.text)
        self._metadata.duplicates += 1
        for record in self._records(duplicate):
            record.duplicates += 1
        self._heard_of(duplicate)

    def settle(self, settled: Settled) -> None:
        """Take in what a model said of a possible duplicate."""
        self._settled[settled.ordinal] = settled.same
        self._changed = True

    def skip(self) -> None:
        """Count an entry that could not be read."""
        self._metadata.malformed += 1
        self._changed = True

    def finish(self, finished: Finished) -> None:
        """Complete the files; metadata.json says so and is written when all others are on disk."""
        self.flush()
        self._copy.finish()
        self._text.finish()
        self._compare(finished)
        self._close_metadata(finished)
        self._write_array()
        self._write_metadata()
        log.info(
            "recording.finished",
            run=self.run,
            folder=str(self.folder.path),
            accepted=self._metadata.accepted,
            duplicates=self._metadata.duplicates,
        )

    def _records(self, decision: Accepted | Duplicate) -> tuple[ProviderRecord, ProviderRecord]:
        """The records of the provider and of the model that a decision is about."""
        metadata = self._metadata
        return metadata.providers[decision.provider], metadata.models[f"{decision.provider}/{decision.model}"]

    def _heard_of(self, decision: Accepted | Duplicate) -> None:
        self._metadata.candidates += 1
        for record in self._records(decision):
            record.candidates += 1
        self._metadata.seconds = seconds_between(self._metadata.started, decision.at)
        self._changed = True

    # ---- the chain ---------------------------------------------------------------------------------------------

    def _check(self, accepted: Accepted) -> None:
        """Say so when the log lacks an entry or holds a changed one, then go on with what it says."""
        if accepted.ordinal != self._last_ordinal + 1:
            metrics.DAMAGED.add("gap")
            log.error("recording.gap", run=self.run, expected=self._last_ordinal + 1, found=accepted.ordinal)
        digest = next_digest(self._metadata.digest, accepted.text)
        if accepted.digest not in ("", digest):
            metrics.DAMAGED.add("digest")
            log.error("recording.digest_differs", run=self.run, ordinal=accepted.ordinal)
        self._last_ordinal = accepted.ordinal
        self._metadata.digest = accepted.digest or digest

    def _compare(self, finished: Finished) -> None:
        counted = (self._metadata.accepted, self._metadata.duplicates, self._metadata.digest)
        if counted != (finished.accepted, finished.duplicates, finished.digest):
            metrics.DAMAGED.add("end")
            log.error(
                "recording.differs_from_run",
                run=self.run,
                accepted=(self._metadata.accepted, finished.accepted),
                duplicates=(self._metadata.duplicates, finished.duplicates),
                same_digest=self._metadata.digest == finished.digest,
            )

    # ---- files -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what was taken: first the copy, synced, then the text, so that the text never tells what could be lost."""
        if not self._copy_lines:
            return
        self._copy.put(b"".join(self._copy_lines), sync=True)
        self._text.put(b"".join(self._text_lines))
        self._copy_lines.clear()
        self._text_lines.clear()

    def snapshot_if_due(self) -> None:
        """Bring output.json and metadata.json up to date when it is time to."""
        if time.monotonic() >= self._next_snapshot:
            self.snapshot()

    def snapshot(self) -> None:
        """Bring output.json and metadata.json up to date, if anything is new.

        Not while a replay is behind what the files held before a restart, for they would tell of a shorter list; nor
        after a failed `flush`, for they would tell of a longer one.
        """
        if not self._changed or self._copy.replaying or self._text.replaying or self._copy_lines:
            return
        begun = time.monotonic()
        self._write_array()
        self._write_metadata()
        self._changed = False
        self._next_snapshot = begun + max(SNAPSHOT_SECONDS, (time.monotonic() - begun) * SNAPSHOT_SHARE)

    def _close_metadata(self, finished: Finished) -> None:
        metadata = self._metadata
        metadata.ended = finished.at or now()
        metadata.status = finished.status
        metadata.reason = finished.reason
        metadata.late = finished.late
        metadata.candidates += finished.late
        metadata.seconds = finished.seconds or metadata.seconds
        metadata.calls, metadata.tokens, metadata.usd = finished.calls, finished.tokens, finished.usd
        metadata.close(finished)
        for provider, counts in finished.providers.items():
            metadata.providers[provider].close(counts)
        for model, counts in finished.models.items():
            metadata.models[model].close(counts)

    def _write_metadata(self) -> None:
        seconds = self._metadata.seconds
        self._metadata.attributes_per_minute = round(self._metadata.accepted * 60 / seconds, 1) if seconds else 0.0
        self.folder.replace(METADATA, [self._metadata.encoded()])

    def _write_array(self) -> None:
        self.folder.replace(ARRAY, self._array())

    def _array(self) -> Iterator[bytes]:
        """output.json out of the copy, an attribute a line, without holding the list in memory."""
        before = b"["
        with self.folder.open(COPY) as lines:
            for line in lines:
                accepted = msgspec.json.decode(line, type=CopiedAttribute).accepted
                yield before + b"\n" + msgspec.json.encode(self._listed(accepted))
                before = b","
        yield b"[]\n" if before == b"[" else b"\n]\n"

    def _possible(self, accepted: Accepted) -> Possible | None:
        if not accepted.near:
            return None
        settled = self._settled.get(accepted.ordinal)
        return Possible(accepted.near, accepted.near_text, accepted.near_score, accepted.near_why, settled)

    def _listed(self, accepted: Accepted) -> ListedAttribute:
        return ListedAttribute(
            text=accepted.text,
            ordinal=accepted.ordinal,
            provider=accepted.provider,
            model=accepted.model,
            producer=accepted.producer,
            time=accepted.at,
            facet=accepted.facet,
            trace=accepted.trace,
            possible_duplicate_of=self._possible(accepted),
            absorbed=self._absorbed.of(accepted.ordinal),
        )


def _one_line(data: bytes) -> bytes:
    """A message without line breaks: JSON has them between its tokens only, where a space means the same."""
    return data.replace(b"\n", b" ").replace(b"\r", b" ")
