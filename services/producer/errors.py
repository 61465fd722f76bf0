"""What a vendor's failure means: of which kind it is, whether to try again, after how long, and what the user is told.

The vendor's own words are quoted briefly and never where they may quote the key.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from services.producer.adapters.contract import Kind, ModelError
from services.producer.http_client import Unreadable
from services.producer.rate_headers import wait_asked
from shared.providers import KEY_VARIABLES

LONGEST_LIMIT_SECONDS = 3600.0
"""A rate limit that is longer than this is a quota: no run waits for it."""

MAX_DETAIL = 200
"""Characters of the vendor's own words that are kept: an error page is not a reason."""

QUOTA_TAG = re.compile(r"insufficient_quota|billing|PerDay", re.IGNORECASE)
QUOTA_WORDS = re.compile(r"credit balance|per day\b|\b[RT]PD\b|usage limits|spending limit", re.IGNORECASE)
"""How vendors say that waiting a minute does not help. Google's sentence is the same for a minute and for a day."""

BAD_KEY = re.compile(r"API_KEY_INVALID|API_KEY_SERVICE_BLOCKED|invalid_api_key", re.IGNORECASE)
"""Google calls a wrong key a bad request."""

STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error in the middle of a stream would have been as a status."""

TRANSIENT = {408: "timeout", 409: "server", 425: "server"}
"""Refusals below 500 that another attempt may not meet."""

SILENT = "the model ended without a word"

KEY_SHAPE = re.compile(r"\b(?:sk-|AIza)[\w*.-]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """A vendor's refusal: status, headers and body, whole or the part that is called error."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def error(self) -> dict[str, Any]:
        """The part of the body that tells the error, whatever the vendor's envelope."""
        body = self.body[0] if isinstance(self.body, list) and self.body else self.body
        inner = body.get("error", body) if isinstance(body, dict) else body
        return inner if isinstance(inner, dict) else {"message": inner if isinstance(inner, str) else ""}

    @property
    def message(self) -> str:
        return str(self.error.get("message") or "")

    @property
    def true_status(self) -> int:
        """The status, also of an error that comes in a stream that began with 200."""
        if self.status >= 400:
            return self.status
        return next((STATUS_OF[word] for word in self.tags() if word in STATUS_OF), 500)

    def tags(self) -> list[str]:
        """The short words by which the vendor classifies the error."""
        named = [str(self.error.get(name) or "") for name in ("type", "code", "status")]
        for detail in self._details():
            named.append(str(detail.get("reason") or ""))
            violations = detail.get("violations")
            violations = [v for v in violations if isinstance(v, dict)] if isinstance(violations, list) else []
            named += [str(violation.get("quotaId") or "") for violation in violations]
        return [name for name in named if name]

    @property
    def retry_delay(self) -> str:
        """Of Google's RetryInfo."""
        return next((str(d["retryDelay"]) for d in self._details() if "retryDelay" in d), "")

    def _details(self) -> Iterator[dict[str, Any]]:
        details = self.error.get("details")
        yield from (d for d in details if isinstance(d, dict)) if isinstance(details, list) else ()


class Vendor:
    """Whom the words are about."""

    def __init__(self, provider: str, key: str) -> None:
        self._key = key
        self._key_variable = KEY_VARIABLES.get(provider, (f"{provider.upper()}_API_KEY",))[0]
        self._prefix = provider.upper()

    def refused(self, reply: Reply, model: str) -> ModelError:
        """What a refusal means."""
        status, code, tags = reply.true_status, f"({reply.true_status})", " ".join(reply.tags())
        wait = wait_asked(reply.headers, reply.message, reply.retry_delay)
        if _is_quota(status, tags, reply.message) or (wait or 0) > LONGEST_LIMIT_SECONDS:
            words = f"the account's quota or credit is used up {code}: check its plan and billing, or wait until it is renewed"
            return _final(words, "quota")
        if status == 401 or BAD_KEY.search(tags):
            return _final(f"the key was refused {code}: check {self._key_variable}", "auth")
        if status == 403:
            words = f"the key may not use {model!r}, or not from here {code}: check the account of {self._key_variable}"
            return _final(words, "auth")
        if status == 429:
            words = f"the rate limit is reached {code}: fewer producers help, or a lower {self._prefix}_RPM"
            return ModelError(words, "rate_limit", again=True, wait=wait, overloaded=True, billed=False)
        if status == 404:
            return _final(f"there is no model {model!r} for this key {code}: correct {self._prefix}_MODEL", "invalid_request")
        if status < 500 and status not in TRANSIENT:
            return _final(f"the request was refused {code}: {self._quoted(reply.message)}", "invalid_request")
        kind: Kind = "timeout" if TRANSIENT.get(status) == "timeout" else "server"
        words = f"the server failed {code}: {self._quoted(reply.message)}"
        billed = reply.status < 400  # it began to answer
        return ModelError(words, kind, again=True, wait=wait, overloaded=status in (503, 529), billed=billed)

    def _quoted(self, text: str) -> str:
        """The vendor's words on one line, without the key or what looks like a part of one."""
        plain = " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
        if self._key:
            plain = plain.replace(self._key, "…")
        return KEY_SHAPE.sub("…", plain)[:MAX_DETAIL] or "no reason given"


def _is_quota(status: int, tags: str, message: str) -> bool:
    told = QUOTA_TAG.search(tags) or QUOTA_WORDS.search(message)
    return status == 402 or (status in (400, 403, 429) and bool(told))


def _final(words: str, kind: Kind) -> ModelError:
    return ModelError(words, kind, gives_up=True, billed=False)


def broken(error: BaseException) -> ModelError:
    """What it means that no answer came, or only a part of one, by the error of the HTTP client that lies beneath."""
    for cause in _causes(error):
        match cause:
            case Unreadable():
                return ModelError(str(cause), "malformed")
            case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
                return ModelError(
                    "the server cannot be reached: it took no connection in time", "timeout", again=True, billed=False
                )
            case httpx2.TimeoutException():
                return ModelError("the server stayed silent for too long", "timeout", again=True)
            case httpx2.ConnectError() | httpx2.ProxyError() | httpx2.UnsupportedProtocol():
                return ModelError(
                    "the server cannot be reached: check the network and the base URL", "connection", again=True, billed=False
                )
            case httpx2.LocalProtocolError():
                return ModelError(
                    "the request cannot be sent: check the key and the base URL", "invalid_request", gives_up=True, billed=False
                )
            case httpx2.RequestError():
                return cut_off()
    return ModelError(f"the answer could not be read ({type(error).__name__})", "malformed")


def cut_off() -> ModelError:
    """What it means that an answer ended in the middle without a word."""
    return ModelError("the connection ended in the middle of the answer", "connection", again=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those it came from, the innermost last. SDKs wrap what the HTTP client raised."""
    current: BaseException | None = error
    for _ in range(8):  # a chain that is longer is a ring
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__
