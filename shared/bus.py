"""The bus kit: the only home of the NATS client.

Errors a caller may see:

    BusError
     ├─ Unavailable   no answer in time: what was asked may or may not have happened
     ├─ Missing       the stream, consumer or responder does not exist (yet)
     ├─ Taken         the subject already holds its one message: this was decided before
     ├─ Fenced        a newer orchestrator has taken over
     ├─ TooLarge      a message is larger than its stream takes
     └─ Full          a stream is at its bound
    Malformed         a message that its type refuses
"""

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js import api as js_api
from nats.js import errors as js_errors

from shared import streams, subjects

TRACEPARENT = "traceparent"
"""Header of the W3C trace context."""

REQUEST_SECONDS = 5.0
"""How long an answer of the server or of a service is waited for."""

IDLE_SECONDS = 1.0
"""How long one pull waits for messages; also how soon a consumer lost with its server is made again."""

RECONNECT_SECONDS = 0.25
"""Between attempts to reach the server: short, since a run stands still meanwhile."""

CREDENTIALS = re.compile(r"//[^@/]*@")
"""User and password in an address: they reach no log."""

READ_BATCH = 500
"""Messages of one read: the client then holds at most about 1 MB of them."""

PER_SUBJECT_LIMIT = 10077
"""Server's code for a write beyond a stream's bounds; the description tells which bound."""
WRONG_LAST_SEQUENCE = 10071
MESSAGE_TOO_LARGE = 10054

log = structlog.get_logger()

MessageT = TypeVar("MessageT", bound=msgspec.Struct)


class BusError(Exception):
    """Raised when the bus did not do what was asked; see the tree above."""


class Unavailable(BusError):
    """Raised when no answer came in time; the outcome is unknown."""


class Missing(BusError):
    """Raised when the stream, consumer or responder does not exist."""


class Taken(BusError):
    """Raised when a subject that holds one message for ever holds it already."""


class Fenced(BusError):
    """Raised when a newer orchestrator has taken over the log."""


class TooLarge(BusError):
    """Raised when a message is larger than its stream takes: it will never be stored."""


class Full(BusError):
    """Raised when a stream is at its bound."""


class Malformed(ValueError):
    """Raised when a message does not fit its type; the text says where."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One message of a stream."""

    sequence: int
    subject: str
    data: bytes
    trace: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to write: where, what, and the trace it belongs to."""

    subject: str
    message: msgspec.Struct
    trace: str = ""


@dataclass(frozen=True, slots=True)
class StreamHead:
    """Where a stream stands. `epoch` changes when the stream is made anew, so sequences of two epochs never mix."""

    epoch: str
    first: int
    last: int


def encode(message: msgspec.Struct) -> bytes:
    """The wire form of a message. Raises Malformed for text that is no Unicode: half a surrogate pair of a model's answer."""
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError as error:
        raise Malformed(f"{type(message).__name__}: {error}") from error


