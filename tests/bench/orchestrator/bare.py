"""The least that could do the orchestrator's work: pull, look up in a set, atomic publish, acknowledge. Its ceiling."""

import time

from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, StreamConfig

from shared.bus import Bus, Entry, decode
from shared.messages import Candidate
from shared.streams import MAX_BATCH, reports
from shared.subjects import key_token

CANDIDATES = reports("random")

STREAM = StreamConfig(
    name="BARE",
    subjects=["bare.>"],
    discard=DiscardPolicy.NEW,
    discard_new_per_subject=True,
    max_msgs_per_subject=1,
    allow_atomic=True,
)


async def decide(bus: Bus, candidates: int) -> float:
    """Candidates decided a second."""
    js = bus.client.jetstream()
    await js.add_stream(STREAM)
    await js.add_consumer(
        CANDIDATES, ConsumerConfig(durable_name="bare", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=2 * MAX_BATCH)
    )
    pull = await js.pull_subscribe_bind("bare", stream=CANDIDATES)
    seen: set[str] = set()
    done = 0
    before = time.monotonic()
    while done < candidates:
        messages = await pull.fetch(min(MAX_BATCH, candidates - done), timeout=5)
        entries = []
        for message in messages:
            candidate = decode(Candidate, message.data)
            key = candidate.text.casefold()
            kind = "duplicate" if key in seen else "accepted"
            seen.add(key)
            entries.append(Entry(f"bare.{kind}.{key_token(candidate.id)}", candidate))
        await bus.commit(entries)
        for message in messages:
            await message.ack()
        done += len(messages)
    rate = candidates / (time.monotonic() - before)
    await js.delete_consumer(CANDIDATES, "bare")
    await js.delete_stream("BARE")
    return rate
