"""Gathers the evidence of a run: the tester's own reads of the streams, the files, and the producers' logs."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from services.tester.evidence import Decided, Entry, Evidence, Files, Frame
from shared import streams, subjects
from shared.bus import Bus, Malformed, Stored, bucket_key, bucket_stream, decode
from shared.messages import Accepted, Candidate, Duplicate, Finished, Issued, RunState, Spent, Started, Usage

RESULTS = streams.RESULTS.name or ""
RUNS = streams.RUNS.bucket

KINDS: dict[str, type[Entry]] = {
    "started": Started,
    "issued": Issued,
    "accepted": Accepted,
    "duplicate": Duplicate,
    "spent": Spent,
    "finished": Finished,
}


class _Copied(msgspec.Struct):
    """A line of output.jsonl."""

    accepted: Accepted


class _Listed(msgspec.Struct):
    """An element of output.json."""

    text: str


async def gather(bus: Bus, run: str, output: Path, clients: Sequence[Sequence[Frame]], logs: Iterable[Path]) -> Evidence:
    """Read all there is of a run. Raises BusError, and Malformed for a message of the run that nobody could read."""
    candidates: list[tuple[int, Candidate]] = []
    reports: dict[tuple[str, int], Usage] = {}
    for provider in streams.REPORTS:
        async for batch in bus.history(
            streams.reports(provider), [subjects.candidates_of_run(run), subjects.usage_of_run(run)]
        ):
            for stored in batch:
                if stored.subject == subjects.usage(run, provider):
                    reports[provider, stored.sequence] = decode(Usage, stored.data)
                else:
                    candidates.append((stored.sequence, decode(Candidate, stored.data)))
    return Evidence(
        run=run,
        candidates=candidates,
        log=await log_of(bus, run),
        reports=reports,
        state=await state_of(bus, run),
        files=files_of(output, run),
        clients=clients,
        begun=[task for path in logs for task in begun(path, run)],
    )


async def log_of(bus: Bus, run: str) -> list[Decided]:
    """The run's entries in RESULTS, what models settled aside, and what is no entry."""
    found: list[Decided] = []
    async for batch in bus.history(RESULTS, subjects.decisions_of_run(run)):
        found += [Decided(stored.sequence, stored.subject, entry) for stored in batch if (entry := _entry(stored, run))]
    return found


def _entry(stored: Stored, run: str) -> Entry | None:
    kind, _ = subjects.decision(stored.subject)
    try:
        entry = decode(KINDS[kind], stored.data) if kind in KINDS else None
    except Malformed:  # the server's answer to somebody, which had it stored here
        return None
    return entry if entry and entry.run == run else None


async def state_of(bus: Bus, run: str) -> RunState | None:
    """Where the run stands, as everybody can read it."""
    stored = await bus.last(bucket_stream(RUNS), bucket_key(RUNS, run))
    return decode(RunState, stored.data) if stored else None


def folder_of(output: Path, run: str) -> Path | None:
    """The folder with the run's files, if there is one."""
    return next(iter(sorted(output.glob(f"*-{run}"))), None)  # all of it: a search left open is a warning


def metadata_of(output: Path, run: str) -> dict[str, Any] | None:
    """The run's metadata.json as it is now; None if there is none yet."""
    folder = folder_of(output, run)
    try:
        return msgspec.json.decode((folder / "metadata.json").read_bytes(), type=dict[str, Any]) if folder else None
    except FileNotFoundError:
        return None


def files_of(output: Path, run: str) -> Files:
    """The run's files as they are now. Raises DecodeError for one that is not what it should be."""
    folder = folder_of(output, run)
    if folder is None:
        return Files()
    text, copies, listed = (_content(folder / name) for name in ("output.txt", "output.jsonl", "output.json"))
    return Files(
        text=None if text is None else tuple(text.decode().splitlines()),
        copies=None
        if copies is None
        else tuple(msgspec.json.decode(line, type=_Copied).accepted for line in copies.splitlines()),
        listed=None if listed is None else tuple(entry.text for entry in msgspec.json.decode(listed, type=list[_Listed])),
        metadata=metadata_of(output, run),
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def begun(path: Path, run: str) -> Iterator[str]:
    """The tasks of a run whose call a producer's log says that it makes, one each time."""
    for line in _lines(path):
        if line.get("event") == "call.begun" and line.get("run") == run:
            yield str(line["task"])


def complaints(path: Path) -> Iterator[str]:
    """What a service logged as an error."""
    for line in _lines(path):
        if line.get("level") == "error":
            yield f"{path.stem}: {line.get('event')} {line.get('error', '')}".strip()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for raw in file:
            try:
                line = msgspec.json.decode(raw)
            except msgspec.DecodeError:  # the last words of a process, or half a line of one that was killed
                continue
            if isinstance(line, dict):
                yield line
