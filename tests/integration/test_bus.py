"""The bus kit on a real server: what it promises, and what it says when the server does not play along."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from nats.errors import MaxPayloadError
from nats.js import api as js_api

from shared import streams, subjects
from shared.bus import (
    Bus,
    Entry,
    Fenced,
    Full,
    Malformed,
    Missing,
    Stored,
    Taken,
    TooLarge,
    Unavailable,
    connect,
    decode,
    encode,
)
from shared.messages import Duplicate, Epoch, Finished, RunControl, Started, Task
from shared.service import end
from shared.stream_reader import StreamReader
from tests.conftest import NatsServer, eventually

RESULTS = "RESULTS"


def message(number: int, text: str = "Eiffel Tower") -> Duplicate:
    return Duplicate(
        run="r1",
        candidate=f"c{number}",
        candidate_sequence=number,
        text=text,
        of=1,
        of_text="Eiffel Tower",
        tier="exact",
        score=1,
        task="t1",
        provider="random",
        model="zipf",
        producer="random-1",
    )


def entry(number: int, text: str = "Eiffel Tower") -> Entry:
    return Entry(subjects.duplicate("r1", f"c{number}"), message(number, text))


def task(number: int) -> Task:
    return Task(id=f"t{number}", run="r1", provider="random", topic="Paris", ordinal=number)


def new_epoch(number: int) -> Epoch:
    return Epoch(epoch=number, orchestrator="orchestrator-1")


async def fill(bus: Bus, first: int, last: int) -> None:
    for start in range(first, last + 1, streams.MAX_BATCH):
        await bus.commit([entry(n) for n in range(start, min(start + streams.MAX_BATCH, last + 1))])


async def collect(batches: AsyncIterator[list[Stored]], enough: int) -> list[int]:
    """Sequences that a reader yields, until there are enough."""
    found: list[int] = []
    async for batch in batches:
        found += [stored.sequence for stored in batch]
        if len(found) >= enough:
            break
    return found


# ---- streams -----------------------------------------------------------------------------------------------------


async def test_provisioning_twice_changes_nothing(bus: Bus) -> None:
    await bus.publish(subjects.task("random", "r1"), task(1), id="t1")
    before = await bus.head("TASKS")

    await bus.provision()

    assert await bus.head("TASKS") == before
    assert await bus.provisioned()


async def test_not_provisioned_before_there_are_streams(nats_server: NatsServer) -> None:
    bus = await connect(nats_server.url, "test")
    try:
        assert not await bus.provisioned()
        with pytest.raises(Missing):
            await bus.publish(subjects.task("random", "r1"), task(1))
        with pytest.raises(Missing):
            await bus.head(RESULTS)
    finally:
        await bus.close()


async def test_the_same_id_is_stored_once(bus: Bus) -> None:
    first = await bus.publish(subjects.task("random", "r1"), task(1), id="t1")
    again = await bus.publish(subjects.task("random", "r1"), task(1), id="t1")

    assert first == again
    assert (await bus.head("TASKS")).last == first


async def test_a_subject_of_the_log_is_taken_for_ever(bus: Bus, nats_server: NatsServer) -> None:
    await bus.publish(subjects.duplicate("r1", "c1"), message(1))
    with pytest.raises(Taken):
        await bus.publish(subjects.duplicate("r1", "c1"), message(1))

    nats_server.kill()
    await eventually(lambda: not bus.client.is_connected)
    nats_server.start()
    await eventually(lambda: bus.client.is_connected)

    with pytest.raises(Taken):
        await bus.publish(subjects.duplicate("r1", "c1"), message(1))


async def test_a_batch_is_stored_whole_and_in_order(bus: Bus) -> None:
    last = await bus.commit([entry(n) for n in range(1, 201)])

    found = [stored async for batch in bus.history(RESULTS, [subjects.ALL_DUPLICATES]) for stored in batch]
    assert [s.sequence for s in found] == list(range(1, 201))
    assert [decode(Duplicate, s.data).candidate for s in found] == [f"c{n}" for n in range(1, 201)]
    assert last == 200


async def test_a_batch_with_one_taken_subject_stores_nothing(bus: Bus) -> None:
    await bus.commit([entry(2)])

    with pytest.raises(Taken):
        await bus.commit([entry(1), entry(2), entry(3)])

    assert (await bus.head(RESULTS)).last == 1


async def test_an_empty_batch_is_a_mistake_of_the_caller(bus: Bus) -> None:
    with pytest.raises(ValueError, match="empty batch"):
        await bus.commit([])


async def test_a_newer_epoch_fences_the_older_writer_out(bus: Bus) -> None:
    first, old_fence = await bus.claim_epoch(new_epoch)
    await bus.commit([entry(1)], old_fence)

    second, new_fence = await bus.claim_epoch(new_epoch)
    with pytest.raises(Fenced):
        await bus.commit([entry(2), entry(3)], old_fence)
    await bus.commit([entry(4)], new_fence)

    assert (first, second) == (1, 2)
    assert await bus.last(RESULTS, subjects.duplicate("r1", "c2")) is None
    assert await bus.last(RESULTS, subjects.duplicate("r1", "c4")) is not None


async def test_two_that_claim_at_once_get_two_epochs(bus: Bus) -> None:
    claims = await asyncio.gather(*(bus.claim_epoch(new_epoch) for _ in range(5)))

    assert sorted(number for number, _ in claims) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("odd", ["x", "9" * 60, "1e5", "-3"])
async def test_an_epoch_can_be_claimed_whatever_stands_in_its_place(bus: Bus, odd: str) -> None:
    await bus.claim_epoch(new_epoch)
    await bus.client.jetstream().publish(f"attributes.epoch.{odd}", b"{}")

    first = await bus.claim_epoch(new_epoch)
    second = await bus.claim_epoch(new_epoch)

    assert first < second
    await bus.commit([entry(1)], second[1])


async def test_a_full_stream_refuses_cleanly(bus: Bus) -> None:
    config = js_api.StreamConfig(
        name="SMALL",
        subjects=["small.>"],
        discard=js_api.DiscardPolicy.NEW,
        max_bytes=4096,
        allow_atomic=True,
    )
    await bus.client.jetstream().add_stream(config)

    async def fill_up() -> None:
        for number in range(1000):
            await bus.publish(f"small.{number}", message(number))

    with pytest.raises(Full):
        await fill_up()
    before = await bus.head("SMALL")
    with pytest.raises(Full):
        await bus.commit([Entry(f"small.b{n}", message(n)) for n in range(50)])
    assert await bus.head("SMALL") == before


@pytest.mark.parametrize("room", [-1000, 40])
async def test_what_is_larger_than_the_server_takes_is_told_at_once_and_breaks_nothing(bus: Bus, room: int) -> None:
    """By its payload, or by its headers alone: it is no matter of waiting, and the connection stays."""
    disconnected: list[bool] = []

    async def on_disconnected() -> None:
        disconnected.append(True)

    bus.client._disconnected_cb = on_disconnected  # noqa: SLF001  # the client takes it while connecting alone
    size = streams.MAX_PAYLOAD - len(encode(message(1, ""))) - room
    large, subject = message(1, "x" * size), entry(1).subject
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with pytest.raises(TooLarge, match="larger than the server takes"):
        await bus.commit([Entry(subject, large, trace)])
    with pytest.raises(TooLarge, match="larger than the server takes"):
        await bus.publish(subject, large, id="c1", trace=trace)
    assert await bus.commit([entry(2)]) == 1
    assert not disconnected


async def test_the_largest_message_with_headers_is_stored(bus: Bus) -> None:
    """Counted to the byte: what the client lets through, the server takes."""
    name, value = "Nats-Msg-Id", "c1"
    headers = len(f"NATS/1.0\r\n{name}: {value}\r\n\r\n")
    config = js_api.StreamConfig(name="LARGE", subjects=["large"])
    await bus.client.jetstream().add_stream(config)
    largest = bytes(streams.MAX_PAYLOAD - headers)
    stored = await bus.client.jetstream().publish("large", largest, headers={name: value})
    assert stored.seq == 1
    with pytest.raises(MaxPayloadError):
        await bus.client.publish("large", largest + b"0", headers={name: value})


async def test_a_stream_made_anew_has_another_epoch(bus: Bus) -> None:
    before = await bus.head(RESULTS)
    await bus.client.jetstream().delete_stream(RESULTS)
    await bus.provision()

    assert (await bus.head(RESULTS)).epoch != before.epoch


async def test_waiting_and_purge_see_one_subject(bus: Bus) -> None:
    for number in range(3):
        await bus.publish(subjects.task("random", "r1"), task(number))
    await bus.publish(subjects.task("random", "r2"), task(9))

    assert [s.sequence for s in await bus.waiting("TASKS", subjects.tasks_of_run("r1"))] == [1, 2, 3]
    await bus.purge("TASKS", subjects.tasks_of_run("r1"))
    assert await bus.waiting("TASKS", subjects.tasks_of_run("r1")) == []
    assert [s.sequence for s in await bus.waiting("TASKS", subjects.tasks_of_run("r2"))] == [4]


# ---- reading -----------------------------------------------------------------------------------------------------


async def test_history_ends_although_the_last_messages_are_of_other_subjects(bus: Bus) -> None:
    await fill(bus, 1, 1200)
    await bus.claim_epoch(new_epoch)

    found = await collect(bus.history(RESULTS, [subjects.ALL_DUPLICATES]), 10_000)

    assert found == list(range(1, 1201))


async def test_history_of_a_few_subjects_skips_the_others_and_keeps_the_order(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.stream_reader.READ_BATCH", 7)
    wanted: list[int] = []
    for number in range(1, 101):
        run = "r1" if number in (20, 21, 60, 95) else "r2"
        kind = subjects.finished(run) if number in (95, 96) else subjects.duplicate(run, f"c{number}")
        sequence = await bus.publish(kind, message(number))
        wanted += [sequence] if run == "r1" else []

    assert await collect(bus.history(RESULTS, subjects.decisions_of_run("r1")), 100) == wanted
    assert await collect(bus.history(RESULTS, [subjects.ALL_STARTED, subjects.ALL_FINISHED]), 100) == [95, 96]
    assert await collect(bus.follow(RESULTS, subjects.decisions_of_run("r1")), len(wanted)) == wanted


@pytest.mark.parametrize("kind", ["history", "follow"])
async def test_what_is_written_between_two_questions_of_a_reader_is_not_skipped(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A reader of several subjects asks for the next of each: one answer is older than the other."""
    await bus.publish(subjects.started("r2"), message(0))
    ask = StreamReader._next  # noqa: SLF001  # the questions are what this is about
    asked: list[str] = []

    async def ask_and_write(self: StreamReader, subject: str) -> int:
        found = await ask(self, subject)
        asked.append(subject)
        if len(asked) == 1:
            await bus.commit([Entry(subjects.started("r1"), message(1)), entry(1), entry(2)])
        return found

    monkeypatch.setattr(StreamReader, "_next", ask_and_write)
    if kind == "follow":
        assert await collect(bus.follow(RESULTS, subjects.decisions_of_run("r1")), 3) == [2, 3, 4]
    else:
        assert await collect(bus.history(RESULTS, subjects.decisions_of_run("r1")), 3) == []
        assert await collect(bus.history(RESULTS, subjects.decisions_of_run("r1")), 3) == [2, 3, 4]


