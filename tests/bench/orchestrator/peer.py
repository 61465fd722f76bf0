"""The same work by a general framework: FastStream on the same server, message by message, with the same deduplication."""

import asyncio
import time
from importlib import import_module
from typing import Any

from nats.js.api import DiscardPolicy, StreamConfig

from services.orchestrator.dedupe import Deduper, Tiers
from shared.bus import Bus, decode, encode
from shared.messages import Candidate
from shared.streams import reports
from shared.subjects import key_token

CANDIDATES = reports("random")

STREAM = StreamConfig(
    name="PEER",
    subjects=["peer.>"],
    discard=DiscardPolicy.NEW,
    discard_new_per_subject=True,
    max_msgs_per_subject=1,
)


async def decide(bus: Bus, url: str, candidates: int, accepted: list[str], dedupe: Tiers) -> float:
    """Candidates decided a second: consume, decide, publish, acknowledge."""
    nats: Any = import_module("faststream.nats")
    deduper = Deduper(dedupe)
    deduper.restore(accepted)
    await bus.client.jetstream().add_stream(STREAM)
    broker = nats.NatsBroker(url, logger=None)
    done = 0
    ended = asyncio.Event()

    async def read(message: Any) -> Candidate:
        return decode(Candidate, message.body)

    @broker.subscriber(  # type: ignore[untyped-decorator]  # the library is looked up when it is asked for
        "attributes.candidate.>",
        stream=nats.JStream(CANDIDATES, declare=False),
        durable="peer",
        pull_sub=nats.PullSub(200),
        decoder=read,
    )
    async def on_candidate(candidate: Any) -> None:
        nonlocal done
        (verdict,) = deduper.offer([candidate.text])
        kind = "accepted" if verdict.of is None else "duplicate"
        await broker.publish(encode(candidate), f"peer.{kind}.{key_token(candidate.id)}", stream="PEER", timeout=5)
        done += 1
        if done == candidates:
            ended.set()

    before = time.monotonic()
    await broker.start()
    try:
        await asyncio.wait_for(ended.wait(), 300)
        return candidates / (time.monotonic() - before)
    finally:
        await broker.stop()
        js = bus.client.jetstream()
        await js.delete_consumer(CANDIDATES, "peer")
        await js.delete_stream("PEER")
