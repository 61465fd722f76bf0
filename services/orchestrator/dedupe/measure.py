"""How fast decisions are and what an attribute costs, on made-up lists that look like real ones."""

import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from timeit import default_timer
from typing import Final

import msgspec

from services.orchestrator.dedupe.deduper import Deduper, Tiers
from services.orchestrator.dedupe.word_list import word_list

_BATCH: Final = 200
_SINGLE: Final = 400
"""Decisions timed one by one."""
_REPEATED: Final = 5
"""One candidate in so many repeats an accepted attribute, spelled another way."""
_QUERIES: Final = 200
"""Vectors whose nearest neighbour is checked against all others."""

_ADJECTIVES: Final = word_list(
    "ancient bright calm coastal crowded curved daily deep early elegant empty famous floral formal frozen "
    "gentle gilded grand hidden historic hollow humid iron jagged joyful lively local lonely marble mild modern "
    "narrow noble open ornate painted pale peaceful polished quiet rapid restored rocky rural rustic sacred "
    "sandy scenic secret shaded silent simple slender smooth snowy solemn spacious stately steep sunny tall "
    "timber tiny tranquil vast vivid wooden"
)
_NOUNS: Final = word_list(
    "abbey alley aqueduct arcade archive arena bakery balcony barn bazaar beach bridge brewery canal castle "
    "cathedral cave cellar chapel cinema cliff clock courtyard dance dock fair farm festival forest fortress "
    "fountain gallery garden gate harbour hill inn island lagoon lake lantern library lighthouse market meadow "
    "mill monastery monument mosaic museum orchard palace park parade pavilion pier plaza port quarry reef "
    "river ruin shrine square stadium station statue stream tavern temple theatre tomb tower trail tunnel "
    "valley village vineyard wall waterfall well wharf windmill workshop"
)
_VERBS: Final = word_list("visit explore paint restore photograph sketch cross climb admire study describe protect")
_SYLLABLES: Final = word_list("ba dor el fen gar hul in jo ka lim mor na os pel qua ri sto tur ul ven wil xan yor zel")


class Figures(msgspec.Struct):
    """What `measure` found."""

    tiers: str
    accepted: int
    """Attributes on the list while decisions were timed."""
    decisions_per_s: float
    """In batches of 200, one in five a duplicate in another spelling."""
    single_p50_ms: float
    single_p95_ms: float
    """Time of one decision, offered alone."""
    bytes_per_attribute: float | None
    """Growth of the process; None below 10,000, where it cannot be told from noise."""
    recall_at_1: float | None
    """How often the neighbour search finds the true nearest; None without vectors."""


def made_up(count: int) -> Iterator[str]:
    """`count` different attributes: names, phrases with "of", and actions; the same each time."""
    for number in range(count):
        adjective, noun = _pick(_ADJECTIVES, number * 7 + 1), _pick(_NOUNS, number * 11 + 3)
        name = _name(number)
        shapes = (
            f"{name} {noun.capitalize()}",
            f"{noun.capitalize()} of {name}",
            f"{_pick(_VERBS, number * 5).capitalize()} the {adjective} {noun} in {name}",
            f"{adjective.capitalize()} {noun} near {name}",
        )
        yield shapes[number % len(shapes)]


def _pick(words: Sequence[str], number: int) -> str:
    return words[number % len(words)]


def _name(number: int) -> str:
    """A name of its own for each number: its digits as syllables, scattered so that neighbours look different."""
    size = len(_SYLLABLES)
    rest = (number * 7_919 + 13) % size**4
    syllables = []
    for _ in range(4):
        rest, digit = divmod(rest, size)
        syllables.append(_SYLLABLES[digit])
    return "".join(syllables).capitalize()


def respelled(text: str, number: int) -> str:
    return (text.upper(), f"the {text}", f"{number % 90 + 1}. {text}", f"“{text}”")[number % 4]


def _candidates(accepted: Sequence[str], fresh: Sequence[str]) -> list[str]:
    stride = max(1, len(accepted) // max(1, len(fresh)))
    return [
        respelled(accepted[(at * stride) % len(accepted)], at) if at % _REPEATED == 0 else text for at, text in enumerate(fresh)
    ]


def measure(accepted: int, decisions: int, tiers: Tiers) -> Figures:
    """Times `decisions` decisions with about `accepted` attributes on the list."""
    texts = list(made_up(accepted + decisions + _SINGLE))
    Deduper(tiers).offer(texts[:_BATCH])  # models are loaded and caches filled before the clock starts
    before = _resident()
    deduper = Deduper(tiers, capacity=len(texts))
    deduper.restore(texts[:accepted])
    grown = _resident() - before
    batch = _candidates(texts[:accepted], texts[accepted : accepted + decisions])
    start = default_timer()
    for at in range(0, len(batch), _BATCH):
        deduper.offer(batch[at : at + _BATCH])
    rate = len(batch) / (default_timer() - start)
    single = sorted(_single(deduper, text) for text in _candidates(texts[:accepted], texts[accepted + decisions :]))
    return Figures(
        tiers=tiers,
        accepted=accepted,
        decisions_per_s=round(rate, 1),
        single_p50_ms=round(single[len(single) // 2], 3),
        single_p95_ms=round(single[len(single) * 95 // 100], 3),
        bytes_per_attribute=round(grown / accepted, 1) if accepted >= 10_000 else None,
        recall_at_1=_recall(texts[:accepted], texts[accepted : accepted + _QUERIES]) if tiers == "semantic" else None,
    )


def _resident() -> int:
    """Bytes that the process holds; where that is not told, the most it ever held, which a child begins with its parent's."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _single(deduper: Deduper, text: str) -> float:
    start = default_timer()
    deduper.offer([text])
    return (default_timer() - start) * 1000


def _recall(accepted: Sequence[str], queries: Sequence[str]) -> float:
    """How often the first neighbour found is as near as the nearest of all."""
    import numpy as np

    from services.orchestrator.dedupe.neighbours import Neighbours
    from services.orchestrator.dedupe.points import points
    from services.orchestrator.dedupe.vectors import vectors

    rows = vectors().of(accepted)
    neighbours = Neighbours()
    for point in points(rows):
        neighbours.add(point)
    right = 0
    for query in points(vectors().of(queries)):
        found = neighbours.nearest(query, 1, -1.0)
        cosines = rows @ query.vector
        right += float(cosines[found[0][0]]) >= float(np.max(cosines)) - 0.005  # 8-bit steps hide smaller differences
    return round(right / len(queries), 4)