def decode(kind: type[MessageT], data: bytes) -> MessageT:
    """Read a message of one type.

    Raises Malformed when the bytes are no JSON, or no such message.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{kind.__name__}: {error}") from error


def new_trace() -> str:
    """A traceparent that starts a trace (https://www.w3.org/TR/trace-context/)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


class Delivery:
    """One task as handed out by the work queue: to be ended by exactly one of `done`, `retry` or `discard`."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.data = message.data
        self.subject = message.subject
        self.trace = (message.headers or {}).get(TRACEPARENT, "")
        self.attempt = message.metadata.num_delivered

    async def working(self) -> None:
        """Tell the queue that the task is still being worked on."""
        with _translated():
            await self._message.in_progress()

    async def done(self) -> None:
        """Take the task off the queue. Raises Unavailable when the server did not confirm it."""
        with _translated():
            await self._message.ack_sync(timeout=REQUEST_SECONDS)

    async def retry(self, seconds: float) -> None:
        """Give the task back, to be handed out again after a delay: a bare nak would spin on a task that always fails."""
        with _translated():
            await self._message.nak(delay=seconds)

    async def discard(self) -> None:
        """Take a task off the queue that cannot be done by anybody."""
        with _translated():
            await self._message.term()


class WorkQueue:
    """The tasks of one provider, shared by all its producers."""

    def __init__(self, client: Client, js: JetStreamContext, provider: str) -> None:
        self._client = client
        self._js = js
        self._consumer = streams.producer_consumer(provider)
        self._pull: JetStreamContext.PullSubscription | None = None

    async def take(self) -> Delivery | None:
        """The next task, or None when none came within `IDLE_SECONDS`. Raises Missing when there is no queue yet."""
        if not self._client.is_connected:
            # A request made now is kept and sent on reconnecting: each would bring a task that nobody here waits for.
            await asyncio.sleep(RECONNECT_SECONDS)
            return None
        try:
            with _translated():
                if self._pull is None:
                    self._pull = await self._js.pull_subscribe_bind(self._consumer, stream=streams.TASKS.name or "")
                (message,) = await self._pull.fetch(1, timeout=IDLE_SECONDS)
                return Delivery(message)
        except Unavailable:
            return None


class Bus:
    """A connection to NATS that reconnects by itself; `closed` is set when it is lost for good."""

    def __init__(self, client: Client, closed: asyncio.Event) -> None:
        self.client = client
        self.closed = closed
        self._js = client.jetstream(timeout=REQUEST_SECONDS)

    async def close(self) -> None:
        """Send what is buffered and close the connection.

        Not the client's `drain`: it waits for ever on a subscription whose reader was cancelled.
        """
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            if self.client.is_connected:
                await self.client.flush(timeout=2)
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            await asyncio.wait_for(self.client.close(), 2)

    # ---- core NATS: at most once -------------------------------------------------------------------------------

    async def tell(self, subject: str, message: msgspec.Struct, trace: str = "") -> None:
        """Send to whoever listens at this moment. Never raises for a lost connection: the next one will be told anew."""
        with contextlib.suppress(nats.errors.Error):
            await self.client.publish(subject, encode(message), headers=_headers(trace))

    async def listen(
        self, subject: str, kind: type[MessageT], handle: Callable[[MessageT], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Call `handle` for each message on `subject`; returns what ends it. Malformed messages are logged and dropped."""

        async def on_message(message: Msg) -> None:
            try:
                await handle(decode(kind, message.data))
            except Malformed as error:
                log.warning("bus.malformed", subject=message.subject, error=str(error))
            except Exception:
                log.exception("bus.handler_failed", subject=message.subject)

        subscription = await self.client.subscribe(subject, cb=on_message)
        return subscription.unsubscribe

    async def ask(self, subject: str, message: msgspec.Struct, timeout: float = REQUEST_SECONDS) -> bytes:
        """Ask a service and wait for its answer. Raises Missing when nobody listens, Unavailable when nobody answers."""
        with _translated():
            return (await self.client.request(subject, encode(message), timeout=timeout)).data

    # ---- streams ------------------------------------------------------------------------------------------------

    async def publish(self, subject: str, message: msgspec.Struct, *, id: str = "", trace: str = "") -> int:
        """Store one message and return its sequence once the server has it on disk.

        `id` makes a repeat within the stream's duplicate window harmless. Raises Unavailable, Missing, Taken or Full.
        """
        headers = _headers(trace, {"Nats-Msg-Id": id} if id else {})
        with _translated():
            return (await self._js.publish(subject, encode(message), headers=headers)).seq

    async def commit(self, entries: Sequence[Entry], fence: int = 0) -> int:
        """Store all entries or none, in order, and return the sequence of the last.

        At most `streams.MAX_BATCH` entries of one stream. `fence` is the sequence of the caller's epoch in RESULTS (see
        `claim_epoch`); the write is refused once there is a later epoch. Protocol: NATS ADR-50, atomic batch publish.
        Raises Fenced, Taken (one of the subjects holds its message already: none was stored), Full, or Unavailable.
        """
        batch = secrets.token_hex(11)
        with _translated():
            for number, entry in enumerate(entries, start=1):
                headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                if fence and number == 1:
                    headers["Nats-Expected-Last-Subject-Sequence"] = str(fence)
                    headers["Nats-Expected-Last-Subject-Sequence-Subject"] = subjects.ALL_EPOCHS
                if number < len(entries):
                    await self.client.publish(entry.subject, encode(entry.message), headers=_headers(entry.trace, headers))
                    continue
                headers["Nats-Batch-Commit"] = "1"
                reply = await self.client.request(
                    entry.subject, encode(entry.message), timeout=REQUEST_SECONDS, headers=_headers(entry.trace, headers)
                )
                answer = json.loads(reply.data)
                if "error" in answer:
                    raise js_errors.APIError.from_error(answer["error"])
                return int(answer["seq"])
        raise ValueError("an empty batch")

    async def head(self, stream: str) -> StreamHead:
        """Where a stream stands. Raises Missing or Unavailable."""
        with _translated():
            info = await self._js.stream_info(stream)
        created = info.created.isoformat() if info.created else ""
        return StreamHead(subjects.key_token(created)[:12], info.state.first_seq, info.state.last_seq)

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of a stream on a subject (wildcards allowed), or None."""
        try:
            with _translated():
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
                with _translated():
                    raw = await self._js.get_msg(stream, seq=sequence, subject=subject, next=True)
            except Missing:
                return found
            found.append(_stored(raw))
            sequence = found[-1].sequence + 1

    async def delivered(self, stream: str, consumer: str) -> int:
        """Sequence of the last message that a durable consumer handed out, acknowledged or not."""
        with _translated():
            info = await self._js.consumer_info(stream, consumer)
        return info.delivered.stream_seq if info.delivered else 0

    async def remove(self, stream: str, sequence: int) -> None:
        """Drop one message of a stream. Raises BusError when it is not there any more."""
        with _translated():
            await self._js.delete_msg(stream, sequence)

    async def purge(self, stream: str, subject: str) -> None:
        """Drop all messages of a stream on a subject."""
        with _translated():
            await self._js.purge_stream(stream, subject=subject)

    async def history(self, stream: str, subjects: list[str], after: int = 0) -> AsyncGenerator[list[Stored], None]:
        """What a stream holds on these subjects above sequence `after`, oldest first, up to its end as of now.

        Goes on after a restart of the server; raises Unavailable or Missing when that takes longer than `REQUEST_SECONDS`.
        """
        end = (await self.head(stream)).last
        reader = _Reader(self.client, stream, subjects, after)
        patience = time.monotonic() + REQUEST_SECONDS
        try:
            while reader.pending != 0 and reader.at < end:
                try:
                    batch = await reader.read()
                except BusError:
                    if time.monotonic() > patience:
                        raise
                    await reader.forget()
                    await asyncio.sleep(RECONNECT_SECONDS)
                    continue
                patience = time.monotonic() + REQUEST_SECONDS
                if wanted := [m for m in batch if m.sequence <= end]:
                    yield wanted
        finally:
            await reader.close()

    async def follow(self, stream: str, subjects: list[str], after: int = 0) -> AsyncGenerator[list[Stored], None]:
        """What a stream holds above sequence `after` and whatever comes later, in order, for ever.

        Yields an empty list when nothing came within `IDLE_SECONDS`. Survives restarts of the server: the position is the
        caller's, not the server's, whose consumers may go backwards after a kill.
        """
        reader = _Reader(self.client, stream, subjects, after)
        interrupted = False
        try:
            while True:
                try:
                    batch = await reader.read()
                    interrupted = False
                except BusError as error:
                    if not interrupted:
                        log.warning("bus.read_interrupted", stream=stream, error=str(error))
                    interrupted = True  # said once, not at every attempt
                    batch = []
                    await reader.forget()
                    await asyncio.sleep(RECONNECT_SECONDS)  # a server that refuses at once must not be asked in a tight loop
                yield batch
        finally:
            await reader.close()

    def queue(self, provider: str) -> WorkQueue:
        """The tasks of a provider."""
        return WorkQueue(self.client, self._js, provider)

    async def claim_epoch(self, message: Callable[[int], msgspec.Struct]) -> tuple[int, int]:
        """Become the one writer of the log: returns the new epoch's number and its sequence, the fence for `commit`."""
        while True:
            newest = await self.last(streams.RESULTS.name or "", subjects.ALL_EPOCHS)
            number = int(newest.subject.rsplit(".", 1)[1]) + 1 if newest else 1
            try:
                return number, await self.publish(subjects.epoch(number), message(number))
            except Taken:
                continue  # another orchestrator took this number first: the later one wins

    async def provision(self) -> None:
        """Make every stream, consumer and bucket, or bring them to the bounds of `streams`."""
        with _translated():
            for stream in streams.STREAMS:
                try:
                    await self._js.update_stream(stream)
                except js_errors.NotFoundError:
                    await self._js.add_stream(stream)
            for consumer in streams.CONSUMERS:
                await self._js.add_consumer(streams.TASKS.name or "", consumer)
            try:
                await self._js.key_value(streams.RUNS.bucket)
            except js_errors.BucketNotFoundError:
                await self._js.create_key_value(streams.RUNS)

    async def provisioned(self) -> bool:
        """Whether the last thing that `provision` makes is there."""
        try:
            await self.head(bucket_stream(streams.RUNS.bucket))
        except (Missing, Unavailable):
            return False
        return True


class _Reader:
    """A place in a stream, read through a consumer that may be lost and made again."""

    def __init__(self, client: Client, stream: str, subjects: list[str], after: int) -> None:
        self._client = client
        self._js = client.jetstream(timeout=REQUEST_SECONDS)
        self._stream = stream
        self._subjects = subjects
        self._name = ""
        self._pull: JetStreamContext.PullSubscription | None = None
        self._delivered = 0
        self._connection = 0
        self.at = after
        self.pending: int | None = None
        """Messages that the stream still has for us, as of the last read; None before the first."""

    async def read(self) -> list[Stored]:
        """The next messages in order, or none if none came in time. Raises Missing or Unavailable."""
        if self._client.stats["reconnects"] != self._connection:
            await self.forget()  # what was on its way over the broken connection counts as delivered, and is not sent again
        with _translated():
            if self._pull is None:
                self._connection = self._client.stats["reconnects"]
                self._delivered = 0
                self._pull = await self._open()
                if not self.pending:
                    return []  # so that reading what is there does not wait for what may come
            try:
                messages = await self._pull.fetch(READ_BATCH, timeout=IDLE_SECONDS)
            except TimeoutError:  # the client's own, or asyncio's when its clock runs out first
                if not self._client.is_connected:
                    raise
                return []
        fresh: list[Stored] = []
        for message in messages:
            place = message.metadata
            if place.sequence.consumer != self._delivered + 1:  # one was lost on the way: read on from the last that came
                await self.forget()
                break
            self._delivered = place.sequence.consumer
            self.pending = place.num_pending
            if place.sequence.stream > self.at:  # a consumer may go backwards when its server was killed
                self.at = place.sequence.stream
                trace = (message.headers or {}).get(TRACEPARENT, "")
                fresh.append(Stored(self.at, message.subject, message.data, trace))
        return fresh

    async def _open(self) -> JetStreamContext.PullSubscription:
        info = await self._js.add_consumer(
            self._stream,
            js_api.ConsumerConfig(
                deliver_policy=js_api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.at + 1,
                ack_policy=js_api.AckPolicy.NONE,
                filter_subjects=self._subjects,
                mem_storage=True,
                inactive_threshold=30.0,  # a reader that died leaves nothing behind for longer than this
            ),
        )
        self._name = info.name
        self.pending = info.num_pending
        return await self._js.pull_subscribe_bind(consumer=info.name, stream=self._stream)

    async def forget(self) -> None:
        """Have the next read make a new consumer at the same place."""
        pull, self._pull = self._pull, None
        if pull is not None:
            with contextlib.suppress(nats.errors.Error):
                await pull.unsubscribe()

    async def close(self) -> None:
        """Leave nothing behind on the server, if it is there to be told."""
        opened = self._pull is not None
        await self.forget()
        if opened and self._client.is_connected:
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                await self._js.delete_consumer(self._stream, self._name)


def bucket_stream(bucket: str) -> str:
    """The stream behind a key-value bucket (NATS ADR-8)."""
    return f"KV_{bucket}"


def bucket_key(bucket: str, key: str) -> str:
    """The subject of one key of a key-value bucket (NATS ADR-8)."""
    return f"$KV.{bucket}.{key}"


async def connect(url: str, name: str) -> Bus:
    """Connect to NATS, waiting for it for as long as it takes; says once that it waits."""
    shown = CREDENTIALS.sub("//…@", url)
    closed = asyncio.Event()
    client = Client()
    waiting = False

    async def on_error(error: Exception) -> None:
        nonlocal waiting
        reason = str(error) or type(error).__name__
        if client.is_connected:
            log.warning("bus.error", error=reason)
        elif not waiting and not client.is_reconnecting:
            waiting = True  # say it once, not at every attempt
            hint = "start NATS or set NATS_URL; trying again until it answers"
            log.warning("bus.waiting", url=shown, reason=reason, hint=hint)

    async def on_closed() -> None:
        closed.set()

    async def on_disconnected() -> None:
        if not client.is_closed:
            log.warning("bus.disconnected", url=shown)

    async def on_reconnected() -> None:
        log.info("bus.reconnected", url=shown)

    bus = Bus(client, closed)
    try:
        await client.connect(
            url,
            name=name,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]  # annotated int, used as any number of seconds
            ping_interval=10,
            max_outstanding_pings=2,
            error_cb=on_error,
            closed_cb=on_closed,
            disconnected_cb=on_disconnected,
            reconnected_cb=on_reconnected,
        )
    except BaseException:  # told to stop meanwhile: the half-made connection would stay open for ever
        await bus.close()
        raise
    return bus


