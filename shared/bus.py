"""The bus: publish, ask, listen, and keep. With its parts beside it, the only home of the NATS client."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js import api as js_api
from nats.js import errors as js_errors

from shared import metrics, signatures, speakers, streams, subjects, traces, waits
from shared.bus_errors import BusError, Denied, Fenced, Full, Malformed, Missing, Taken, TooLarge, Unavailable, translated
from shared.connection import Access, BusClient, close_client, open_client
from shared.messages import Begun
from shared.stream_reader import Batch, Stored, StreamReader, follow, history
from shared.wire import TRACEPARENT, MessageT, decode, encode, headers
from shared.work_queue import Delivery, WorkQueue

__all__ = [  # what services import from here, wherever it is written
    "TRACEPARENT",
    "Access",
    "Batch",
    "Bus",
    "BusError",
    "Delivery",
    "Denied",
    "Entry",
    "Fenced",
    "Full",
    "Malformed",
    "Missing",
    "Stored",
    "StreamHead",
    "Taken",
    "TooLarge",
    "Unavailable",
    "WorkQueue",
    "bucket_key",
    "bucket_stream",
    "connect",
    "decode",
    "encode",
]

HELD_SECONDS = 1.0
"""Between two looks at a log that is being written anew, which takes up to some minutes."""

MAX_EPOCH_DIGITS = 16
"""A longer number is none of ours: an epoch is one start of an orchestrator."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to write: where, what, and the trace it belongs to."""

    subject: str
    message: msgspec.Struct | msgspec.Raw
    """Raw: the bytes as they are, of a message that was stored before."""
    trace: str = ""


@dataclass(frozen=True, slots=True)
class StreamHead:
    """Where a stream stands. `epoch` changes when the stream is made anew, so sequences of two epochs never mix."""

    epoch: str
    first: int
    last: int


