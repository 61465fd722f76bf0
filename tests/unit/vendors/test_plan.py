"""What is ordered happens, in that order and that often; the ledger counts it; the server stops cleanly."""

import asyncio
import time
from contextlib import aclosing
from itertools import pairwise

import anthropic
import httpx2
import openai
import pytest
from google.genai import errors

from tests.conftest import eventually
from tests.unit.vendors.asking import PROMPT, TLS, Heard, Question, ask, listen
from tests.vendors import ledger
from tests.vendors.answers import draw
from tests.vendors.faults import Fault
from tests.vendors.ledger import Entry, Ledger
from tests.vendors.server import VendorServer, vendors
from tests.vendors.vendor import Vendor
from tests.vendors.wire import Finish, Form, count


async def outcome(vendor: Vendor) -> int:
    try:
        await ask(vendor, Question())
    except openai.APIStatusError as error:
        return error.status_code
    return 200


async def statuses(vendor: Vendor, number: int) -> list[int]:
    """Of so many requests, one after another."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}
    async with httpx2.AsyncClient(verify=TLS, headers={"authorization": "Bearer k"}) as client:
        return [(await client.post(f"{vendor.url}/chat/completions", json=body)).status_code for _ in range(number)]


async def test_faults_come_in_the_order_in_which_they_were_ordered(server: VendorServer) -> None:
    server.openai.next(Fault.SERVER_ERROR, 2)
    server.openai.next(Fault.NO_MODEL)
    assert [await outcome(server.openai) for _ in range(4)] == [500, 500, 404, 200]
    await ask(server.gemini, Question())  # the orders are one vendor's own


async def test_a_share_of_the_requests_fails_and_the_seed_says_which() -> None:
    seen = []
    for seed in (1, 1, 2):
        async with vendors(seed) as server:
            server.openai.rate(0.2, Fault.SERVER_ERROR, Fault.UNAVAILABLE)
            seen.append(await statuses(server.openai, 100))
            server.openai.rate(0)
            assert await statuses(server.openai, 20) == [200] * 20
    assert seen[0] == seen[1] != seen[2]
    assert 10 <= 100 - seen[0].count(200) <= 30
    assert set(seen[0]) == {200, 500, 503}


@pytest.mark.parametrize("streams", [False, True])
async def test_what_is_said_can_be_ordered_piece_by_piece(server: VendorServer, streams: bool) -> None:
    for vendor in server.all:
        vendor.say("Lou", "vre\nEiffel", " Tow", finish=Finish.LENGTH)
        heard = await ask(vendor, Question(streams=streams))
        assert heard.text == "Louvre\nEiffel Tow"
        assert heard.pieces == (3 if streams else 1)
        assert heard.finish in ("length", "max_tokens", "MAX_TOKENS")
        assert heard.tokens == server.ledger.entries[-1].billed
        assert (await ask(vendor, Question(streams=streams))).text != heard.text


async def test_a_model_that_does_not_take_an_option_says_so(server: VendorServer) -> None:
    for vendor, option in zip(server.all, ("response_format", "output_config", "responseJsonSchema"), strict=True):
        vendor.refuses = {option}
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError, errors.ClientError), match=option) as raised:
            await ask(vendor, Question(form=Form.JSON))
        assert "400" in str(raised.value)
        assert (await ask(vendor, Question())).text


async def test_no_more_orders_than_there_can_be_requests(server: VendorServer) -> None:
    with pytest.raises(ValueError, match="more than"):
        server.openai.next(Fault.EMPTY, 10_001)


async def test_requests_at_once_are_counted(server: VendorServer) -> None:
    for _ in range(3):
        await ask(server.openai, Question())
    assert server.ledger.most_at_once() == 1
    server.openai.gate = server.gemini.gate = gate = asyncio.Semaphore(0)
    asking = [asyncio.ensure_future(ask(vendor, Question())) for vendor in (*[server.openai] * 7, server.gemini)]
    await eventually(lambda: len(server.ledger.entries) == 11)
    for _ in asking:
        gate.release()
    await asyncio.gather(*asking)
    assert server.ledger.most_at_once("openai") == 7
    assert server.ledger.most_at_once() == 8
    assert server.ledger.most_within(60, "openai") == 10


async def test_more_requests_at_once_than_a_vendor_takes_are_refused(server: VendorServer) -> None:
    server.openai.most_at_once, server.openai.gate = 3, asyncio.Semaphore(0)
    asking = [asyncio.ensure_future(outcome(server.openai)) for _ in range(5)]
    await eventually(lambda: len(server.ledger.entries) == 5)
    for _ in range(3):
        server.openai.gate.release()
    assert sorted(await asyncio.gather(*asking)) == [200, 200, 200, 429, 429]
    assert await outcome(server.openai) == 200


async def test_more_requests_at_once_than_a_server_has_slots_wait(server: VendorServer) -> None:
    server.openai.gate, server.openai.delay = asyncio.Semaphore(1), 0.02
    assert await asyncio.gather(*(outcome(server.openai) for _ in range(3))) == [200, 200, 200]
    ends = sorted(entry.ended or 0 for entry in server.ledger.entries)
    assert all(later - earlier > 0.15 for earlier, later in pairwise(ends)), "each takes nine pauses of 0.02 s"


def test_requests_within_a_span_are_counted() -> None:
    book = Ledger()
    for moment in (0.0, 1.0, 1.5, 2.9, 10.0, 10.5):
        book.entries.append(Entry(0, "openai", "k", {}, moment))
    assert [book.most_within(seconds) for seconds in (0.4, 1.0, 2.0, 60.0)] == [1, 2, 3, 6]
    assert book.most_within(60, "gemini") == 0


async def test_a_client_that_leaves_pays_for_what_was_said(server: VendorServer) -> None:
    whole = "\n".join(draw("0 openai 0", 12, PROMPT, obedient=False))
    server.openai.next(Fault.HANG_BETWEEN_CHUNKS)
    heard = Heard()
    async with aclosing(listen(server.openai, Question(), heard)) as answer:
        while not heard.text:
            await anext(answer)
    (entry,) = server.ledger.entries
    await eventually(lambda: entry.outcome == "left")
    assert whole.startswith(heard.text)
    assert count(heard.text) <= entry.billed.output < count(whole)
    assert entry.billed.input == count(PROMPT)
    assert not entry.reported


async def test_the_answer_is_in_the_books_before_the_client_has_it(server: VendorServer) -> None:
    for vendor in server.all:
        for streams in (True, False):
            heard = await ask(vendor, Question(streams=streams))
            assert server.ledger.entries[-1].billed == heard.tokens
            assert server.ledger.entries[-1].outcome == "ok"


async def test_a_client_that_retries_without_end_is_told(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REQUESTS", 2)
    assert [await outcome(server.openai) for _ in range(3)] == [200, 200, 500]
    assert len(server.ledger.entries) == 2


async def test_the_server_stops_at_once_whatever_is_open() -> None:
    async with vendors() as server:
        server.openai.next(Fault.HANG_BEFORE_FIRST_BYTE)
        server.gemini.next(Fault.HANG_BETWEEN_CHUNKS)
        asking = [asyncio.ensure_future(ask(vendor, Question())) for vendor in (server.openai, server.gemini)]
        await eventually(lambda: len(server.ledger.entries) == 2)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert all(isinstance(result, Exception) for result in await asyncio.gather(*asking, return_exceptions=True))
    assert {entry.outcome for entry in server.ledger.entries} == {"left"}
    with pytest.raises(openai.APIConnectionError):
        await ask(server.openai, Question())


async def test_it_listens_on_loopback_alone(server: VendorServer) -> None:
    for vendor in server.all:
        assert vendor.url.startswith("http://127.0.0.1:")