async def test_what_is_new_is_heard_of_at_once(bus: Bus) -> None:
    delays: list[float] = []
    async with contextlib.aclosing(bus.follow(RESULTS, subjects.decisions_of_run("r1"))) as batches:
        assert await anext(batches) == []  # it has nothing to read, and waits
        for number in range(20):
            await bus.publish(subjects.duplicate("r1", f"c{number}"), message(number))
            stored = time.monotonic()
            assert await anext(batches)
            delays.append(time.monotonic() - stored)

    assert sorted(delays)[10] < 0.05


async def test_history_without_messages_ends_at_once(bus: Bus) -> None:
    await fill(bus, 1, 3)
    begun = time.monotonic()

    assert await collect(bus.history(RESULTS, [subjects.ALL_STARTED]), 1) == []
    assert await collect(bus.history(RESULTS, [subjects.ALL_DUPLICATES], after=3), 1) == []
    assert await collect(bus.history(RESULTS, [subjects.ALL_DUPLICATES], after=99), 1) == []
    assert await collect(bus.history(streams.reports("random"), [subjects.ALL_USAGE]), 1) == []

    assert time.monotonic() - begun < 2  # each would take a second if it waited for what may come


async def test_history_ends_while_others_write(bus: Bus) -> None:
    await fill(bus, 1, 600)

    async def write() -> None:
        for number in range(601, 100_000):
            await bus.publish(subjects.duplicate("r1", f"c{number}"), message(number))

    writing = asyncio.create_task(write())
    try:
        found = await collect(bus.history(RESULTS, [subjects.ALL_DUPLICATES]), 100_000)
    finally:
        await end([writing])

    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 600


