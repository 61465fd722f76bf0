"""How many producers of each provider there should be, from the runs that are active."""

import math
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import structlog

from shared.bus import Bus, Malformed, bucket_key, bucket_stream, decode
from shared.messages import ENDED, RunState
from shared.streams import RUNS

MAX_PRODUCERS = 99
"""That can be set, on one machine: each is a process of about 50 MB."""

PER_CORE, AT_LEAST = 4, 8
"""Producers that runs get where nothing is set: each mostly waits for its vendor, but takes a second of a core to start."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Demand:
    """What one run asks for: so many producers at once, over these providers."""

    providers: tuple[str, ...]
    producers: int


def by_default() -> int:
    """The most producers that runs get on this machine where nothing is set."""
    return min(MAX_PRODUCERS, max(AT_LEAST, PER_CORE * (os.cpu_count() or 1)))


def wanted(base: Demand, runs: Iterable[Demand]) -> dict[str, int]:
    """Producers per provider: an equal share of the largest demand on it, rounded up."""
    counts: dict[str, int] = {}
    for demand in (base, *runs):
        share = math.ceil(demand.producers / len(demand.providers)) if demand.providers else 0
        for provider in demand.providers:
            counts[provider] = max(counts.get(provider, 0), share)
    return counts


def cut(counts: Mapping[str, int], base: Demand, most: int) -> dict[str, int]:
    """At most so many in all, but at least one for each provider that is wanted, and never fewer than the base."""
    kept = wanted(base, ())
    counts = dict(counts)
    spare = {provider: count - max(1, kept.get(provider, 0)) for provider, count in counts.items()}
    while sum(counts.values()) > most and max(spare.values()) > 0:
        provider = max((p for p in spare if spare[p] > 0), key=lambda p: counts[p])
        counts[provider] -= 1
        spare[provider] -= 1
    return counts


async def demands(bus: Bus) -> AsyncIterator[list[Demand]]:
    """What the active runs ask for: at every change, and about once a second."""
    active: dict[str, Demand] = {}
    async for batch in bus.follow(bucket_stream(RUNS.bucket), [bucket_key(RUNS.bucket, "*")]):
        for stored in batch:
            run = stored.subject.rsplit(".", 1)[1]
            try:
                state = decode(RunState, stored.data)
            except Malformed as error:  # a deleted key is empty; anything else is logged where it is written
                log.debug("run.unreadable", run=run, error=str(error))
                active.pop(run, None)
                continue
            if state.status in ENDED:
                active.pop(run, None)
            else:
                active[run] = Demand(state.spec.providers, state.spec.producers)
        yield list(active.values())
