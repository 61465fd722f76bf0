"""One task: the model is asked until it answers or the policy gives up; each attribute goes out as soon as it is complete."""

import asyncio
import time
import traceback
from contextlib import aclosing
from typing import Literal

import structlog

from services.producer.adapters.contract import End, Kind, ModelError, Opened
from services.producer.bill import Bill
from services.producer.judgements import JudgementParser, SampleParser
from services.producer.limits import Request
from services.producer.parse import FacetParser, Parser
from services.producer.producer import Producer
from services.producer.prompt import version
from services.producer.publisher import Publisher
from services.producer.rate_headers import used_up
from services.producer.retries import MAX_ATTEMPTS, backoff
from shared import subjects
from shared.bus import BusError
from shared.messages import MAX_FACET, Begun, Task, Usage, claim_id, now
from shared.outside_text import as_line

PUBLISH_SECONDS = 5.0
"""Beyond the task's deadline, how long the bus is given to take what is complete."""

CLAIM_SECONDS = 5.0
"""How long the bus is given to take a claim; nothing is asked of the model before."""

MOST_REPORTED = 500
"""Verdicts or names of one answer that are reported, the most that a task asks for."""

MOST_KINDS = 32
"""Kinds of lines that were no attributes."""

MAX_NAME = 200
"""Characters of a model's name."""

log = structlog.get_logger()


class Lost(Exception):
    """Raised when somebody has claimed the call before: it is not made here, and what became of it there nobody knows."""


class Blocked(Exception):
    """Raised when a task cannot be done now: it is for later, or for somebody else."""

    def __init__(self, words: str, seconds: float | None = None, late: float = 0) -> None:
        super().__init__(words)
        self.seconds = seconds
        """Until a pause is over; None when it is not for a pause."""
        self.late = late
        """Seconds by which that is after the task's deadline."""


