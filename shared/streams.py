"""Every stream, consumer and bucket, with its bounds and the reason for each number.

Nothing that an open run needs may go by age: a run may be paused for longer than any age, and its budget must not forget.
The sizes add up to less than `MAX_FILE_STORE`, which the server is told: a stream that is full refuses writes cleanly,
whereas a full disk wedges the server until it is restarted.
"""

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    KeyValueConfig,
    RePublish,
    RetentionPolicy,
    StreamConfig,
)

from shared import subjects
from shared.providers import PROVIDERS

MIB = 1024 * 1024
MINUTE = 60.0
DAY = 24 * 60 * MINUTE

MAX_PAYLOAD = 64 * 1024
"""Bytes of one message. The largest is a task with a full avoid list, about 8 KB."""

MAX_FILE_STORE = 4096 * MIB
"""What the server may keep on disk in all."""

MAX_BATCH = 200
"""Messages of one atomic batch; the server allows 1,000. 200 take about 20 ms on a disk that syncs each batch."""

REPUBLISH = RePublish(src=subjects.EVERYTHING, dest=subjects.stored(subjects.EVERYTHING), headers_only=True)
"""Readers hear of what is stored, when it is, and read it from their own place. Who does not listen costs nothing."""

TASKS = StreamConfig(
    name="TASKS",
    description="Model calls to make: a work queue, each task goes to one idle producer",
    subjects=[subjects.ALL_TASKS],
    retention=RetentionPolicy.WORK_QUEUE,
    discard=DiscardPolicy.NEW,
    max_msgs=10_000,  # the orchestrator keeps only as many tasks outstanding as there are free slots
    max_bytes=64 * MIB,
    max_age=DAY,  # a task nobody took for a day belongs to a run nobody waits for
    max_msg_size=MAX_PAYLOAD,
    duplicate_window=10 * MINUTE,  # a task published again after an unknown outcome is recognised by its id
)

REPORTS = {
    provider: StreamConfig(
        name=f"REPORTS_{provider}",
        description=f"What the producers of {provider} report: attributes, calls begun, calls finished; in order of arrival",
        # One stream a provider: who fills it, or takes the ids of others' messages, silences nobody but his own provider.
        subjects=subjects.reports_of_provider(provider),
        discard=DiscardPolicy.NEW,  # full means an error to the producers, who wait: never silent loss
        max_msgs=1_000_000,  # each id is kept in memory while its window lasts
        max_bytes=256 * MIB,  # about 500,000 candidates
        # No max_age: an open run may wait for its orchestrator for ever. What is in the log is taken off (`HALF_FULL`).
        max_msg_size=16 * 1024,
        duplicate_window=15 * MINUTE,  # longer than a task may live: 5 deliveries of a call of at most 2 minutes
        allow_direct=True,
        republish=REPUBLISH,
    )
    for provider in PROVIDERS
}

HALF_FULL = 0.5
"""Share of its bounds from which the orchestrator takes off a stream of reports what the log has of it."""

OUTDATED = ("CANDIDATES", "USAGE")
"""Streams of earlier versions, which held what `REPORTS` hold now. A run that needs them is ended when it is taken up again."""

RESULTS = StreamConfig(
    name="RESULTS",
    description="The log of decisions; one message a subject, for ever, so a key is accepted once",
    subjects=[
        subjects.ALL_STARTED,
        subjects.ALL_ACCEPTED,
        subjects.ALL_DUPLICATES,
        subjects.ALL_SETTLED,
        subjects.ALL_ISSUED,
        subjects.ALL_SPENT,
        subjects.ALL_FINISHED,
        subjects.ALL_EPOCHS,
    ],
    discard=DiscardPolicy.NEW,
    discard_new_per_subject=True,
    max_msgs_per_subject=1,
    max_bytes=2048 * MIB,  # about 4 million decisions
    max_msg_size=MAX_PAYLOAD,
    deny_delete=True,
    deny_purge=True,
    allow_direct=True,
    republish=REPUBLISH,
    allow_atomic=True,
)

HOLD = "chorus_hold"
"""Metadata of the bucket RUNS while RESULTS is being written anew, with the repair's name: so long nobody may take it over.

It stands with the bucket, since RESULTS itself is dropped and made again in between.
"""

STREAMS = (TASKS, *REPORTS.values(), RESULTS)

RUNS = KeyValueConfig(
    bucket="RUNS",
    description="Where each run stands",
    history=1,
    max_bytes=64 * MIB,  # about 40,000 runs
    max_value_size=MAX_PAYLOAD,
    republish=REPUBLISH,
    direct=True,
)


def reports(provider: str) -> str:
    """The name of the stream of what a provider's producers report."""
    return f"REPORTS_{provider}"


def producer_consumer(provider: str) -> str:
    """The durable name under which all producers of a provider share the work queue."""
    return f"producer-{provider}"


ACK_WAIT = 5.0
"""Seconds until a task whose producer fell silent goes to another. A working producer says so every `ACK_WAIT / 3`.

Shorter, a server that stood still for a moment would have calls made twice; longer, a run whose producers all died waits on.
"""

MAX_DELIVER = 5
"""Deliveries of one task: a task that ended five producers is not given to a sixth."""

CONSUMERS = tuple(
    ConsumerConfig(
        durable_name=producer_consumer(provider),
        description=f"Idle producers of {provider}",
        filter_subject=subjects.tasks_of_provider(provider),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT,
        max_deliver=MAX_DELIVER,
        max_ack_pending=1000,  # model calls at once of one provider
    )
    for provider in PROVIDERS
)
