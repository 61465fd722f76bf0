"""Each fault reaches the real SDKs as what it is, whether they stream or not."""

import asyncio
import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google.genai import errors

from tests.conftest import eventually
from tests.unit.vendors.asking import Heard, Question, ask, listen
from tests.vendors.answers import HOSTILE, HOSTILE_JSON
from tests.vendors.faults import REFUSALS, Fault
from tests.vendors.ledger import Entry
from tests.vendors.server import VendorServer
from tests.vendors.vendor import Vendor
from tests.vendors.wire import Form, Tokens, count

STATUS = {  # OpenAI, Anthropic, Gemini
    Fault.RATE_LIMITED: (429, 429, 429),
    Fault.RATE_LIMITED_SECONDS: (429, 429, 429),
    Fault.RATE_LIMITED_DATE: (429, 429, 429),
    Fault.RATE_LIMITED_HINT: (429, 429, 429),
    Fault.SERVER_ERROR: (500, 500, 500),
    Fault.UNAVAILABLE: (503, 503, 503),
    Fault.OVERLOADED: (529, 529, 529),
    Fault.QUOTA: (429, 400, 429),
    Fault.BILLING: (429, 402, 403),
    Fault.UNAUTHORIZED: (401, 401, 401),
    Fault.BAD_KEY: (401, 401, 400),
    Fault.FORBIDDEN: (403, 403, 403),
    Fault.NO_MODEL: (404, 404, 404),
    Fault.INVALID_REQUEST: (400, 400, 400),
}

RAISED: dict[str, dict[int, type[Exception]]] = {
    "openai": {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
        529: openai.InternalServerError,
    },
    "anthropic": {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        402: anthropic.PaymentRequiredError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        503: anthropic.ServiceUnavailableError,
        529: anthropic.OverloadedError,
    },
    "gemini": {
        **dict.fromkeys((400, 401, 403, 404, 429), errors.ClientError),
        **dict.fromkeys((500, 503, 529), errors.ServerError),
    },
}

SILENCE = (openai.APITimeoutError, anthropic.APITimeoutError, httpx2.ReadTimeout)
LOST = (openai.APIConnectionError, anthropic.APIConnectionError, httpx2.ReadError)
IN_STREAM = (openai.APIError, anthropic.APIStatusError, errors.ServerError)


def ways(server: VendorServer) -> Iterator[tuple[Vendor, bool]]:
    """Every vendor, with a stream and without."""
    for vendor in server.all:
        yield vendor, True
        yield vendor, False


def status(error: BaseException) -> Any:
    return error.code if isinstance(error, errors.APIError) else getattr(error, "status_code", None)


async def failing(vendor: Vendor, fault: Fault, question: Question, **measures: Any) -> tuple[BaseException | None, Heard]:
    """What the SDK raised on this fault, and what it had given before."""
    vendor.next(fault, **measures)
    heard = Heard()
    try:
        async for _ in listen(vendor, question, heard):
            pass
    except Exception as error:
        return error, heard
    return None, heard


def last(server: VendorServer, vendor: Vendor) -> Entry:
    return server.ledger.of(vendor.wire.provider)[-1]


def test_every_refusal_has_its_status() -> None:
    assert set(STATUS) == REFUSALS


@pytest.mark.parametrize("fault", STATUS)
async def test_a_refusal_is_raised_with_its_status_and_costs_nothing(server: VendorServer, fault: Fault) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, fault, Question(streams=streams))
        expected = STATUS[fault][server.all.index(vendor)]
        assert type(error) is RAISED[vendor.wire.provider][expected]
        assert error is not None
        assert status(error) == expected
        assert heard.text == ""
        entry = last(server, vendor)
        assert (entry.fault, entry.status, entry.outcome, entry.billed) == (fault, expected, "refused", Tokens())
    for vendor in server.all:
        assert (await ask(vendor, Question())).text, "the next call is well again"


async def refusals(server: VendorServer, fault: Fault, **measures: Any) -> list[Any]:
    return [(await failing(vendor, fault, Question(), **measures))[0] for vendor in server.all]


async def test_retry_after_in_seconds(server: VendorServer) -> None:
    for error in await refusals(server, Fault.RATE_LIMITED_SECONDS, seconds=7):
        assert error.response.headers["retry-after"] == "7"


async def test_retry_after_as_a_date(server: VendorServer) -> None:
    for error in await refusals(server, Fault.RATE_LIMITED_DATE, seconds=30):
        moment = parsedate_to_datetime(error.response.headers["retry-after"]).timestamp()
        assert 25 < moment - time.time() <= 30


async def test_a_rate_limit_that_says_nothing(server: VendorServer) -> None:
    for error in await refusals(server, Fault.RATE_LIMITED):
        assert "retry-after" not in error.response.headers
        assert "try again in" not in str(error)
        assert "RetryInfo" not in str(error)


