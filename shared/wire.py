"""What a message looks like on the wire: JSON by msgspec, and the headers that travel with it."""

from typing import Any, TypeVar

import msgspec

from shared.bus_errors import Malformed

TRACEPARENT = "traceparent"
"""Header of the W3C trace context."""

MessageT = TypeVar("MessageT", bound=msgspec.Struct)


def encode(message: msgspec.Struct | msgspec.Raw) -> bytes:
    """The wire form of a message. Raises Malformed for text that is no Unicode: half a surrogate pair of a model's answer."""
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError as error:
        raise Malformed(f"{type(message).__name__}: {error}") from error


def decode(kind: type[MessageT], data: bytes) -> MessageT:
    """Read a message of one type.

    Raises Malformed when the bytes are no JSON, or no such message.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{kind.__name__}: {error}") from error


def headers(trace: str, more: dict[str, str] | None = None) -> dict[str, Any] | None:
    all_headers = dict(more or {})
    if trace:
        all_headers[TRACEPARENT] = trace
    return all_headers or None