class Call:
    """A task being done by one producer."""

    def __init__(self, producer: Producer, task: Task, trace: str) -> None:
        self._producer = producer
        self._task = task
        self._publisher = Publisher(producer.bus, producer.id, task, trace)
        self._bill = Bill(task)
        self._parser = _parser(task)
        self._received = 0
        """Bytes of the answer."""
        self._attempts = 0
        self._first_seconds = 0.0
        self._model = ""
        self._error = ""
        self._kind: Kind = ""
        self._gives_up = False
        self._began = time.monotonic()
        self._unsure = False
        """Whether a claim of ours may be there without an answer."""
        self.claimed = False
        """Whether this producer alone may make the call: it may be paid for from now on."""

    async def make(self) -> None:
        """Make the call. Its failure is a result (see `usage`), not an exception; raises Blocked and Lost alone."""
        try:
            async with asyncio.timeout(self._task.deadline_seconds + PUBLISH_SECONDS), self._publisher:
                await self._in_time()
        except TimeoutError:
            raise Blocked("the bus did not take all candidates in time") from None
        except ExceptionGroup as group:  # a task group's way to raise the one error there is
            if known := group.subgroup((Blocked, Lost)):
                raise known.exceptions[0] from None
            self._broken(group.exceptions[0])

    def usage(self, *, cancelled: bool = False) -> Usage:
        """What the call took and gave. One that broke off after its first attributes is good, with a word of what was wrong."""
        failed = self._error and not self._publisher.published and not self._parser.answered
        outcome: Literal["ok", "failed", "cancelled"] = "cancelled" if cancelled else "failed" if failed else "ok"
        return Usage(
            run=self._task.run,
            task=self._task.id,
            provider=self._task.provider,
            model=self._task.model,
            response_model=as_line(self._model, MAX_NAME),
            producer=self._producer.id,
            outcome=outcome,
            error=as_line(self._error),
            error_kind=self._kind,
            gives_up=self._gives_up,
            attempts=self._attempts,
            candidates=self._publisher.published,
            rejected=dict(self._parser.rejected.most_common(MOST_KINDS)),
            judgements=list(self._parser.judgements)[:MOST_REPORTED],
            kind=self._task.kind,
            facet=self._task.facet,
            probe=self._task.probe,
            tail=self._task.tail,
            asked=self._task.count,
            prompt=version(self._task.provider, self._task.kind),
            facets=[name for name in self._parser.facets if len(name) <= MAX_FACET][:MOST_REPORTED],
            on_topic=list(self._parser.on_topic)[:MOST_REPORTED],
            off_topic=list(self._parser.off_topic)[:MOST_REPORTED],
            input_tokens=self._bill.input_tokens,
            cached_tokens=self._bill.cached_tokens,
            cache_write_tokens=self._bill.cache_write_tokens,
            output_tokens=self._bill.output_tokens,
            reasoning_tokens=self._bill.reasoning_tokens,
            estimated=self._bill.estimated,
            seconds=round(time.monotonic() - self._began, 3),
            first_seconds=round(self._first_seconds, 3),
            at=now(),
        )

    def _broken(self, error: Exception) -> None:
        # Its text stays out of the log: it may quote what was sent, and with it the key.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("call.broken", task=self._task.id, error=type(error).__name__, where=where)
        self._note(f"a fault of the producer itself: {type(error).__name__}", "internal")

    def _note(self, error: str, kind: Kind, *, gives_up: bool = False) -> None:
        self._error, self._kind, self._gives_up = error, kind, gives_up

    # ---- attempts --------------------------------------------------------------------------------------------------

    async def _in_time(self) -> None:
        """Ask until the task's deadline. What was complete by then is published all the same. Raises Blocked."""
        try:
            async with asyncio.timeout(self._task.deadline_seconds):
                await self._until_answered()
        except TimeoutError:
            self._note(f"no complete answer within {self._task.deadline_seconds:g} s", "timeout")

    async def _until_answered(self) -> None:
        """Ask until there is an answer, as long as the policy allows it. Raises Blocked."""
        retries = 0
        while (failure := await self._attempt()) is not None:
            if failure.at_once:
                continue  # the adapter leaves out one option after the other, so this has an end
            self._note(str(failure), failure.kind, gives_up=failure.gives_up)
            retries += 1
            if not self._may_retry(failure, retries):
                return
            wait = backoff(retries, self._producer.rng) if failure.wait is None else failure.wait
            if wait >= self._left():
                if failure.kind == "rate_limit" and not self._bill.tokens:
                    raise Blocked(str(failure), wait, wait - self._left())
                return
            await asyncio.sleep(wait)

    def _may_retry(self, failure: ModelError, retries: int) -> bool:
        """What has begun to arrive is paid for and not asked for again."""
        return failure.again and not self._received and retries < MAX_ATTEMPTS and self._bill.allows_another

    def _left(self) -> float:
        """Seconds until the task's deadline."""
        return self._began + self._task.deadline_seconds - time.monotonic()

    async def _attempt(self) -> ModelError | None:
        """Ask once, when the key's limits allow it; returns what went wrong, if anything did. Raises Blocked."""
        request = await self._admitted()
        if not self.claimed:
            await self._claim()
        before = self._bill.tokens
        self._attempts += 1
        began = time.monotonic()
        self._note("", "")
        end: End | None = None
        failure: ModelError | None = None
        try:
            end = await self._read(began)
        except ModelError as error:
            failure = error
        finally:
            if end is not None and end.told:
                self._bill.told(end)
            elif failure is None or failure.billed or self._received:  # also when the call is cancelled
                self._bill.guess(self._task.max_output_tokens if self._parser.cut else self._received)
            request.tokens = self._bill.tokens - before
        if failure is not None:
            await self._heed(failure, began)
        elif end is not None:
            self._producer.slots.succeeded(began, self._first_seconds, time.monotonic() - began, end.output_tokens)
        return failure

    async def _admitted(self) -> Request:
        """Wait until the key's limits allow a request. Raises Blocked when that is not before the deadline."""
        limits = self._producer.key.limits
        while wait := limits.wait(self._bill.most):
            if wait >= self._left() and not self._bill.tokens:
                self._note(f"the key's rate limit allows no request for {wait:.1f} s", "rate_limit")
                raise Blocked(self._error, wait, wait - self._left())
            await asyncio.sleep(wait)
        return limits.take(self._bill.most)

    async def _claim(self) -> None:
        """Have the call for this producer alone. Raises Lost when somebody has it, Blocked when the bus does not say."""
        try:
            async with asyncio.timeout(CLAIM_SECONDS):
                while True:
                    try:
                        self.claimed = await self._claims()
                        break
                    except BusError as error:
                        self._unsure = True
                        log.warning("call.not_claimed", task=self._task.id, error=str(error))
                    await asyncio.sleep(0.2)  # an error may come at once; the bus must not be asked in a tight loop
        except TimeoutError:
            raise Blocked("the bus took no claim of the call") from None
        if not self.claimed:
            raise Lost
        log.info("call.begun", task=self._task.id, run=self._task.run)

    async def _claims(self) -> bool:
        """Claim the call; whether it is ours, be it by an earlier claim whose answer was lost. Raises BusError."""
        task, bus = self._task, self._producer.bus
        claim = Begun(run=task.run, task=task.id, provider=task.provider, producer=self._producer.id, at=now())
        subject = subjects.begun(task.run, task.provider, task.id)
        if await bus.claim(subject, claim, claim_id(task.id)):
            return True
        if not self._unsure:
            return False
        holder = await bus.claimant(task.provider, subject)
        return holder is not None and holder.producer == self._producer.id

    @property
    def took(self) -> bool:
        """Whether anything was billed, or is on the bus."""
        return bool(self._bill.tokens or self._publisher.published)

    def refused(self, words: str) -> Usage:
        """What is reported of a call that this producer does not make."""
        self._note(words, "invalid_request", gives_up=True)
        return self.usage()

    def lost(self) -> Usage:
        """What is reported of a call that somebody else had claimed."""
        self._note("it was begun before, and its answer is lost with whoever began it", "lost")
        return self.usage()

    async def _heed(self, failure: ModelError, began: float) -> None:
        """What a failure means for other calls: fewer at once, or none with this key for a while."""
        if failure.overloaded:
            self._producer.slots.overloaded(began)
        if failure.kind == "rate_limit" and failure.wait:
            await self._producer.key.pause(failure.wait, str(failure))

    # ---- the answer ------------------------------------------------------------------------------------------------

    async def _read(self, began: float) -> End | None:
        """Publish the answer as it comes; its end is None when the rest of it is of no use. Raises ModelError."""
        self._parser = _parser(self._task)
        end: End | None = None
        rest: list[str] = []
        try:
            async with aclosing(self._producer.adapter.complete(self._task)) as answer:
                async for piece in answer:
                    if isinstance(piece, str):
                        await self._take(piece, began)
                    elif isinstance(piece, Opened):
                        self._producer.key.limits.pause(used_up(piece.headers))
                    else:
                        end = piece
                    if self._parser.full:
                        break
        finally:
            rest = self._parser.end(whole=end is not None and end.whole)
        await self._publisher.send(rest)
        self._judge(end)
        return end

    async def _take(self, piece: str, began: float) -> None:
        if not self._received:
            self._first_seconds = time.monotonic() - began
        self._received += len(piece.encode("utf-8", "surrogatepass"))
        await self._publisher.send(self._parser.feed(piece))

    def _judge(self, end: End | None) -> None:
        """Say what was wrong with an answer that came to its end, or was cut off here."""
        if end is None:
            self._note(self._parser.cut, "malformed" if self._parser.cut else "")
            return
        self._model = end.model
        if end.error:
            self._note(end.error, "malformed")
        elif self._parser.rejected and not self._publisher.sent and not self._parser.answered:
            lines = ", ".join(f"{number} {kind}" for kind, number in self._parser.rejected.most_common(3))
            self._note(f"the answer held nothing that was asked for ({lines})", "malformed")


def _parser(task: Task) -> Parser:
    match task.kind:
        case "adjudicate":
            return JudgementParser(task.pairs)
        case "facets":
            return FacetParser(task.count)
        case "judge":
            return SampleParser(task.sample)
    return Parser(task.count)