async def test_each_vendors_own_hint(server: VendorServer) -> None:
    by_words, by_headers, by_details = await refusals(server, Fault.RATE_LIMITED_HINT)
    assert "Please try again in 442ms." in by_words.message
    assert by_words.code == "rate_limit_exceeded"
    assert by_headers.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    violations, retry = by_details.details["error"]["details"]
    assert "PerMinute" in violations["violations"][0]["quotaId"]
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.442s"}
    for error in (by_words, by_headers, by_details):
        assert "retry-after" not in error.response.headers


async def test_a_spent_quota_is_told_apart_from_a_rate_limit_by_words_alone(server: VendorServer) -> None:
    openais, anthropics, geminis = await refusals(server, Fault.QUOTA)
    assert openais.code == "insufficient_quota"
    assert "credit balance is too low" in anthropics.api_message
    violations, retry = geminis.details["error"]["details"]
    assert "PerDay" in violations["violations"][0]["quotaId"]
    assert retry["retryDelay"] == "47s", "Gemini invites to a retry that cannot succeed"


async def test_openais_words_about_a_key_quote_a_part_of_it(server: VendorServer) -> None:
    error, _ = await failing(server.openai, Fault.UNAUTHORIZED, Question(key="sk-proj-secret-9999"))
    assert "9999" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE_FIRST_BYTE, Fault.HANG_AFTER_HEADERS, Fault.HANG_BETWEEN_CHUNKS])
async def test_a_hang_lasts_until_the_client_leaves(server: VendorServer, fault: Fault) -> None:
    async def leaves(vendor: Vendor, streams: bool) -> None:
        error, heard = await failing(vendor, fault, Question(streams=streams, timeout=0.5))
        assert isinstance(error, SILENCE)
        assert bool(heard.text) == (streams and fault is Fault.HANG_BETWEEN_CHUNKS)

    await asyncio.gather(*(leaves(vendor, streams) for vendor, streams in ways(server)))
    await eventually(lambda: {entry.outcome for entry in server.ledger.entries} == {"left"})
    for entry in server.ledger.entries:
        assert entry.status == (0 if fault is Fault.HANG_BEFORE_FIRST_BYTE else 200)
        assert not entry.reported


async def test_a_hang_that_ends_in_time_delays_the_answer_only(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.HANG_BETWEEN_CHUNKS, Question(streams=streams), seconds=0.05)
        entry = last(server, vendor)
        assert error is None
        assert heard.text.split("\n") == entry.attributes
        assert entry.outcome == "ok"
        assert (entry.ended or 0) - entry.started > 0.05


async def test_a_drip_never_trips_a_timeout_between_bytes(server: VendorServer) -> None:
    async def endures(vendor: Vendor, streams: bool) -> None:
        vendor.next(Fault.DRIP, seconds=0.02)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.3):
                await ask(vendor, Question(streams=streams, timeout=1))

    await asyncio.gather(*(endures(vendor, streams) for vendor, streams in ways(server)))
    await eventually(lambda: {entry.outcome for entry in server.ledger.entries} == {"left"})


async def test_a_reset_breaks_the_connection_in_the_middle(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.RESET, Question(streams=streams))
        entry = last(server, vendor)
        assert isinstance(error, LOST)
        assert (entry.status, entry.outcome) == (200, "broken")
        whole_lines = heard.text.split("\n")[:-1]  # a reset may overtake what was sent before it
        assert whole_lines == entry.attributes[: len(whole_lines)]
        assert bool(entry.attributes) == streams
        assert entry.billed.output > 0


async def test_a_stream_that_ends_early_raises_nothing_and_has_no_reason_to_end(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.ENDS_EARLY, Question(streams=streams))
        entry = last(server, vendor)
        assert entry.outcome == "broken"
        if streams:
            assert error is None
            assert not heard.finish
            assert 0 < len(entry.attributes) < 12
            assert heard.text.startswith("\n".join(entry.attributes))
            assert entry.billed.output == count(heard.text)
        else:
            assert isinstance(error, json.JSONDecodeError)


async def test_an_error_midway_comes_after_half_an_answer(server: VendorServer) -> None:
    for vendor in server.all:
        error, heard = await failing(vendor, Fault.ERROR_MIDWAY, Question())
        assert isinstance(error, IN_STREAM)
        assert heard.text
        assert last(server, vendor).outcome == "broken"
        error, heard = await failing(vendor, Fault.ERROR_MIDWAY, Question(streams=False))
        assert error is not None
        assert status(error) == 500


async def test_a_web_page_is_no_answer(server: VendorServer) -> None:
    """What the SDKs make of it differs: an empty stream, a string instead of an object, an error of JSON."""
    for vendor, streams in ways(server):
        _, heard = await failing(vendor, Fault.HTML, Question(streams=streams))
        assert (heard.text, heard.finish, heard.tokens) == ("", "", None)
        entry = last(server, vendor)
        assert (entry.status, entry.outcome, entry.billed, entry.attributes) == (200, "ok", Tokens(), [])


FINISH = {
    Fault.CUT: ("length", "max_tokens", "MAX_TOKENS"),
    Fault.FILTERED: ("content_filter", "refusal", "SAFETY"),
    Fault.REPEATS: ("length", "max_tokens", "MAX_TOKENS"),
}


