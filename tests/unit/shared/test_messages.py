"""The rules that messages keep by themselves."""

import hashlib
import json
from typing import Any

import pytest

from shared.bus import Malformed, decode, encode
from shared.messages import MAX_TEXT, MAX_TOPIC, Candidate, RunSpec, candidate_id, new_run_id, next_digest, now
from shared.subjects import token

CANDIDATE = Candidate(
    id="c1", run="r1", task="t1", ordinal=0, text="Louvre", provider="random", model="zipf-1", producer="random-1"
)


def spec(**fields: Any) -> RunSpec:
    """A spec as it comes from the wire, so that every bound is checked."""
    draft = RunSpec(topic="Paris", providers=("random",))
    given = {name: getattr(draft, name) for name in draft.__struct_fields__} | fields
    return decode(RunSpec, json.dumps(given).encode())


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"topic": ""}, "the topic is empty"),
        ({"topic": " \u3000 "}, "the topic is empty"),
        ({"topic": "x" * (MAX_TOPIC + 1)}, f"the most is {MAX_TOPIC}"),
        ({"topic": "a\nb"}, "control characters"),
        ({"topic": "a\x00b"}, "control characters"),
        ({"topic": "a\N{RIGHT-TO-LEFT OVERRIDE}b"}, "control characters"),
        ({"providers": []}, "providers"),
        ({"providers": ["acme"]}, "unknown provider 'acme'"),
        ({"providers": ["random", "random"]}, "named twice"),
        ({"producers": 0}, "producers"),
        ({"producers": 100}, "producers"),
        ({"iterations": -1}, "iterations"),
        ({"max_items": 0}, "max_items"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_seconds": -1.5}, "max_seconds"),
        ({"request_size": 0}, "request_size"),
        ({"request_size": 501}, "request_size"),
        ({"seed": 2**53}, "seed"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_a_spec_beyond_its_bounds_is_refused_with_a_reason(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        spec(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"topic": "x" * MAX_TOPIC},
        {"topic": "../../etc/passwd"},
        {"topic": "東京の名所 🗼"},
        {"iterations": 0},
        {"producers": 99, "max_items": 10_000_000, "max_seconds": 0.001, "request_size": 500, "seed": 2**53 - 1},
    ],
)
def test_a_spec_at_its_bounds_is_taken(fields: dict[str, Any]) -> None:
    taken = spec(**fields)
    assert {name: getattr(taken, name) for name in fields} == fields


@pytest.mark.parametrize("text", ["", "x" * (MAX_TEXT + 1)])
def test_a_candidate_is_short_and_not_empty(text: str) -> None:
    data = encode(CANDIDATE).replace(b"Louvre", text.encode())
    with pytest.raises(Malformed, match="text"):
        decode(Candidate, data)


def test_a_run_id_may_stand_in_a_subject_and_is_its_own() -> None:
    ids = {new_run_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(token(run) for run in ids)


def test_a_task_done_again_gives_its_candidates_the_same_ids() -> None:
    assert candidate_id("t1", "Louvre") == candidate_id("t1", "Louvre")
    assert len({candidate_id("t1", "Louvre"), candidate_id("t2", "Louvre"), candidate_id("t1", "louvre")}) == 3
    assert token(candidate_id("t1", "\ud800 🗼"))


def test_the_digest_tells_texts_and_their_order() -> None:
    first = next_digest("", "Louvre")
    assert first == hashlib.sha256(b"\nLouvre").hexdigest()
    assert next_digest(first, "Seine") == hashlib.sha256(f"{first}\nSeine".encode()).hexdigest()
    assert next_digest(next_digest("", "Seine"), "Louvre") != next_digest(first, "Seine")
    assert next_digest("", "\ud800")


def test_times_are_utc_and_sort_as_text() -> None:
    earlier, later = now(), now()
    assert earlier <= later
    assert earlier.endswith("+00:00")
