"""What a failure means: its kind, whether another attempt is due, and what the user is told."""

import random
from typing import Any

import httpx2
import pytest

from services.producer.adapters.contract import ModelError
from services.producer.errors import Reply, Vendor, broken
from services.producer.http_client import Unreadable
from services.producer.retries import MAX_ATTEMPTS, backoff

KEY = "sk-0123456789abcdef"
GOOGLE = "type.googleapis.com/google.rpc."


def openai(message: str = "", kind: str = "", code: str = "", param: str = "") -> dict[str, Any]:
    return {"message": message, "type": kind, "code": code, "param": param}


def anthropic(kind: str, message: str = "") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def google(code: int, status: str, message: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def violation(quota: str) -> dict[str, Any]:
    return {"@type": f"{GOOGLE}QuotaFailure", "violations": [{"quotaId": quota}]}


def reason(word: str) -> dict[str, Any]:
    return {"@type": f"{GOOGLE}ErrorInfo", "reason": word}


PER_MINUTE = violation("GenerateRequestsPerMinutePerProject")
PER_DAY = violation("GenerateRequestsPerDayPerProject")
PLAN = "You exceeded your current quota, please check your plan and billing details."

REFUSALS = [
    ("openai", Reply(429, openai("Rate limit reached", code="rate_limit_exceeded")), "rate_limit"),
    ("openai", Reply(429, openai(PLAN, "insufficient_quota", "insufficient_quota")), "quota"),
    ("openai", Reply(429, openai("not active", "billing_not_active", "billing_not_active")), "quota"),
    ("openai", Reply(429, openai("Rate limit reached on requests per day (RPD). Please try again in 7m12s.")), "quota"),
    ("openai", Reply(429, openai("slow down"), {"retry-after": "7200"}), "quota"),
    ("openai", Reply(401, openai(f"Incorrect API key provided: {KEY}.", code="invalid_api_key")), "auth"),
    ("openai", Reply(403, openai("Country, region, or territory not supported")), "auth"),
    ("openai", Reply(404, openai("The model does not exist", code="model_not_found")), "invalid_request"),
    ("openai", Reply(400, openai("Unsupported value", code="unsupported_value")), "invalid_request"),
    ("openai", Reply(422, "unprocessable"), "invalid_request"),
    ("openai", Reply(500, None), "server"),
    ("openai", Reply(408, None), "timeout"),
    ("openai", Reply(200, openai("The server had an error", "server_error")), "server"),
    ("openai", Reply(200, openai("Rate limit reached", code="rate_limit_exceeded")), "rate_limit"),
    ("anthropic", Reply(400, anthropic("invalid_request_error", "Your credit balance is too low to access the API.")), "quota"),
    ("anthropic", Reply(400, anthropic("invalid_request_error", "You have reached your specified API usage limits.")), "quota"),
    ("anthropic", Reply(402, anthropic("billing_error")), "quota"),
    ("anthropic", Reply(429, anthropic("rate_limit_error", "50 requests per minute")), "rate_limit"),
    ("anthropic", Reply(529, anthropic("overloaded_error", "Overloaded")), "server"),
    ("anthropic", Reply(200, anthropic("overloaded_error", "Overloaded")), "server"),
    ("anthropic", Reply(200, anthropic("authentication_error")), "auth"),
    ("gemini", Reply(429, google(429, "RESOURCE_EXHAUSTED", PLAN, PER_MINUTE)), "rate_limit"),
    ("gemini", Reply(429, google(429, "RESOURCE_EXHAUSTED", PLAN, PER_DAY)), "quota"),
    ("gemini", Reply(429, google(429, "RESOURCE_EXHAUSTED", PLAN)), "rate_limit"),
    ("gemini", Reply(400, google(400, "INVALID_ARGUMENT", "API key not valid.", reason("API_KEY_INVALID"))), "auth"),
    ("gemini", Reply(403, google(403, "PERMISSION_DENIED", "", reason("BILLING_DISABLED"))), "quota"),
    ("gemini", Reply(503, google(503, "UNAVAILABLE")), "server"),
    ("gemini", Reply(503, [google(503, "UNAVAILABLE", "in a list")]), "server"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "reply", "kind"), REFUSALS)
def test_a_refusal_is_of_a_kind_and_tried_again_only_if_that_may_help(provider: str, reply: Reply, kind: str) -> None:
    error = Vendor(provider, KEY).refused(reply, "some-model")
    assert error.kind == kind, error
    lasts = kind in ("quota", "auth", "invalid_request")
    assert (error.gives_up, error.again) == (lasts, not lasts)
    assert KEY not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize(("status", "fewer"), [(429, True), (503, True), (529, True), (500, False), (400, False)])
def test_overload_asks_for_fewer_calls_at_once(status: int, fewer: bool) -> None:
    assert Vendor("openai", KEY).refused(Reply(status, None), "m").overloaded is fewer


@pytest.mark.parametrize(
    "text",
    [f"bad key {KEY} here", f"no {KEY[:7]}*****{KEY[-4:]}", "header Bearer sk-proj-abc_DEF.ghi", "key AIzaSyA-0123"],
)
def test_the_vendors_words_are_quoted_without_keys(text: str) -> None:
    words = str(Vendor("openai", KEY).refused(Reply(500, {"message": text}), "m"))
    for part in (KEY, KEY[-4:], "abc_DEF", "AIza", "sk-"):
        assert part not in words


def test_control_characters_of_an_error_page_reach_no_terminal() -> None:
    words = str(Vendor("openai", "").refused(Reply(500, {"message": "\x1b[31mred\x07\n" + "x" * 10_000}), "m"))
    assert words.isprintable()
    assert len(words) < 250


def request() -> httpx2.Request:
    return httpx2.Request("POST", "http://127.0.0.1")


@pytest.mark.parametrize(
    ("error", "kind", "again", "billed"),
    [
        (httpx2.ConnectError("no"), "connection", True, False),
        (httpx2.ConnectTimeout("no"), "timeout", True, False),
        (httpx2.ReadTimeout("no"), "timeout", True, True),
        (httpx2.ReadError("reset"), "connection", True, True),
        (httpx2.RemoteProtocolError("gone"), "connection", True, True),
        (httpx2.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'"), "invalid_request", False, False),
        (Unreadable("a web page came"), "malformed", False, True),
        (ValueError("no JSON"), "malformed", False, True),
    ],
)
def test_what_broke_beneath_an_sdk_is_seen_through_it(error: Exception, kind: str, again: bool, billed: bool) -> None:
    wrapped = RuntimeError("the SDK's own")
    wrapped.__cause__ = error
    for raised in (error, wrapped):
        meant = broken(raised)
        assert (meant.kind, meant.again, meant.billed) == (kind, again, billed)
        assert KEY not in str(meant)


def test_backoff_grows_is_spread_out_and_has_a_bound() -> None:
    rng = random.Random(3)  # noqa: S311 (a fixed order, no secret)
    means = [sum(backoff(retry, rng) for _ in range(500)) / 500 for retry in range(1, 12)]
    for retry, mean in enumerate(means, start=1):
        most = min(30.0, 0.5 * 2 ** (retry - 1))
        assert most * 0.4 < mean < most * 0.6
    assert max(backoff(50, rng) for _ in range(100)) <= 30
    assert MAX_ATTEMPTS == 5


def test_a_model_error_is_an_exception_with_words() -> None:
    assert str(ModelError("in words")) == "in words"
