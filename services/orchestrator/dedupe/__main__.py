"""Deduplication of files: `python -m services.orchestrator.dedupe lists|pairs|text|why|bench`, reading standard input.

lists   a line {"topic", "items"} gives a line {"dup", "of", "tier"}: for each item whether it repeats an earlier one, which
        (its place in `items`, from 0; null when new), and the tier that decided ("" when new)
pairs   a line {"a", "b"} gives a line {"dup", "tier", "score"}
text    a text of one item a line gives the same without duplicates
why     a line {"a", "b"} gives a sentence: whether the two are one attribute, and why
bench   JSON figures of speed and memory with --accepted items on the list
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from services.orchestrator.dedupe.deduper import Deduper, Tiers


class _List(msgspec.Struct):
    items: list[str]


class _Decisions(msgspec.Struct):
    dup: list[bool]
    of: list[int | None]
    tier: list[str]


class _Pair(msgspec.Struct):
    a: str
    b: str


class _Decision(msgspec.Struct):
    dup: bool
    tier: str
    score: float


def decide_list(items: list[str], tiers: Tiers) -> _Decisions:
    """The decisions about `items`, each against those before it."""
    verdicts = Deduper(tiers).offer(items)
    accepted = [place for place, verdict in enumerate(verdicts) if verdict.of is None]
    return _Decisions(
        dup=[verdict.of is not None for verdict in verdicts],
        of=[None if verdict.of is None else accepted[verdict.of] for verdict in verdicts],
        tier=[verdict.tier for verdict in verdicts],
    )


def _lists(lines: Iterable[str], tiers: Tiers) -> Iterator[str]:
    for line in lines:
        found = decide_list(msgspec.json.decode(line, type=_List).items, tiers)
        yield msgspec.json.encode(found).decode()


def _pairs(lines: Iterable[str], tiers: Tiers) -> Iterator[str]:
    deduper = Deduper(tiers)
    for line in lines:
        pair = msgspec.json.decode(line, type=_Pair)
        why = deduper.why(pair.a, pair.b)
        yield msgspec.json.encode(_Decision(why.dup, why.tier, why.score)).decode()


def _why(lines: Iterable[str], tiers: Tiers) -> Iterator[str]:
    deduper = Deduper(tiers)
    for line in lines:
        pair = msgspec.json.decode(line, type=_Pair)
        why = deduper.why(pair.a, pair.b)
        yield f"{f'one ({why.tier}, {why.score:.2f})' if why.dup else 'two'}: {why.words}"


def _text(lines: Iterable[str], tiers: Tiers) -> Iterator[str]:
    deduper = Deduper(tiers)
    for line in lines:
        if deduper.offer([line])[0].of is None:
            yield line


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dedupe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*_COMMANDS, "bench"])
    parser.add_argument("--dedupe", choices=["exact", "fuzzy", "semantic"], default="semantic", help="how far to look")
    parser.add_argument("--accepted", type=int, default=10_000, help="bench: attributes on the list")
    parser.add_argument("--decisions", type=int, default=2_000, help="bench: decisions to time")
    return parser.parse_args()


_COMMANDS: Final[dict[str, Callable[[Iterable[str], Tiers], Iterator[str]]]] = {
    "lists": _lists,
    "pairs": _pairs,
    "text": _text,
    "why": _why,
}


def main() -> None:
    """Runs the command named on the command line."""
    arguments = _arguments()
    if arguments.what == "bench":
        from services.orchestrator.dedupe.measure import measure

        sys.stdout.buffer.write(msgspec.json.encode(measure(arguments.accepted, arguments.decisions, arguments.dedupe)) + b"\n")
        return
    lines = (line.rstrip("\n") for line in sys.stdin if line.strip())
    for out in _COMMANDS[arguments.what](lines, arguments.dedupe):
        sys.stdout.write(out + "\n")


if __name__ == "__main__":
    main()
