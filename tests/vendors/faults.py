"""What can go wrong with a model call, by name."""

from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """One way in which a vendor fails a call; the comment under each says what real vendors do like it."""

    RATE_LIMITED = "rate_limited"
    """429 and not a word on when to come back: Gemini's "Resource has been exhausted", most self-hosted servers."""
    RATE_LIMITED_SECONDS = "rate_limited_seconds"
    """429 with `Retry-After: <seconds>`: OpenAI and Anthropic at the limit of a minute."""
    RATE_LIMITED_DATE = "rate_limited_date"
    """429 with `Retry-After: <HTTP date>`: the proxies in front of a vendor."""
    RATE_LIMITED_HINT = "rate_limited_hint"
    """429 with the time in the vendor's own place: OpenAI's sentence, Gemini's RetryInfo, Anthropic's reset headers."""
    SERVER_ERROR = "server_error"
    """500: OpenAI's server_error, Anthropic's api_error, Gemini's INTERNAL."""
    UNAVAILABLE = "unavailable"
    """503: OpenAI's "engine is overloaded", Gemini's "model is overloaded"."""
    OVERLOADED = "overloaded"
    """529: Anthropic's overloaded_error, which routers in front of others pass on too."""
    QUOTA = "quota"
    """Day's quota or credit used up: OpenAI 429 insufficient_quota, Anthropic 400, Gemini 429 with a RetryInfo all the same."""
    BILLING = "billing"
    """The account does not pay: OpenAI 429 billing_not_active, Anthropic 402 billing_error, Gemini 403 BILLING_DISABLED."""
    UNAUTHORIZED = "unauthorized"
    """401: the key is unknown or revoked; OpenAI's words quote a part of it."""
    BAD_KEY = "bad_key"
    """A key that was never one: 401, but Gemini answers 400 INVALID_ARGUMENT with the reason API_KEY_INVALID."""
    FORBIDDEN = "forbidden"
    """403: the key may not use this model, or not from this country."""
    NO_MODEL = "no_model"
    """404: the model does not exist, has been retired, or is not for this account."""
    INVALID_REQUEST = "invalid_request"
    """400: a parameter the model does not take."""
    HANG_BEFORE_FIRST_BYTE = "hang_before_first_byte"
    """The request is taken and nothing comes, not even headers: an overloaded queue."""
    HANG_AFTER_HEADERS = "hang_after_headers"
    """Status 200 at once, then nothing: a model that is being loaded."""
    HANG_BETWEEN_CHUNKS = "hang_between_chunks"
    """The stream stops in the middle and stays open: a dead worker behind a live proxy."""
    DRIP = "drip"
    """One byte a second (or as `seconds` says): no timeout between bytes ever fires."""
    RESET = "reset"
    """The connection is reset in the middle of the answer."""
    ENDS_EARLY = "ends_early"
    """The answer ends in the middle without a word, politely: a proxy at its own timeout. SDKs raise nothing for a stream."""
    ERROR_MIDWAY = "error_midway"
    """Status 200, half an answer, then an error event in the stream: Anthropic's overloaded_error, OpenAI's server_error."""
    HTML = "html"
    """A web page with status 200: a captive portal, a company's proxy, a wrong base URL."""
    CUT = "cut"
    """The answer stops inside an item at the token limit: finish "length", "max_tokens", "MAX_TOKENS"."""
    FILTERED = "filtered"
    """The vendor's filter ends the answer midway: "content_filter", "refusal", "SAFETY"."""
    WRONG_SCHEMA = "wrong_schema"
    """Valid JSON in another shape than asked: servers that take a schema and ignore it."""
    EMPTY = "empty"
    """No text at all, and a normal end."""
    HUGE = "huge"
    """One message of 50 MB (or as `size` says) in a single line: a server that has lost itself."""
    CHATTY = "chatty"
    """"Sure! Here are ...", a numbered list, closing words; prose around the JSON; a text block before the tool call."""
    FENCED = "fenced"
    """A markdown fence around the answer, and text where a tool call was asked for."""
    REPEATS = "repeats"
    """The same item for ever, up to the token limit or 1 MB (or as `size` says): small models in a loop."""
    HOSTILE = "hostile"
    """Terminal escapes, markup, orders to the reader, subjects and paths among the items: a poisoned answer."""
    NO_USAGE = "no_usage"
    """A whole answer without token counts: many servers that call themselves compatible."""


REFUSALS = frozenset(
    {
        Fault.RATE_LIMITED,
        Fault.RATE_LIMITED_SECONDS,
        Fault.RATE_LIMITED_DATE,
        Fault.RATE_LIMITED_HINT,
        Fault.SERVER_ERROR,
        Fault.UNAVAILABLE,
        Fault.OVERLOADED,
        Fault.QUOTA,
        Fault.BILLING,
        Fault.UNAUTHORIZED,
        Fault.BAD_KEY,
        Fault.FORBIDDEN,
        Fault.NO_MODEL,
        Fault.INVALID_REQUEST,
    }
)
"""The faults that are a status and an error body instead of an answer."""

DEFAULT_SECONDS = {
    Fault.RATE_LIMITED_SECONDS: 1.0,
    Fault.RATE_LIMITED_DATE: 2.0,
    Fault.RATE_LIMITED_HINT: 0.442,
    Fault.QUOTA: 47.0,
    Fault.HANG_BEFORE_FIRST_BYTE: 60.0,
    Fault.HANG_AFTER_HEADERS: 60.0,
    Fault.HANG_BETWEEN_CHUNKS: 60.0,
    Fault.DRIP: 1.0,
}
"""How long a fault lasts or asks to wait. No hang outlives its client or the server; 60 s bound it where both stay."""

DEFAULT_SIZE = {Fault.HUGE: 50 * 1024 * 1024, Fault.REPEATS: 1024 * 1024}
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """A fault with its measures; without them the defaults above hold."""

    fault: Fault
    seconds: float
    size: int


def misbehaviour(fault: Fault, seconds: float | None = None, size: int | None = None) -> Misbehaviour:
    """`fault`, as long and as large as said."""
    return Misbehaviour(
        fault,
        DEFAULT_SECONDS.get(fault, 0.0) if seconds is None else seconds,
        DEFAULT_SIZE.get(fault, 0) if size is None else size,
    )
