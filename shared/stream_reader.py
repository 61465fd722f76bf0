"""Reading a stream in order from the caller's own place.

By batches of direct gets (NATS ADR-31) and not by a consumer: who may make a consumer may have the server send to subjects
that he himself may not publish to. What is new is heard of as the stream republishes it, headers only, once it is stored.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg

from shared import streams, subjects, waits
from shared.bus_errors import BusError, Missing, Unavailable, translated
from shared.connection import BusClient
from shared.direct_get import DirectGet
from shared.news import News
from shared.wire import TRACEPARENT

READ_BATCH = 2000
READ_BYTES = 2 * 1024 * 1024
"""Of one read, whichever comes first. Smaller ones cost more: the server counts what is left at each."""

FIRST_PAUSE = 0.005
"""Before the next look when nothing was there: doubled each time, up to `IDLE_SECONDS`, and cut short by what is new.

The look covers what the news may miss: a replica that lags behind its leader, and a reconnect.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stored:
    """One message of a stream."""

    sequence: int
    subject: str
    data: bytes
    trace: str


class Batch(list[Stored]):
    """Messages in their order. `at` is the sequence up to which everything wanted has been handed out, these included."""

    def __init__(self, messages: Iterable[Stored], at: int) -> None:
        super().__init__(messages)
        self.at = at


class StreamReader:
    """A place in a stream. `at` is the sequence up to which everything wanted has been handed out."""

    def __init__(
        self, client: BusClient, stream: str, wanted: list[str], after: int, most: Callable[[], int] | None = None
    ) -> None:
        self._client = client
        self._most = most
        self.stream = stream
        self._wanted = wanted
        self._filter = _covering(stream, wanted)
        self._matches = re.compile("|".join(map(_pattern, wanted))).fullmatch
        self._batch = DirectGet(client)
        self._news = News(client, wanted)
        self._pause = FIRST_PAUSE
        self.at = after
        self.exhausted = False
        """Whether the last read found the end, as of then."""

    async def read(self) -> list[Stored]:
        """The next messages in order; none when there are none yet, or only others. Raises Missing or Unavailable."""
        request: dict[str, object] = {
            "seq": self.at + 1,
            "batch": self._most() if self._most else READ_BATCH,
            "max_bytes": READ_BYTES,
        }
        if self._filter != subjects.EVERYTHING:
            request["next_by_subj"] = self._filter
        messages, self.exhausted = await self._batch.get(self.stream, request)
        found = [stored for message in messages if self._matches((stored := _stored(message)).subject)]
        if messages:
            self.at = int((messages[-1].headers or {})["Nats-Sequence"])
        if found:
            self._pause = FIRST_PAUSE
        return found

    async def skip(self, end: int) -> None:
        """Go on to just before the next message that is wanted, or to `end` when there is none up to it.

        `end` is where the stream ended a moment before: nothing later is looked for, since what came between the
        questions for two subjects would be missed. The leader is asked, so that nothing is skipped that a replica has
        not heard of yet.
        """
        ahead = [found - 1 for subject in self._wanted if (found := await self._next(subject))]
        self.at = max(self.at, min([end, *ahead]))

    async def _next(self, subject: str) -> int:
        """The sequence of the next message on a subject, or 0."""
        request = json.dumps({"seq": self.at + 1, "next_by_subj": subject}).encode()
        with translated(self._client.denied, f"$JS.API.STREAM.MSG.GET.{self.stream}"):
            reply = await self._client.request(f"$JS.API.STREAM.MSG.GET.{self.stream}", request, timeout=waits.REQUEST_SECONDS)
        answer = json.loads(reply.data)
        if "message" in answer:
            return int(answer["message"]["seq"])
        if answer["error"]["code"] == 404 and "stream" not in answer["error"]["description"]:
            return 0
        raise Missing(answer["error"]["description"])

    async def wait(self) -> bool:
        """Wait for something new, or a little while. Whether the wait was the longest: nothing came within `IDLE_SECONDS`."""
        if await self._news.listen():
            return False  # what came before that was not heard: look once more
        heard = await self._news.wait(self._pause)
        long = not heard and self._pause >= waits.IDLE_SECONDS
        self._pause = FIRST_PAUSE if heard else min(2 * self._pause, waits.IDLE_SECONDS)
        return long

    async def close(self) -> None:
        """End the subscriptions, if the server is there to be told."""
        await self._batch.close()
        await self._news.close()


async def history(reader: StreamReader, end: int) -> AsyncGenerator[list[Stored], None]:
    """What is there up to sequence `end`. Raises Unavailable or Missing when the server is away for `REQUEST_SECONDS`."""
    barren, expected = True, False
    patience = time.monotonic() + waits.REQUEST_SECONDS
    try:
        while reader.at < end:
            try:
                if barren:
                    await reader.skip(end)
                    barren, expected = False, True
                    continue
                batch = await reader.read()
            except BusError:
                if time.monotonic() > patience:
                    raise
                await asyncio.sleep(waits.RECONNECT_SECONDS)
                continue
            if expected and not batch and reader.exhausted:  # the leader has it, the replica that answers has not
                if time.monotonic() > patience:
                    raise Unavailable(f"{reader.stream}: what was asked lags behind its leader")
                await asyncio.sleep(waits.RECONNECT_SECONDS)
                barren = True  # it may have been removed in between: the leader knows
                continue
            expected = False
            patience = time.monotonic() + waits.REQUEST_SECONDS
            wanted = [stored for stored in batch if stored.sequence <= end]
            barren = not wanted
            if wanted:
                yield wanted
    finally:
        await reader.close()


async def follow(reader: StreamReader, end: Callable[[], Awaitable[int]]) -> AsyncGenerator[Batch, None]:
    """What is there and whatever comes later, for ever; an empty list when nothing came within `IDLE_SECONDS`.

    `end` tells where the stream ends.
    """
    interrupted = False
    barren = True
    try:
        while True:
            try:
                if barren:
                    await reader.skip(await end())
                batch = await reader.read()
                barren = not batch and not reader.exhausted
                interrupted = False
                if barren or (not batch and not await reader.wait()):
                    continue
            except BusError as error:
                if not interrupted:
                    log.warning("bus.read_interrupted", stream=reader.stream, error=str(error))
                interrupted = True  # said once, not at every attempt
                batch = []
                await asyncio.sleep(waits.RECONNECT_SECONDS)  # a server that refuses at once must not be asked in a tight loop
            yield Batch(batch, reader.at)
    finally:
        await reader.close()


def _covering(stream: str, wanted: list[str]) -> str:
    """The narrowest filter we can name that takes in all that is wanted; the server takes only one."""
    if any(config.name == stream and config.subjects == wanted for config in streams.STREAMS):
        return subjects.EVERYTHING  # the server counts fastest without a filter
    tokens = [subject.split(".") for subject in wanted]
    if len({len(t) for t in tokens}) > 1 or (any(">" in t for t in tokens) and len(tokens) > 1):
        return subjects.EVERYTHING
    return ".".join(same[0] if len(set(same)) == 1 else "*" for same in zip(*tokens, strict=True))


def _pattern(subject: str) -> str:
    """A regular expression for the subjects that a filter takes in."""
    tokens = {"*": r"[^.]+", ">": r".+"}
    return r"\.".join(tokens.get(token, re.escape(token)) for token in subject.split("."))


def _stored(message: Msg) -> Stored:
    about = message.headers or {}
    return Stored(int(about["Nats-Sequence"]), about["Nats-Subject"], message.data, about.get(TRACEPARENT, ""))
