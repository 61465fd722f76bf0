"""What is said of a run that has ended."""

import sys
from pathlib import Path

import msgspec

from services.orchestrator.cli.words import print_list
from shared.messages import Finished, RunSpec
from shared.terminal import printable, printable_json


def summarise(spec: RunSpec, finished: Finished, folder: Path | None, texts: list[str], *, as_json: bool) -> None:
    """Print it on standard output; where there are no complete files, the list itself, and what is for people beside it."""
    if folder is None:
        print_list(texts)
    if as_json:
        print(printable_json(_json(spec, finished, folder)))
        return
    for line in _lines(spec, finished, folder):
        print(printable(line), file=sys.stdout if folder else sys.stderr)


def _lines(spec: RunSpec, finished: Finished, folder: Path | None) -> list[str]:
    lines = [
        f"{finished.accepted} unique attributes of “{spec.topic}” in {finished.seconds:.1f} s; {finished.reason}.",
        f"{finished.calls} calls, {finished.tokens} tokens, {money(finished.usd)}",
    ]
    if finished.coverage is not None:
        lines.append(
            f"The list has about {finished.coverage:.0%} of what these models would say of the topic "
            f"({finished.coverage_low:.0%} to {finished.coverage_high:.0%})."
        )
    if finished.on_topic is not None:
        lines.append(f"Of {finished.judged} attributes that a model judged, {finished.on_topic:.0%} belong to the topic.")
    return [*lines, f"Files: {folder}" if folder else "Files: incomplete, see above"]


def _json(spec: RunSpec, finished: Finished, folder: Path | None) -> str:
    summary = msgspec.to_builtins(finished)
    candidates = finished.accepted + finished.duplicates
    rate = finished.accepted * 60 / finished.seconds if finished.seconds else 0.0
    summary |= {"topic": spec.topic, "candidates": candidates, "attributes_per_minute": round(rate, 1)}
    summary |= {"output": str(folder) if folder else None}
    return msgspec.json.encode(summary).decode()


def money(usd: float | None) -> str:
    """Dollars for a person; what is unknown is not called nothing."""
    return "cost unknown" if usd is None else f"${usd:.4f}"
