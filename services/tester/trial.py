"""One fault, made once in the middle of a run, and what came of it."""

import asyncio
import random
import zlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.tester import invariants
from services.tester.evidence import Evidence
from services.tester.invariants import Broken
from services.tester.watch import Late, Watched

RUN = {"providers": ["random"], "producers": 3, "iterations": 7, "request_size": 15, "dedupe": "exact"}
"""A run of 21 calls, about five seconds at `LATENCY_SECONDS` each: long enough to be hurt and to recover."""

LATENCY_SECONDS = "0.6"
"""RANDOM_LATENCY_SECONDS for such runs."""

FIRST_HURT = (20, 100)
"""After how many attributes a fault comes, at random between these."""

END_SECONDS = 60.0
"""Until the run must end: a task that died with its producer is handed out again after ten seconds."""


@dataclass(slots=True)
class Trial:
    """What came of one fault."""

    fault: str
    seed: int
    recovery: float | None = None
    """Seconds; see `invariants.recovery`."""
    candidates: int = 0
    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    wasted: int = 0
    """Model calls that were made once more, or begun and lost."""
    broken: list[Broken] = field(default_factory=list)


def chance_of(fault: str, seed: int) -> random.Random:
    """The chance of one trial: the same fault with the same seed is made in the same way."""
    return random.Random(zlib.crc32(fault.encode()) * 1000 + seed)  # noqa: S311  # must repeat, need not be secret


async def attempt(
    fault: str,
    seed: int,
    begin: Callable[[], Awaitable[Watched]],
    make: Callable[[random.Random], Awaitable[None]],
    logs: Callable[[], Iterable[Path]],
    key_of: Callable[[str], str] | None = None,
) -> tuple[Trial, Evidence | None]:
    """Begin a run, make the fault in its middle, and judge what is left when it has ended; None when it has not."""
    chance = chance_of(fault, seed)
    found = Trial(fault, seed)
    watched = await begin()
    try:
        await watched.until_accepted(chance.randint(*FIRST_HURT))
        await make(chance)
        ended = asyncio.get_running_loop().time()
        evidence = await watched.verdict(END_SECONDS, list(logs()))
    except Late as error:
        found.broken.append(Broken("I6", str(error)))
        return found, None
    finally:
        await watched.close()
    judge(found, evidence, key_of)
    if waiting := [times for times in watched.readers() if not times or times[-1] > ended]:  # the others had all there is
        found.recovery = invariants.recovery(waiting, ended)
        found.broken += invariants.recovers(found.recovery)
    return found, evidence


def judge(found: Trial, evidence: Evidence, key_of: Callable[[str], str] | None = None) -> None:
    """Write down what the evidence says."""
    found.candidates, found.accepted = len(evidence.candidates), len(evidence.accepted)
    found.lost, found.doubled = invariants.lost(evidence), invariants.doubled(evidence)
    found.wasted = evidence.calls_wasted
    found.broken += invariants.check(evidence, key_of)


def run_spec(fault: str, seed: int, **changes: Any) -> dict[str, Any]:
    """What is asked for in a trial."""
    return {**RUN, "topic": f"{fault} {seed}", "seed": seed, **changes}
