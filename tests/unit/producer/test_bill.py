"""What a call took, and whether another attempt fits into what was set aside."""

import json

import msgspec

from services.producer.adapters.contract import End
from services.producer.adapters.schema import SCHEMA
from services.producer.bill import AROUND_PROMPT, Bill
from services.producer.prompt import chat
from shared.messages import Pair, Task

RESERVED_FOR_PROMPT = 2048
"""Bytes that the orchestrator sets aside for a prompt besides topic and avoid list."""

TASK = Task(id="t", run="r", provider="openai", topic="x", ordinal=0, count=500, max_output_tokens=1000, facet="f" * 200)


def test_a_request_stays_below_what_the_budget_sets_aside_for_it() -> None:
    named = msgspec.structs.replace(TASK, avoid=["y"])
    pairs = [Pair(ordinal=1, text="a", of=2, of_text="b")] * 20
    judging = msgspec.structs.replace(TASK, kind="adjudicate", pairs=pairs)
    for as_json in (True, False):
        assert len(chat(named, as_json=as_json).encode()) + AROUND_PROMPT < RESERVED_FOR_PROMPT
        assert len(chat(judging, as_json=as_json).encode()) - 20 * 16 + AROUND_PROMPT < RESERVED_FOR_PROMPT
    assert len(json.dumps(SCHEMA)) < AROUND_PROMPT / 2


def test_told_tokens_add_up_over_attempts() -> None:
    bill = Bill(TASK)
    bill.told(End(100, 50, cached_tokens=40, reasoning_tokens=7))
    bill.told(End(100, 20))
    assert (bill.input_tokens, bill.output_tokens, bill.cached_tokens, bill.reasoning_tokens) == (200, 70, 40, 7)
    assert not bill.estimated


def test_a_guess_is_an_upper_bound_and_says_so() -> None:
    bill = Bill(TASK)
    bill.guess(300)
    assert bill.input_tokens >= len(chat(TASK, as_json=True).encode())
    assert (bill.output_tokens, bill.estimated) == (300, True)


def test_another_attempt_must_fit_into_what_was_set_aside() -> None:
    task = msgspec.structs.replace(TASK, reserved_tokens=RESERVED_FOR_PROMPT + 1000)
    bill = Bill(task)
    assert bill.allows_another
    bill.guess(0)
    assert not bill.allows_another
    unlimited = Bill(TASK)
    unlimited.guess(5000)
    assert unlimited.allows_another
