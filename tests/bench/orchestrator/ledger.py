"""A bus with a run in it: attributes accepted before, and candidates that wait for a decision."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path

from services.orchestrator.dedupe.measure import made_up, respelled
from services.orchestrator.dedupe.normalise import key
from shared import subjects
from shared.bus import Bus, Entry, connect
from shared.messages import Accepted, Candidate, Issued, RunSpec, Started, Task, candidate_id, next_digest, now
from shared.streams import MAX_BATCH
from tests.conftest import NatsServer

RUN = "run"
REPEATS = 5
"""One candidate in so many repeats an attribute, spelled another way."""

A_CALL = 60
"""Candidates of one task."""

IN_FLIGHT = 500
"""Candidates on their way to the server at once."""


@contextlib.asynccontextmanager
async def bus(sync_interval: str) -> AsyncIterator[tuple[NatsServer, Bus]]:
    """A provisioned server that has not much to sync yet: `sync_interval` counts from its next start."""
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder) / "nats", sync_interval="2m")
        server.start()
        connected = await connect(server.url, "bench")
        await connected.provision()
        server.sync_interval = sync_interval
        try:
            yield server, connected
        finally:
            await connected.close()
            server.kill()


async def write_run(connected: Bus, accepted: int, dedupe: str) -> list[str]:
    """Write a run whose list has so many attributes; returns them."""
    texts = list(islice(made_up(accepted), accepted))
    spec = RunSpec(topic="made up", providers=("random",), dedupe=dedupe)  # type: ignore[arg-type]  # one of the three
    await connected.commit([Entry(subjects.started(RUN), Started(run=RUN, spec=spec, reports_after={"random": 0}, at=now()))])
    digest = ""
    for start in range(0, accepted, MAX_BATCH):
        entries = []
        for ordinal, text in enumerate(texts[start : start + MAX_BATCH], start=start + 1):
            digest = next_digest(digest, text)
            entries.append(_accepted(ordinal, text, digest))
        await connected.commit(entries)
    return texts


def _accepted(ordinal: int, text: str, digest: str) -> Entry:
    message = Accepted(
        run=RUN,
        ordinal=ordinal,
        text=text,
        key=key(text),
        candidate=candidate_id("earlier", text),
        candidate_sequence=0,
        task=f"{RUN}-0",
        provider="random",
        model="vocabulary",
        producer="producer-random-1",
        at=now(),
        digest=digest,
    )
    return Entry(subjects.accepted(RUN, message.key), message)


async def write_candidates(connected: Bus, accepted: Sequence[str], count: int) -> None:
    """Have so many candidates wait, one in `REPEATS` of them a duplicate."""
    fresh = list(islice(made_up(len(accepted) + count), len(accepted), None))
    texts = [
        respelled(accepted[at % len(accepted)], at) if accepted and at % REPEATS == 0 else text for at, text in enumerate(fresh)
    ]
    tasks = [Task(id=_task(n), run=RUN, provider="random", topic="made up", ordinal=n) for n in range(0, count, A_CALL)]
    for start in range(0, len(tasks), MAX_BATCH):
        some = tasks[start : start + MAX_BATCH]
        await connected.commit([Entry(subjects.issued(RUN, task.id), Issued(run=RUN, task=task)) for task in some])
    for start in range(0, count, IN_FLIGHT):
        await asyncio.gather(*(_publish(connected, n, t) for n, t in enumerate(texts[start : start + IN_FLIGHT], start)))


def _task(number: int) -> str:
    """The task that brings the n-th candidate."""
    return f"{RUN}-{number // A_CALL + 1}"


async def _publish(connected: Bus, number: int, text: str) -> None:
    task = _task(number)
    candidate = Candidate(
        id=candidate_id(task, text),
        run=RUN,
        task=task,
        ordinal=number % A_CALL,
        text=text,
        provider="random",
        model="vocabulary",
        producer="producer-random-1",
        at=now(),
    )
    await connected.publish(subjects.candidate(RUN, "random"), candidate, id=candidate.id)
