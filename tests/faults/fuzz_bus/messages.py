"""What a producer may send that is well-formed and not so: every kind of message, of any provider, about anybody's calls.

The same seed gives the same messages. They are lines of the NATS protocol, ready to be written to a socket.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from shared import subjects
from shared.messages import candidate_id, claim_id

VICTIM = "openai"

RUNS = ("fuzzed", "quiet", "never")
"""The one that is going on, one that has ended, and one that never was."""

TASKS = 2000
"""Ordinals that are spoken of: what is done, under way, and yet to come."""

Headers = dict[str, str]
Lie = tuple[str, str, bytes, str, Headers]
"""Kind, subject, payload, where the server's answer shall go, headers."""


class Liar:
    """Makes up messages that a producer of one provider sends."""

    def __init__(self, provider: str, seed: int) -> None:
        self._provider = provider
        self._draw = random.Random(f"{provider} {seed}")  # noqa: S311  # must repeat, need not be secret
        self._number = 0
        self._kinds: list[Callable[[], Lie]] = [
            self._usage,
            self._usage_in_full,
            self._usage_of_the_victim,
            self._usage_on_its_subject,
            self._candidate,
            self._long_candidate,
            self._candidate_of_the_victim,
            self._taken_ids,
            self._begun,
            self._begun_of_the_victim,
            self._presence,
            self._presence_of_the_victim,
            self._pause,
            self._answer_to_the_log,
            self._answer_to_itself,
            self._expected,
            self._oversize,
            self._wrong_types,
        ]

    def lies(self) -> Iterator[Lie]:
        while True:
            self._number += 1
            yield self._draw.choice(self._kinds)()

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _run(self) -> str:
        return self._draw.choices(RUNS, (8, 1, 1))[0]

    def _about(self) -> dict[str, Any]:
        run = self._run()
        return {"run": run, "task": f"{run}-{self._draw.randrange(TASKS)}", "producer": f"p{self._draw.randrange(9)}"}

    def _spoken(self, provider: str) -> dict[str, Any]:
        tokens = self._draw.choice((0, 1, 10**9))
        return self._about() | {
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": self._draw.choice(("a", "dear", "m" * 200)),
            "outcome": self._draw.choice(("ok", "failed", "cancelled")),
            "error.type": self._draw.choice(("", "auth", "rate_limit", "lost", "x" * 40)),
            "gives_up": self._draw.random() < 0.5,
            "kind": self._draw.choice(("list", "facets", "judge", "adjudicate")),
            "gen_ai.usage.input_tokens": tokens,
            "gen_ai.usage.output_tokens": tokens,
        }

    def _attribute(self, provider: str, text: str) -> dict[str, Any]:
        about = self._about()
        return about | {"id": candidate_id(about["task"], text), "ordinal": 0, "text": text, "provider": provider, "model": "a"}

    def _claim(self, provider: str) -> dict[str, Any]:
        return self._about() | {"provider": provider}

    def _announced(self, provider: str) -> dict[str, Any]:
        return {
            "producer": f"p{self._draw.randrange(400)}",
            "provider": provider,
            "models": [self._draw.choice(("a", "dear", "no-price"))],
            "slots": self._draw.choice((0, 1, 1000)),
            "state": self._draw.choice(("idle", "leaving", "paused")),
        }

    def _on(self, kind: str, subject: str, message: dict[str, Any], reply: str = "", headers: Headers | None = None) -> Lie:
        return kind, subject, json.dumps(message).encode(), reply, headers or {}

    # ---- kinds -----------------------------------------------------------------------------------------------------

    def _usage(self) -> Lie:
        said = self._spoken(self._provider)
        return self._on("usage", subjects.usage(said["run"], self._provider), said)

    def _usage_in_full(self) -> Lie:
        said = self._spoken(self._provider) | {
            "error": "e" * 1000,
            "facet": "f" * 200,
            "facets": [f"facet {n}" for n in range(100)],
            "judgements": [{"ordinal": n, "same": True} for n in range(1, 100)],
            "off_topic": list(range(1, 100)),
        }
        return self._on("usage with all it may hold", subjects.usage(said["run"], self._provider), said)

    def _usage_of_the_victim(self) -> Lie:
        said = self._spoken(VICTIM)
        return self._on("usage in another's name", subjects.usage(said["run"], self._provider), said)

    def _usage_on_its_subject(self) -> Lie:
        said = self._spoken(VICTIM)
        return self._on("usage on another's subject", subjects.usage(said["run"], VICTIM), said)

    def _candidate(self) -> Lie:
        said = self._attribute(self._provider, f"junk {self._number}")
        return self._on("candidate", subjects.candidate(said["run"], self._provider), said)

    def _long_candidate(self) -> Lie:
        said = self._attribute(self._provider, "\U0001f4a5" * 200) | {
            "facet": "f" * 200,
            "prompt": "p" * 64,
            "model": "m" * 200,
        }
        return self._on("candidate as long as it may be", subjects.candidate(said["run"], self._provider), said)

    def _candidate_of_the_victim(self) -> Lie:
        said = self._attribute(VICTIM, f"junk {self._number}")
        subject = subjects.candidate(said["run"], self._draw.choice((self._provider, VICTIM)))
        return self._on("candidate in another's name", subject, said)

    def _taken_ids(self) -> Lie:
        task = f"fuzzed-{self._draw.randrange(TASKS)}"
        taken = self._draw.choice((task, claim_id(task), candidate_id(task, "junk")))
        said = self._attribute(self._provider, "junk")
        return self._on("another's ids", subjects.candidate("fuzzed", self._provider), said, headers={"Nats-Msg-Id": taken})

    def _begun(self) -> Lie:
        said = self._claim(self._provider)
        return self._on("claim", subjects.begun(said["run"], self._provider, said["task"]), said)

    def _begun_of_the_victim(self) -> Lie:
        said = self._claim(VICTIM)
        return self._on("claim of another's call", subjects.begun(said["run"], VICTIM, said["task"]), said)

    def _presence(self) -> Lie:
        said = self._announced(self._provider)
        return self._on("presence", subjects.presence(self._provider, said["producer"]), said)

    def _presence_of_the_victim(self) -> Lie:
        said = self._announced(VICTIM)
        subject = subjects.presence(self._draw.choice((self._provider, VICTIM)), said["producer"])
        return self._on("presence in another's name", subject, said)

    def _pause(self) -> Lie:
        provider = self._draw.choice((self._provider, VICTIM))
        said = {"provider": provider, "key": "k", "seconds": 3600, "producer": "p"}
        return self._on("pause", subjects.pause(self._draw.choice((self._provider, VICTIM))), said)

    def _answer_to_the_log(self) -> Lie:
        aims = (
            f"attributes.accepted.fuzzed.{self._number:032x}",
            f"attributes.issued.fuzzed.fuzzed-{self._draw.randrange(TASKS)}",
            f"attributes.spent.fuzzed.fuzzed-{self._draw.randrange(TASKS)}",
            "attributes.finished.fuzzed",
            f"attributes.epoch.{self._number}",
            subjects.run_control("fuzzed"),
            subjects.task(VICTIM, "fuzzed"),
            subjects.STOP_RUN,
        )
        said = self._attribute(self._provider, "aim")
        subject = subjects.candidate(said["run"], self._provider)
        return self._on("answer aimed at the log and at orders", subject, said, reply=self._draw.choice(aims))

    def _answer_to_itself(self) -> Lie:
        said = self._spoken(self._provider)
        reply = self._draw.choice((f"_INBOX_producer-{self._provider}.x", subjects.usage("fuzzed", self._provider)))
        return self._on("request", subjects.usage(said["run"], self._provider), said, reply=reply)

    def _expected(self) -> Lie:
        headers: Headers = self._draw.choice(
            (
                {"Nats-Expected-Last-Sequence": str(self._draw.randrange(10**6))},
                {"Nats-Expected-Stream": "RESULTS"},
                {"Nats-Expected-Last-Subject-Sequence": "0"},
                {"Nats-Rollup": "all"},
                {"Nats-Rollup": "sub"},
                {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1"},
                {"Nats-TTL": "1s"},
                {"Nats-Msg-Id": "i" * 1000},
            )
        )
        said = self._attribute(self._provider, f"expected {self._number}")
        return self._on(
            "publish with headers of the server's", subjects.candidate(said["run"], self._provider), said, headers=headers
        )

    def _oversize(self) -> Lie:
        said = self._spoken(self._provider) | {"error": "e" * self._draw.choice((2_000, 17_000, 60_000))}
        return self._on("too large", subjects.usage(said["run"], self._provider), said)

    def _wrong_types(self) -> Lie:
        said = self._spoken(self._provider)
        said[self._draw.choice(list(said))] = self._draw.choice((None, [], {}, -1, 2**70, 1e308, "x" * 300, True))
        return self._on("a field of another type", subjects.usage(self._run(), self._provider), said)


def line(subject: str, payload: bytes, reply: str, headers: Headers) -> bytes:
    """One message as the protocol has it."""
    to = f"{subject} {reply}" if reply else subject
    if not headers:
        return f"PUB {to} {len(payload)}\r\n".encode() + payload + b"\r\n"
    head = ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
    return f"HPUB {to} {len(head)} {len(head) + len(payload)}\r\n".encode() + head + payload + b"\r\n"