@pytest.mark.parametrize("form", [Form.LINES, Form.JSON])
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.FILTERED])
async def test_an_answer_that_stops_inside_an_item(server: VendorServer, fault: Fault, form: Form) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, fault, Question(streams=streams, form=form))
        entry = last(server, vendor)
        assert error is None
        assert heard.finish == FINISH[fault][server.all.index(vendor)]
        assert heard.tokens == entry.billed
        assert 3 < len(entry.attributes) < 12
        assert heard.text[-1].isalpha()
        assert not heard.text.endswith(entry.attributes[-1])


async def test_a_tool_call_that_was_cut_off(server: VendorServer) -> None:
    _, heard = await failing(server.anthropic, Fault.CUT, Question(form=Form.TOOL))
    with pytest.raises(json.JSONDecodeError):
        json.loads(heard.text)
    _, heard = await failing(server.anthropic, Fault.CUT, Question(form=Form.TOOL, streams=False))
    assert json.loads(heard.text)["attributes"] == server.ledger.entries[1].attributes
    assert heard.finish == "max_tokens"


async def test_json_of_another_shape(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.WRONG_SCHEMA, Question(streams=streams, form=Form.JSON))
        assert error is None
        assert "attributes" not in json.loads(heard.text)
        assert len(json.loads(heard.text)["result"]["entries"]) == 12


async def test_an_empty_answer_ends_normally(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        for form in (Form.LINES, Form.JSON):
            error, heard = await failing(vendor, Fault.EMPTY, Question(streams=streams, form=form))
            assert error is None
            assert heard.text == ""
            assert heard.finish in ("stop", "end_turn", "STOP")


async def test_a_huge_message_comes_in_one_line(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.HUGE, Question(streams=streams, timeout=20), size=1_000_000)
        assert error is None
        assert len(heard.text) == 1_000_000
        assert heard.pieces == 1


async def test_fifty_megabytes_are_sent_to_who_takes_them(server: VendorServer) -> None:
    server.openai.next(Fault.HUGE)
    async with httpx2.AsyncClient(timeout=20) as client:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Give 5 items"}], "stream": True}
        url = f"{server.openai.url}/chat/completions"
        size = 0
        async with client.stream("POST", url, json=body, headers={"authorization": "Bearer k"}) as response:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
    assert size > 50 * 1024 * 1024


async def test_chatter_around_the_list(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        _, heard = await failing(vendor, Fault.CHATTY, Question(streams=streams))
        lines = heard.text.split("\n")
        assert lines[0].startswith("Sure!")
        assert [line.partition(". ")[2] for line in lines[2:14]] == last(server, vendor).attributes
        assert lines[-1].startswith("Let me know")
        _, heard = await failing(vendor, Fault.CHATTY, Question(streams=streams, form=Form.JSON))
        inside = heard.text[heard.text.index("{") : heard.text.rindex("}") + 1]
        assert json.loads(inside)["attributes"] == last(server, vendor).attributes


async def test_prose_before_a_tool_call(server: VendorServer) -> None:
    _, heard = await failing(server.anthropic, Fault.CHATTY, Question(form=Form.TOOL))
    assert heard.text.startswith("Sure!")
    assert heard.finish == "tool_use"
    assert heard.tokens == server.ledger.entries[0].billed


async def test_a_fence_around_the_answer(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        forms = (Form.JSON, Form.TOOL) if vendor is server.anthropic else (Form.JSON,)
        for form in forms:
            _, heard = await failing(vendor, Fault.FENCED, Question(streams=streams, form=form))
            assert heard.text.startswith("```json\n{")
            inside = heard.text.removeprefix("```json\n").removesuffix("\n```")
            assert json.loads(inside)["attributes"] == last(server, vendor).attributes
            assert heard.finish in ("stop", "end_turn", "STOP")


async def test_the_same_item_for_ever(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.REPEATS, Question(streams=streams), size=50_000)
        assert error is None
        assert len(heard.text) == 50_000
        assert len(set(heard.text.split("\n")[:-1])) == 1
        assert heard.finish == FINISH[Fault.REPEATS][server.all.index(vendor)]


@pytest.mark.parametrize("form", [Form.LINES, Form.JSON])
async def test_hostile_text_arrives_unharmed_among_honest_items(server: VendorServer, form: Form) -> None:
    bad = set(HOSTILE + (HOSTILE_JSON if form is Form.JSON else ()))
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.HOSTILE, Question(streams=streams, form=form))
        assert error is None
        sent = last(server, vendor).attributes
        assert (json.loads(heard.text)["attributes"] if form is Form.JSON else heard.text.split("\n")) == sent
        assert bad < set(sent)
        assert len(set(sent) - bad) == 12


async def test_an_answer_without_usage(server: VendorServer) -> None:
    for vendor, streams in ways(server):
        error, heard = await failing(vendor, Fault.NO_USAGE, Question(streams=streams))
        entry = last(server, vendor)
        assert error is None
        assert heard.tokens is None
        assert (entry.reported, entry.outcome) == (False, "ok")
        assert entry.billed.output > 0
