"""What vendors say of time: how long to wait, and when a limit that is used up is there again."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_AGAIN_IN = re.compile(r"try again in ([\d.hms ]+)", re.I)
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def wait_asked(headers: Mapping[str, str], message: str, retry_delay: str = "") -> float | None:
    """Seconds that a refusal asks to wait, or None if it does not say.

    `message` is the vendor's sentence (OpenAI writes it there), `retry_delay` Google's RetryInfo.
    """
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    if value := headers.get("retry-after", ""):
        seconds = _number(value)
        return seconds if seconds is not None else _until(value, headers)
    if retry_delay:
        return duration(retry_delay)
    if (found := _AGAIN_IN.search(message)) and (seconds := duration(found[1])) is not None:
        return seconds
    return used_up(headers) or None


def used_up(headers: Mapping[str, str]) -> float:
    """Seconds until a limit of which nothing remains is there again; 0 when something remains of all, as far as is said."""
    return max((seconds for remaining, seconds in _limits(headers) if remaining == 0), default=0.0)


def duration(text: str) -> float | None:
    """Seconds of "442ms", "1.574s", "6m0s"; None for what is no duration."""
    parts = _PARTS.findall(text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


def _limits(headers: Mapping[str, str]) -> Iterator[tuple[float, float]]:
    """What remains of each limit, and the seconds until it is whole."""
    for name, value in headers.items():
        name = name.lower()
        if name.startswith("x-ratelimit-remaining-"):
            reset = duration(headers.get(name.replace("-remaining-", "-reset-"), ""))
        elif name.startswith("anthropic-ratelimit-") and name.endswith("-remaining"):
            reset = _until(headers.get(name.removesuffix("remaining") + "reset", ""), headers)
        else:
            continue
        remaining = _number(value)
        if remaining is not None and reset is not None:
            yield remaining, reset


def _until(moment: str, headers: Mapping[str, str]) -> float | None:
    """Seconds until an HTTP date or RFC 3339 time, by the vendor's own clock where its response shows it."""
    then, now = _time(moment), _time(headers.get("date", "")) or datetime.now(UTC)
    return None if then is None else max(0.0, (then - now).total_seconds())


def _time(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _number(text: str) -> float | None:
    """A number that is finite and not below 0."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