def _headers(trace: str, more: dict[str, str] | None = None) -> dict[str, Any] | None:
    headers = dict(more or {})
    if trace:
        headers[TRACEPARENT] = trace
    return headers or None


def _stored(raw: js_api.RawStreamMsg) -> Stored:
    return Stored(raw.seq or 0, raw.subject or "", raw.data or b"", (raw.headers or {}).get(TRACEPARENT, ""))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn the client's errors into ours, which say what a caller can do about them."""
    try:
        yield
    except js_errors.APIError as error:
        raise _from_api(error) from error
    except (js_errors.NoStreamResponseError, nats.errors.NoRespondersError) as error:
        raise Missing("no stream or service listens there") from error
    except (nats.errors.Error, TimeoutError) as error:
        raise Unavailable(str(error) or type(error).__name__) from error


def _from_api(error: js_errors.APIError) -> BusError:
    text = error.description or str(error)
    if error.err_code == WRONG_LAST_SEQUENCE:
        return Fenced(text)
    if error.err_code == PER_SUBJECT_LIMIT:
        return Taken(text) if "per subject" in text else Full(text)
    if error.err_code == MESSAGE_TOO_LARGE:
        return TooLarge(text)
    if isinstance(error, js_errors.NotFoundError):
        return Missing(text)
    return BusError(text)