async def test_history_goes_on_after_a_restart_of_the_server(
    bus: Bus, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.stream_reader.READ_BATCH", 500)
    await fill(bus, 1, 1500)
    found: list[int] = []

    async for batch in bus.history(RESULTS, [subjects.ALL_DUPLICATES]):
        if not found:
            nats_server.restart()
        found += [stored.sequence for stored in batch]

    assert found == list(range(1, 1501))


async def test_history_gives_up_on_a_server_that_stays_away(
    bus: Bus, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bus, 1, 1500)
    monkeypatch.setattr("shared.stream_reader.READ_BATCH", 500)
    monkeypatch.setattr("shared.waits.REQUEST_SECONDS", 0.5)

    async def read() -> None:
        async for _ in bus.history(RESULTS, [subjects.ALL_DUPLICATES]):
            nats_server.kill()

    with pytest.raises(Unavailable):
        await asyncio.wait_for(read(), 20)


async def test_follow_has_no_gap_and_no_repeat_over_restarts(bus: Bus, nats_server: NatsServer) -> None:
    await fill(bus, 1, 700)

    async def write() -> None:
        number = 701
        while number <= 1000:
            try:
                await bus.commit([entry(n) for n in range(number, number + 10)])
                number += 10
            except Taken:
                number += 10
            except (Unavailable, Missing):
                await asyncio.sleep(0.05)

    async def restart() -> None:
        for _ in range(2):
            await asyncio.to_thread(nats_server.restart)

    writing = asyncio.create_task(write())
    found: list[int] = []
    async with contextlib.aclosing(bus.follow(RESULTS, [subjects.ALL_DUPLICATES])) as batches:
        async for batch in batches:
            if not found:
                restarting = asyncio.create_task(restart())
            found += [stored.sequence for stored in batch]
            if len(found) >= 1000:
                break
    await asyncio.gather(writing, restarting)

    assert found == list(range(1, 1001))


async def test_follow_begins_after_the_given_sequence_and_says_when_nothing_came(bus: Bus) -> None:
    await fill(bus, 1, 10)
    batches: list[list[int]] = []

    async with contextlib.aclosing(bus.follow(RESULTS, [subjects.ALL_DUPLICATES], after=7)) as following:
        async for batch in following:
            batches.append([stored.sequence for stored in batch])
            if not batch:
                break

    assert batches == [[8, 9, 10], []]


async def test_follow_waits_for_a_stream_that_is_not_there_yet(nats_server: NatsServer) -> None:
    bus = await connect(nats_server.url, "test")
    try:
        reading = asyncio.create_task(collect(bus.follow(RESULTS, [subjects.ALL_DUPLICATES]), 3))
        await bus.provision()
        await fill(bus, 1, 3)
        assert await asyncio.wait_for(reading, 20) == [1, 2, 3]
    finally:
        await bus.close()


async def test_a_reader_that_ends_leaves_nothing_on_the_server(bus: Bus) -> None:
    await fill(bus, 1, 3)
    async with contextlib.aclosing(bus.follow(RESULTS, [subjects.ALL_DUPLICATES])) as batches:
        assert await anext(batches)

    assert await bus.client.jetstream().consumers_info(RESULTS) == []


async def test_headers_are_read_as_the_client_would(bus: Bus) -> None:
    raw = b"traceparent: 00-ab-cd-01\r\nNats-Sequence:5\r\nodd: a: b \r\nname\r\nUmlaut: \xc3\xbc\r\n\r\n"

    assert bus.client._parse_header_lines(raw) == Client._parse_header_lines(raw)  # noqa: SLF001  # what we put in its place


# ---- the work queue ----------------------------------------------------------------------------------------------


async def test_a_task_goes_to_one_producer_of_its_provider(bus: Bus) -> None:
    await bus.publish(subjects.task("random", "r1"), task(1), id="t1")
    await bus.publish(subjects.task("local", "r1"), task(2), id="t2")

    delivery = await bus.queue("random").take()
    assert delivery is not None
    assert (decode(Task, delivery.data).id, delivery.attempt) == ("t1", 1)
    await delivery.done()

    assert await bus.queue("random").take() is None
    assert [s.sequence for s in await bus.waiting("TASKS", subjects.ALL_TASKS)] == [2]


async def test_a_task_given_back_goes_to_another(bus: Bus, nats_url: str) -> None:
    await bus.publish(subjects.task("random", "r1"), task(1))
    dying = await connect(nats_url, "dying")
    first = await dying.queue("random").take()
    assert first is not None
    await first.retry(0.1)
    await dying.close()

    second = await eventually(bus.queue("random").take)

    assert (second.data, second.attempt) == (first.data, 2)
    await second.done()
    assert await bus.waiting("TASKS", subjects.ALL_TASKS) == []


async def test_a_task_of_a_producer_that_died_goes_to_another(bus: Bus, nats_url: str) -> None:
    queue = js_api.ConsumerConfig(
        durable_name=streams.producer_consumer("random"),
        filter_subject=subjects.tasks_of_provider("random"),
        ack_policy=js_api.AckPolicy.EXPLICIT,
        ack_wait=0.5,  # the real one is 10 s
        max_deliver=streams.MAX_DELIVER,
        max_ack_pending=1000,
    )
    await bus.client.jetstream().add_consumer("TASKS", queue)
    await bus.publish(subjects.task("random", "r1"), task(1))
    dying = await connect(nats_url, "dying")
    assert await dying.queue("random").take()
    await dying.client.close()

    again = await eventually(bus.queue("random").take)

    assert (decode(Task, again.data).id, again.attempt) == ("t1", 2)


async def test_a_task_that_nobody_can_do_is_taken_off(bus: Bus) -> None:
    await bus.publish(subjects.task("random", "r1"), task(1))
    delivery = await bus.queue("random").take()
    assert delivery is not None
    await delivery.discard()

    async def gone() -> bool:
        return await bus.waiting("TASKS", subjects.ALL_TASKS) == []

    await eventually(gone)


async def test_taking_while_the_server_is_away_waits_and_then_goes_on(bus: Bus, nats_server: NatsServer) -> None:
    queue = bus.queue("random")
    assert await queue.take() is None
    nats_server.kill()
    await eventually(lambda: not bus.client.is_connected)
    assert await queue.take() is None

    nats_server.start()
    await eventually(lambda: bus.client.is_connected)
    await bus.publish(subjects.task("random", "r1"), task(1))

    assert await eventually(queue.take)


# ---- core NATS ---------------------------------------------------------------------------------------------------


async def test_a_handler_that_fails_or_gets_junk_hears_the_next_message(bus: Bus) -> None:
    heard: list[str] = []

    async def handle(control: RunControl) -> None:
        heard.append(control.action)
        if control.action == "started":
            raise RuntimeError("a bug in the handler")

    end = await bus.listen(subjects.ALL_RUN_CONTROL, RunControl, handle)
    await bus.client.publish(subjects.run_control("r1"), b"\xff\x00 no JSON")
    for action in ("started", "paused"):
        await bus.tell(subjects.run_control("r1"), decode(RunControl, f'{{"run":"r1","action":"{action}"}}'.encode()))
    await eventually(lambda: heard == ["started", "paused"])

    await end()
    await bus.tell(subjects.run_control("r1"), RunControl(run="r1", action="resumed"))
    await bus.client.flush()
    assert heard == ["started", "paused"]


async def test_asking_nobody_is_told_from_asking_one_that_is_silent(bus: Bus) -> None:
    with pytest.raises(Missing):
        await bus.ask(subjects.STOP_RUN, RunControl(run="r1", action="stopping"))

    await bus.client.subscribe(subjects.STOP_RUN)
    with pytest.raises(Unavailable):
        await bus.ask(subjects.STOP_RUN, RunControl(run="r1", action="stopping"), timeout=0.2)


async def test_an_overlong_subject_ends_the_connection_for_good_and_says_so(bus: Bus) -> None:
    await bus.client.publish("x" * 5000, b"")

    await asyncio.wait_for(bus.closed.wait(), 10)

    with pytest.raises(Unavailable):
        await bus.publish(subjects.task("random", "r1"), task(1))
    await bus.tell(subjects.run_control("r1"), RunControl(run="r1", action="started"))
    taking = asyncio.create_task(bus.queue("random").take())  # returns at once: it must not keep the loop from others
    assert await asyncio.wait_for(taking, 5) is None


async def test_connecting_waits_for_the_server(nats_server: NatsServer) -> None:
    nats_server.kill()
    connecting = asyncio.create_task(connect(nats_server.url, "early"))
    done, _ = await asyncio.wait({connecting}, timeout=0.3)
    assert not done

    nats_server.start()
    bus = await asyncio.wait_for(connecting, 10)
    await bus.close()


# ---- what is malformed -------------------------------------------------------------------------------------------

DEEP = 10_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"epoch":1',
        b'{"epoch":"1","orchestrator":"o"}',
        b'{"epoch":-1,"orchestrator":"o"}',
        b'{"epoch":NaN,"orchestrator":"o"}',
        b'{"epoch":1e999,"orchestrator":"o"}',
        b'{"epoch":1,"orchestrator":"no token"}',
        b'{"epoch":1,"orchestrator":"o","at":"\\ud800"}',
        b'{"epoch":1,"orchestrator":"o","at":"\xed\xa0\x80"}',
        b'{"epoch":1,"orchestrator":"o","more":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    ],
)
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="Epoch"):
        decode(Epoch, data)


def test_text_that_is_no_unicode_is_refused_on_the_way_out() -> None:
    with pytest.raises(Malformed, match="surrogates"):
        encode(Epoch(epoch=1, orchestrator="o", at="\ud800"))


def test_a_spec_that_breaks_the_rules_is_malformed() -> None:
    with pytest.raises(Malformed, match="control characters"):
        decode(Started, b'{"run":"r1","spec":{"topic":"a\\u0007b","providers":["random"]}}')
    with pytest.raises(Malformed, match="unknown provider"):
        decode(Started, b'{"run":"r1","spec":{"topic":"a","providers":["acme"]}}')
    with pytest.raises(Malformed, match="status"):
        decode(Finished, b'{"run":"r1","status":"gone","reason":"","accepted":0,"duplicates":0}')


async def test_follow_has_no_gap_when_only_its_connection_breaks(bus: Bus, nats_server: NatsServer) -> None:
    """The server lives on, and counts as delivered what the broken connection swallowed: it is read again all the same."""
    host, port = "127.0.0.1", int(nats_server.url.rsplit(":", 1)[1])
    links: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(2048):
                await asyncio.sleep(pause)  # slow, so that a cut finds messages on their way
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, port)
        links.extend((writer, to_server))
        await asyncio.gather(relay(reader, to_server, 0), relay(from_server, writer, 0.002))

    proxy = await asyncio.start_server(serve, host, 0)
    behind = await connect(f"nats://{host}:{proxy.sockets[0].getsockname()[1]}", "behind")
    seen: list[int] = []

    async def read() -> None:
        async for batch in behind.follow(streams.reports("random"), [subjects.ALL_CANDIDATES]):
            seen.extend(stored.sequence for stored in batch)

    reading = asyncio.create_task(read())
    js = bus.client.jetstream()
    for round_ in range(6):
        await asyncio.gather(*(js.publish(subjects.candidate("r", "random"), b"x" * 300) for _ in range(200)))
        await eventually(lambda at=round_: len(seen) > at * 200)  # type: ignore[misc]  # binds the number
        for link in links:
            link.transport.abort()
        links.clear()
    try:
        await eventually(lambda: seen and seen[-1] == 1200, 20)
        assert seen == list(range(1, 1201))
    finally:
        await end([reading])
        await behind.close()
        proxy.close()


async def test_after_a_flush_the_server_has_the_subscription(bus: Bus, nats_url: str) -> None:
    """The client's own flush was answered before a subscription was even sent, about one time in ten."""
    missed = 0
    for number in range(100):
        listening = await connect(nats_url, "listening")
        await listening.client.subscribe(f"question.{number}")
        await listening.client.flush()
        try:
            await bus.ask(f"question.{number}", Epoch(epoch=1, orchestrator="o"), timeout=0.01)
        except Missing:
            missed += 1
        except Unavailable:
            pass  # it listens, and does not answer
        await listening.close()
    assert missed == 0
