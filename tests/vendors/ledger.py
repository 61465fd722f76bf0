"""Every request that came, and what came of it."""

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.vendors.faults import Fault
from tests.vendors.wire import Answer, Json, Tokens

MAX_REQUESTS = 10_000
"""More than any test makes; beyond it a client retries without end, and the server says so."""


Outcome = Literal["open", "ok", "refused", "broken", "left"]
"""`ok`: the response was sent to its end, whatever it says; `broken`: the server broke it off; `left`: the client left."""


class Full(Exception):
    """Raised when there have been too many requests."""


@dataclass(slots=True)
class Entry:
    """One request."""

    number: int
    """From 0, within its provider."""
    provider: str
    key: str
    """As the client gave it; empty if it gave none."""
    body: Json
    """The request as it came."""
    started: float
    """Seconds by the monotonic clock, as `ended`."""
    ended: float | None = None
    model: str = ""
    prompt: str = ""
    streams: bool = False
    fault: Fault | None = None
    status: int = 0
    """Of HTTP; 0 as long as nothing has been sent."""
    outcome: Outcome = "open"
    billed: Tokens = field(default_factory=Tokens)
    """What the vendor charges for: of an answer that was broken off, what had been said until then."""
    reported: bool = False
    """Whether the response told the client what is billed."""
    attributes: list[str] = field(default_factory=list)
    """What was sent completely. With a fault, what a careful reader can save."""

    def settle(self, answer: Answer, sent: int) -> None:
        """Write down what an answer costs of which `sent` characters went out, and what these hold."""
        self.attributes = answer.attributes(sent)
        self.reported = answer.tells and self.outcome == "ok"
        if self.outcome == "ok" or not self.streams:
            self.billed = answer.tokens
        else:
            self.billed = replace(answer.tokens, output=sent // 4 + 1 if sent else 0, reasoning=0)


class Ledger:
    """The requests of all vendors in the order in which they came."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._numbers: Counter[str] = Counter()

    def open(self, provider: str, key: str, body: Json) -> Entry:
        """Note a request. Raises Full beyond MAX_REQUESTS."""
        if len(self.entries) >= MAX_REQUESTS:
            raise Full
        entry = Entry(self._numbers[provider], provider, key, body, time.monotonic())
        self._numbers[provider] += 1
        self.entries.append(entry)
        return entry

    def of(self, provider: str = "") -> list[Entry]:
        """The requests to one provider, or to all."""
        return [entry for entry in self.entries if provider in ("", entry.provider)]

    def billed(self, provider: str = "", model: str = "") -> Tokens:
        """The tokens charged for, all requests together."""
        return sum((e.billed for e in self.of(provider) if model in ("", e.model)), Tokens())

    def attributes(self, provider: str = "") -> list[str]:
        """Everything that was sent completely, repeats included."""
        return [text for entry in self.of(provider) for text in entry.attributes]

    def most_at_once(self, provider: str = "") -> int:
        """The largest number of requests that were open at the same time."""
        changes = [(e.started, 1) for e in self.of(provider)]
        changes += [(e.ended, -1) for e in self.of(provider) if e.ended is not None]
        now = most = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
        return most

    def most_within(self, seconds: float, provider: str = "") -> int:
        """The largest number of requests that began within any span of `seconds`."""
        times = [entry.started for entry in self.of(provider)]
        first = most = 0
        for number, moment in enumerate(times):
            while times[first] <= moment - seconds:
                first += 1
            most = max(most, number - first + 1)
        return most