class Bus:
    """A connection to NATS that reconnects by itself; `closed` is set when it is lost for good."""

    def __init__(self, client: BusClient, closed: asyncio.Event) -> None:
        self.client = client
        self.closed = closed
        self._js = client.jetstream(timeout=waits.REQUEST_SECONDS)
        self._told_malformed: set[str] = set()
        """Kinds of messages of which a malformed one was logged: a flood of them must not fill the log."""

    @property
    def connected(self) -> bool:
        """Whether the server is there at this moment."""
        return self.client.is_connected

    async def close(self) -> None:
        """Send what is buffered and close the connection."""
        await close_client(self.client)

    # ---- core NATS: at most once -------------------------------------------------------------------------------

    async def tell(self, subject: str, message: msgspec.Struct, trace: str = "") -> None:
        """Send to whoever listens at this moment. Never raises for a lost connection: the next one will be told anew."""
        with contextlib.suppress(nats.errors.Error):
            data = encode(message)
            await self.client.publish(subject, data, headers=headers(trace, self._signature(subject, data)))

    async def listen(
        self, subject: str, kind: type[MessageT], handle: Callable[[MessageT], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Call `handle` for each message on `subject`; returns what ends it. A malformed message is counted and dropped, as
        is one that speaks for somebody else than its subject says; the first of a kind is logged."""

        async def on_message(message: Msg) -> None:
            try:
                if signatures.is_signed(message.subject):
                    self.client.verifier.check(message.subject, message.data, message.headers)
                said = decode(kind, message.data)
                speakers.check(message.subject, said)
                await handle(said)
            except Malformed as error:
                metrics.MALFORMED.add(kind.__name__)
                if kind.__name__ not in self._told_malformed:
                    self._told_malformed.add(kind.__name__)
                    log.warning("bus.malformed", subject=message.subject[:200], error=str(error)[:300], hint="said once a kind")
            except Exception:
                log.exception("bus.handler_failed", subject=message.subject)

        subscription = await self.client.subscribe(subject, cb=on_message)
        return subscription.unsubscribe

    async def ask(self, subject: str, message: msgspec.Struct, timeout: float = waits.REQUEST_SECONDS) -> bytes:
        """Ask a service and wait for its answer. Raises Missing when nobody listens, Unavailable when nobody answers."""
        with translated(self.client.denied, subject):
            about = headers(traces.current())
            return (await self.client.request(subject, encode(message), timeout=timeout, headers=about)).data

    # ---- streams ------------------------------------------------------------------------------------------------

    async def publish(self, subject: str, message: msgspec.Struct, *, id: str = "", trace: str = "") -> int:
        """Store one message and return its sequence once the server has it on disk.

        `id` makes a repeat within the stream's duplicate window harmless. Raises Unavailable, Missing, Taken, Full or TooLarge.
        """
        data = encode(message)
        about = ({"Nats-Msg-Id": id} if id else {}) | self._signature(subject, data)
        with translated(self.client.denied, subject):
            return (await self._js.publish(subject, data, headers=headers(trace, about))).seq

    async def claim(self, subject: str, message: msgspec.Struct, id: str) -> bool:
        """Be the first to store a message on a subject; returns whether nobody had stored one before.

        The subject shows it as long as the stream keeps the message, the id for the stream's window, also when the message is
        gone. Raises as `publish`. After Unavailable it is unknown: a second claim may then find the first.
        """
        about = headers("", {"Nats-Msg-Id": id, "Nats-Expected-Last-Subject-Sequence": "0"})
        try:
            with translated(self.client.denied, subject):
                answer = await self._js.publish(subject, encode(message), headers=about)
        except Fenced:  # there is one
            return False
        return not answer.duplicate

    async def claimant(self, provider: str, subject: str) -> Begun | None:
        """Who claimed a call, by the claim's subject; None when nobody did. Raises Unavailable."""
        stream = streams.reports(provider)
        try:
            with translated(self.client.denied, f"$JS.API.DIRECT.GET.{stream}.{subject}"):
                found = await self._js.get_last_msg(stream, subject, direct=True)
        except Missing:
            return None
        try:
            return decode(Begun, found.data or b"")
        except Malformed:  # no claim, but something that was put there
            return None

    async def takes_reports(self, provider: str) -> bool:
        """Whether the stream of a provider's reports is there, as far as its producers may ask."""
        stream, subject = streams.reports(provider), subjects.begun("none", provider, "none")
        try:
            await self._js.get_last_msg(stream, subject, direct=True)
        except js_errors.NotFoundError:
            return True
        except (nats.errors.Error, js_errors.Error, TimeoutError):
            return False
        return True

    def _signature(self, subject: str, data: bytes) -> dict[str, str]:
        signer = self.client.signer
        return {signatures.HEADER: signer.sign(subject, data)} if signer and signatures.is_signed(subject) else {}

    async def commit(self, entries: Sequence[Entry], fence: int = 0, after: int | None = None) -> int:
        """Store all entries or none, in order, and return the sequence of the last.

        At most `streams.MAX_BATCH` entries of one stream. `fence` is the sequence of the caller's epoch in RESULTS (see
        `claim_epoch`); the write is refused once there is a later epoch. With `after`, it is also refused unless the stream's
        last sequence is that one. Protocol: NATS ADR-50, atomic batch publish.
        Raises Fenced, Taken (one of the subjects holds its message already: none was stored), Full, TooLarge or Unavailable.
        """
        batch = secrets.token_hex(11)
        with translated(self.client.denied, entries[-1].subject if entries else ""):
            for number, entry in enumerate(entries, start=1):
                about = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                if fence and number == 1:
                    about["Nats-Expected-Last-Subject-Sequence"] = str(fence)
                    about["Nats-Expected-Last-Subject-Sequence-Subject"] = subjects.ALL_EPOCHS
                if after is not None and number == 1:
                    about["Nats-Expected-Last-Sequence"] = str(after)
                if number < len(entries):
                    await self.client.publish(entry.subject, encode(entry.message), headers=headers(entry.trace, about))
                    continue
                about["Nats-Batch-Commit"] = "1"
                reply = await self.client.request(
                    entry.subject, encode(entry.message), timeout=waits.REQUEST_SECONDS, headers=headers(entry.trace, about)
                )
                answer = json.loads(reply.data)
                if "error" in answer:
                    raise js_errors.APIError.from_error(answer["error"])
                return int(answer["seq"])
        raise ValueError("an empty batch")

    async def head(self, stream: str) -> StreamHead:
        """Where a stream stands. Raises Missing or Unavailable."""
        with translated(self.client.denied, f"$JS.API.STREAM.INFO.{stream}"):
            info = await self._js.stream_info(stream)
        created = info.created.isoformat() if info.created else ""
        return StreamHead(subjects.key_token(created)[:12], info.state.first_seq, info.state.last_seq)

    async def subjects_of(self, stream: str) -> list[str]:
        """The subjects that a stream takes, which may be more than this version knows. Raises Missing or Unavailable."""
        with translated(self.client.denied, f"$JS.API.STREAM.INFO.{stream}"):
            return (await self._js.stream_info(stream)).config.subjects or []

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of a stream on a subject (wildcards allowed), or None."""
        try:
            with translated(self.client.denied, f"$JS.API.STREAM.MSG.GET.{stream}"):
                found = await self._js.get_last_msg(stream, subject)
        except Missing:
            return None
        return _stored(found)

    async def waiting(self, stream: str, subject: str) -> list[Stored]:
        """All messages that a stream holds on a subject now, without consuming them. For streams that stay short."""
        found: list[Stored] = []
        sequence = 1
        while True:
            try:
                with translated():
                    raw = await self._js.get_msg(stream, seq=sequence, subject=subject, next=True)
            except Missing:
                return found
            found.append(_stored(raw))
            sequence = found[-1].sequence + 1

    async def delivered(self, stream: str, consumer: str) -> int:
        """Sequence of the last message that a durable consumer handed out, acknowledged or not."""
        with translated():
            info = await self._js.consumer_info(stream, consumer)
        return info.delivered.stream_seq if info.delivered else 0

    async def remove(self, stream: str, sequence: int) -> None:
        """Drop one message of a stream. Raises BusError when it is not there any more."""
        with translated():
            await self._js.delete_msg(stream, sequence)

    async def purge(self, stream: str, subject: str) -> None:
        """Drop all messages of a stream on a subject."""
        with translated():
            await self._js.purge_stream(stream, subject=subject)

    async def room(self, stream: str) -> tuple[int, int]:
        """Bytes that a stream holds, and its bound on them."""
        with translated():
            info = await self._js.stream_info(stream)
        return info.state.bytes, info.config.max_bytes or 0

    async def trim(self, stream: str, up_to: int) -> None:
        """Drop a stream's messages up to this sequence if the stream is more than `streams.HALF_FULL`."""
        with translated():
            info = await self._js.stream_info(stream)
            state, config = info.state, info.config
            full = max(state.bytes / (config.max_bytes or 1), state.messages / (config.max_msgs or 1))
            if full > streams.HALF_FULL and up_to >= state.first_seq:
                await self._js.purge_stream(stream, seq=up_to + 1)

    async def history(self, stream: str, subjects: list[str], after: int = 0) -> AsyncGenerator[list[Stored], None]:
        """What a stream holds on these subjects above sequence `after`, oldest first, up to its end as of now.

        Goes on after a restart of the server; raises Unavailable or Missing when that takes longer than `REQUEST_SECONDS`.
        """
        end = (await self.head(stream)).last
        async with contextlib.aclosing(history(StreamReader(self.client, stream, subjects, after), end)) as batches:
            async for batch in batches:
                yield batch

    async def follow(
        self, stream: str, subjects: list[str], after: int = 0, most: Callable[[], int] | None = None
    ) -> AsyncGenerator[Batch, None]:
        """What a stream holds above sequence `after` and whatever comes later, in order, for ever; at most `most()` at once.

        Yields an empty batch when nothing came within `IDLE_SECONDS`. Survives restarts of the server: the position is the
        caller's, not the server's, whose consumers may go backwards after a kill.
        """

        async def end() -> int:
            return (await self.head(stream)).last

        async with contextlib.aclosing(follow(StreamReader(self.client, stream, subjects, after, most), end)) as batches:
            async for batch in batches:
                yield batch

    def queue(self, provider: str) -> WorkQueue:
        """The tasks of a provider."""
        return WorkQueue(self.client, self._js, provider)

    async def claim_epoch(self, message: Callable[[int], msgspec.Struct]) -> tuple[int, int]:
        """Become the one writer of the log: returns the new epoch's number and its sequence, the fence for `commit`.

        Waits while the log is held (see `hold_log`).
        """
        said = False
        number = 0
        while True:
            if await self.hold_of_log():
                if not said:
                    log.error("log.held", hint="recorder repair is writing it anew; if none is at work, run it again; waiting")
                    said = True
                await asyncio.sleep(HELD_SECONDS)
                continue
            newest = await self.last(streams.RESULTS.name or "", subjects.ALL_EPOCHS)
            number = max(number, _epoch_number(newest)) + 1
            try:
                sequence = await self.publish(subjects.epoch(number), message(number))
            except Taken:
                continue  # another orchestrator took this number first: the later one wins
            if not await self.hold_of_log():  # or a repair that began in between may drop the entry again
                return number, sequence

    async def provision(self, replicas: int | None = None) -> None:
        """Make every stream, consumer and bucket, or bring them to the bounds of `streams`; a raised `max_bytes` stays.

        `replicas` is on how many servers each is kept; by default as many as it is now, and 1 when it is new.
        """
        with translated():
            await self._drop_outdated()
            for stream in streams.STREAMS:
                try:
                    present = (await self._js.stream_info(stream.name or "")).config
                except js_errors.NotFoundError:
                    await self._js.add_stream(stream.evolve(num_replicas=replicas or 1))
                else:
                    await self._js.update_stream(_with_room(stream, present, replicas))
            for consumer in streams.CONSUMERS:
                await self._js.add_consumer(streams.TASKS.name or "", consumer)
            try:
                present = (await self._js.stream_info(bucket_stream(streams.RUNS.bucket))).config
            except js_errors.NotFoundError:
                await self._js.create_key_value(streams.RUNS, replicas=replicas or 1)
            else:
                kept = replicas or present.num_replicas
                await self._js.update_stream(present.evolve(allow_direct=True, republish=streams.REPUBLISH, num_replicas=kept))

    async def _drop_outdated(self) -> None:
        """Drop the streams of earlier versions, whose subjects today's take."""
        for name in streams.OUTDATED:
            with contextlib.suppress(js_errors.NotFoundError):
                held = (await self._js.stream_info(name)).state.messages
                await self._js.delete_stream(name)
                log.warning("bus.outdated_stream_dropped", stream=name, messages=held)

    async def hold_of_log(self) -> str:
        """Which repair keeps everybody from taking over RESULTS; empty when anybody may."""
        try:
            return ((await self._runs()).metadata or {}).get(streams.HOLD, "")
        except Missing:
            return ""

    async def hold_log(self, repair: str) -> None:
        """Have nobody take over RESULTS until `release_log`; who writes already is not kept from it. Raises Missing."""
        await self._update_hold({streams.HOLD: repair})

    async def release_log(self) -> None:
        """Have RESULTS taken over again; does nothing where it is not held."""
        if await self.hold_of_log():
            await self._update_hold({})

    async def _update_hold(self, hold: dict[str, str]) -> None:
        present = await self._runs()
        others = {name: value for name, value in (present.metadata or {}).items() if name != streams.HOLD}
        with translated(self.client.denied, f"$JS.API.STREAM.UPDATE.{present.name}"):
            await self._js.update_stream(present.evolve(metadata=others | hold))

    async def _runs(self) -> js_api.StreamConfig:
        """The bucket of run states as it is configured. Raises Missing."""
        stream = bucket_stream(streams.RUNS.bucket)
        with translated(self.client.denied, f"$JS.API.STREAM.INFO.{stream}"):
            return (await self._js.stream_info(stream)).config

    async def remake_log(self) -> None:
        """Drop RESULTS and make it anew, empty, with the room it had: for who holds it (`hold_log`) and writes it again."""
        wanted = streams.RESULTS.evolve(num_replicas=(await self._runs()).num_replicas)
        with translated():
            with contextlib.suppress(js_errors.NotFoundError):
                wanted = _with_room(wanted, (await self._js.stream_info(wanted.name or "")).config)
                await self._js.delete_stream(wanted.name or "")
            await self._js.add_stream(wanted)

    async def provisioned(self) -> bool:
        """Whether the last thing that `provision` makes is there."""
        try:
            await self.head(bucket_stream(streams.RUNS.bucket))
        except (Missing, Unavailable):
            return False
        return True


def _epoch_number(entry: Stored | None) -> int:
    """Of an entry of the log. One that is not ours, stored there by an answer that was aimed at it, counts by its place."""
    if entry is None:
        return 0
    last = entry.subject.rsplit(".", 1)[1]
    return int(last) if last.isascii() and last.isdigit() and len(last) < MAX_EPOCH_DIGITS else entry.sequence


def _with_room(wanted: js_api.StreamConfig, present: js_api.StreamConfig, replicas: int | None = None) -> js_api.StreamConfig:
    """The stream as we want it, with the larger of both bounds: who raised it by hand made room for a run that waits."""
    ours, theirs = wanted.max_bytes or 0, present.max_bytes or 0
    return wanted.evolve(
        max_bytes=theirs if theirs <= 0 or theirs > ours else ours,
        num_replicas=replicas or present.num_replicas,
    )


def bucket_stream(bucket: str) -> str:
    """The stream behind a key-value bucket (NATS ADR-8)."""
    return f"KV_{bucket}"


def bucket_key(bucket: str, key: str) -> str:
    """The subject of one key of a key-value bucket (NATS ADR-8)."""
    return f"$KV.{bucket}.{key}"


async def connect(url: str, name: str, access: Access = Access()) -> Bus:  # noqa: B008  # it is frozen
    """Connect to NATS, waiting for it for as long as it takes; says once that it waits.

    Exits with one sentence when a key file cannot be used.
    """
    closed = asyncio.Event()
    return Bus(await open_client(url, name, closed, access), closed)


def _stored(raw: js_api.RawStreamMsg) -> Stored:
    return Stored(raw.seq or 0, raw.subject or "", raw.data or b"", (raw.headers or {}).get(TRACEPARENT, ""))
