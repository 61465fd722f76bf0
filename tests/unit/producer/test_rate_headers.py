"""Every form in which a vendor says how long to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.producer.rate_headers import duration, used_up, wait_asked

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATE = {"date": format_datetime(NOON, usegmt=True)}
IN_30_S = format_datetime(NOON + timedelta(seconds=30), usegmt=True)


def limit(name: str, remaining: str, reset: str) -> dict[str, str]:
    """As Anthropic tells a limit."""
    return {f"anthropic-ratelimit-{name}-remaining": remaining, f"anthropic-ratelimit-{name}-reset": reset, **DATE}


@pytest.mark.parametrize(
    ("headers", "message", "retry_delay", "seconds"),
    [
        ({"retry-after": "7"}, "", "", 7),
        ({"retry-after": "0.5"}, "", "", 0.5),
        ({"retry-after": IN_30_S, **DATE}, "", "", 30),
        ({"retry-after-ms": "442", "retry-after": "1"}, "", "", 0.442),
        ({"retry-after": "soon"}, "", "", None),
        ({"retry-after": "-5"}, "", "", None),
        ({"retry-after": "nan"}, "", "", None),
        ({}, "Please try again in 442ms. Visit https://example.com", "", 0.442),
        ({}, "Please try again in 6m0.5s.", "", 360.5),
        ({}, "Please try again in 1h2m3s", "", 3723),
        ({}, "Please try again later.", "", None),
        ({}, "", "47s", 47),
        ({}, "", "0.442s", 0.442),
        (limit("requests", "0", "2026-01-01T12:00:09Z"), "", "", 9),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "9s"}, "", "", None),
        ({}, "", "", None),
    ],
)  # fmt: skip
def test_the_wait_is_read(headers: dict[str, str], message: str, retry_delay: str, seconds: float | None) -> None:
    assert wait_asked(headers, message, retry_delay) == (None if seconds is None else pytest.approx(seconds))


def test_a_date_without_the_vendors_clock_is_read_by_our_own() -> None:
    then = datetime.now(UTC) + timedelta(seconds=100)
    wait = wait_asked({"retry-after": format_datetime(then, usegmt=True)}, "")
    assert wait is not None
    assert 95 < wait <= 100


def test_a_date_in_the_past_means_now() -> None:
    assert wait_asked({"retry-after": "Thu, 01 Jan 2015 00:00:00 GMT"}, "") == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "8s"}, 0),
        ({"x-ratelimit-remaining-requests": "0"}, 0),
        ({"x-ratelimit-remaining-requests": "none", "x-ratelimit-reset-requests": "8s"}, 0),
        (limit("output-tokens", "0", "2026-01-01T12:00:02Z"), 2),
        ({}, 0),
    ],
)  # fmt: skip
def test_a_limit_that_is_used_up_is_seen(headers: dict[str, str], seconds: float) -> None:
    assert used_up(headers) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "seconds"), [("1.574s", 1.574), ("442ms", 0.442), ("", None), ("soon", None)])
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds
