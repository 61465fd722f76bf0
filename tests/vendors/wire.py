"""What the three protocols have in common: a call that was asked for, an answer, a refusal, the frames of a stream."""

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from typing import Any, Protocol

from tests.vendors.faults import Fault, Misbehaviour

Json = dict[str, Any]


class Form(Enum):
    """The form in which an answer is asked for."""

    LINES = "lines"
    CONTINUED = "continued"
    """A text that goes on: the prompt ends in the mark of a list's next item."""
    JSON = "json"
    TOOL = "tool"


class Finish(Enum):
    """Why an answer ends."""

    STOP = "stop"
    LENGTH = "length"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a call; `cached` and `cache_written` are parts of the input, `reasoning` is a part of the output."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.cache_written + other.cache_written,
            self.reasoning + other.reasoning,
        )


def count(text: str) -> int:
    """How many tokens a text has, as this server counts."""
    return len(text) // 4 + 1


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for."""

    model: str
    prompt: str
    streams: bool
    form: Form = Form.LINES
    array: str = "attributes"
    """The name of the array in the schema that was given."""
    tool: str = ""
    most_tokens: int | None = None
    wants_usage: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says."""

    text: str
    form: Form
    tokens: Tokens
    finish: Finish = Finish.STOP
    foreword: str = ""
    """Prose in a block of its own, before a tool call."""
    ends: tuple[tuple[int, str], ...] = ()
    """The attributes in `text`, each with the place where it is complete."""
    tells: bool = True
    """Whether it tells its tokens."""
    pieces: int = 5
    """Into which the text is cut in a stream."""
    exact: tuple[str, ...] = ()
    """The pieces, where a test orders them."""

    def attributes(self, length: int) -> list[str]:
        """Those that the first `length` characters hold completely."""
        return [text for end, text in self.ends if end <= length]

    def cut(self) -> list[str]:
        """The text in pieces, wherever that is in a word, as a model's stream is."""
        if self.exact:
            return list(self.exact)
        size = max(1, math.ceil(len(self.text) / max(self.pieces, len(self.text) // 4096)))
        return [self.text[start : start + size] for start in range(0, len(self.text), size)]


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream, or a part of a body."""

    data: bytes
    text: str = ""
    """The part of the answer in it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a vendor's rate-limit headers say."""

    requests: int = 500
    requests_left: int = 499
    requests_reset: float = 0.12
    """Seconds until all of them are there again."""
    tokens: int = 200_000
    tokens_left: int = 199_000
    tokens_reset: float = 0.3
    """Seconds until all of them are there again."""


class Refused(Exception):
    """Raised, or made, when a request gets no answer but a status and a body of JSON."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(slots=True)
class Request:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: Json = field(default_factory=dict)


class Wire(Protocol):
    """A vendor's protocol."""

    provider: str

    def key(self, request: Request) -> str:
        """The key in the request; empty if there is none."""
        ...

    def read(self, request: Request) -> Call:
        """What is asked for. Raises Refused for what the vendor would not take."""
        ...

    def whole(self, call: Call, answer: Answer) -> Json:
        """The answer in one body."""
        ...

    def stream(self, call: Call, answer: Answer) -> Iterable[Frame]:
        """The answer as the events of a stream."""
        ...

    def refused(self, what: Misbehaviour, call: Call, key: str) -> Refused:
        """The vendor's way of saying so."""
        ...

    def not_taken(self, option: str) -> Refused:
        """The vendor's words for an option it does not take."""
        ...

    def error_event(self) -> bytes:
        """The event that ends a stream with an error."""
        ...

    def limits(self, limits: Limits) -> dict[str, str]:
        """Headers; none if the vendor has none."""
        ...


def event(data: Json, name: str = "", end: str = "\n\n") -> bytes:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}{end}".encode()


def retry_after(what: Misbehaviour) -> dict[str, str]:
    """The header that says when to come back, in the form of the fault."""
    if what.fault is Fault.RATE_LIMITED_SECONDS:
        return {"retry-after": f"{what.seconds:g}"}
    if what.fault is Fault.RATE_LIMITED_DATE:
        return {"retry-after": formatdate(time.time() + what.seconds, usegmt=True)}
    return {}


def array_name(schema: Any) -> str:
    """The name of the first array in a schema's properties."""
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    arrays = (name for name, kind in properties.items() if str(kind.get("type", "")).lower() == "array")
    return next(arrays, "attributes")


def objects(schema: Any) -> list[Json]:
    """Every object that a JSON schema describes, itself included."""
    if isinstance(schema, list):
        return [found for part in schema for found in objects(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" else []
    return own + [found for part in schema.values() for found in objects(part)]
