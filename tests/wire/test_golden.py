"""Every message as it was on the wire when its sample was written: a deployed service still sends and reads it so.

A sample is never edited but to add a field that a message gained. A field that was renamed, dropped or given another type
turns a test red here before it breaks a service that runs elsewhere.
"""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared import messages
from shared.bus import Malformed, decode, encode
from shared.messages import Message

SAMPLES = sorted(Path(__file__).parent.glob("*.json"))


def kind_of(sample: Path) -> type[Message]:
    name = "".join(word.capitalize() for word in sample.stem.split("_"))
    kind: type[Message] = getattr(messages, name)
    return kind


def content(sample: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sample.read_text("utf-8"))
    return found


def required(kind: type[Message]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind) if field.required}


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)


def test_every_message_has_a_sample() -> None:
    kinds = {kind.__name__ for kind in Message.__subclasses__()}

    assert {kind_of(sample).__name__ for sample in SAMPLES} == kinds


@every_sample
def test_a_sample_is_read_and_written_as_it_was(sample: Path) -> None:
    message = decode(kind_of(sample), sample.read_bytes())

    assert json.loads(encode(message)) == content(sample)


@every_sample
def test_a_sample_shows_every_field_with_a_value_of_its_own(sample: Path) -> None:
    """A field left at its default would pass unseen if its name changed."""
    for field in msgspec.structs.fields(kind_of(sample)):
        assert field.encode_name in content(sample)
        if not field.required:
            assert content(sample)[field.encode_name] != default_of(field), field.name


@every_sample
def test_fields_of_a_newer_version_are_ignored(sample: Path) -> None:
    newer = content(sample) | {"added_later": {"deep": [1, None, "x"]}}

    assert decode(kind_of(sample), json.dumps(newer).encode()) == decode(kind_of(sample), sample.read_bytes())


@every_sample
def test_fields_that_an_older_version_lacks_get_their_defaults(sample: Path) -> None:
    kind = kind_of(sample)
    older = {name: value for name, value in content(sample).items() if name in required(kind)}

    message = decode(kind, json.dumps(older).encode())

    assert json.loads(encode(message)).items() >= older.items()
    for field in msgspec.structs.fields(kind):
        if not field.required:
            assert getattr(message, field.name) == default_of(field)


@every_sample
def test_a_message_without_a_needed_field_is_malformed(sample: Path) -> None:
    for name in required(kind_of(sample)):
        lacking = {key: value for key, value in content(sample).items() if key != name}
        with pytest.raises(Malformed, match=re.escape(f"missing required field `{name}`")):
            decode(kind_of(sample), json.dumps(lacking).encode())


@every_sample
def test_the_fields_needed_are_the_same_as_ever(sample: Path) -> None:
    """A field that becomes required, or a new one without a default, would refuse what older services send."""
    assert sorted(required(kind_of(sample))) == REQUIRED[sample.stem]


REQUIRED = {
    "accepted": ["candidate", "candidate_sequence", "key", "model", "ordinal", "producer", "provider", "run", "task", "text"],
    "begun": ["producer", "provider", "run", "task"],
    "candidate": ["id", "model", "ordinal", "producer", "provider", "run", "task", "text"],
    "change_run": ["run"],
    "duplicate": [
        "candidate",
        "candidate_sequence",
        "model",
        "of",
        "of_text",
        "producer",
        "provider",
        "run",
        "score",
        "task",
        "text",
        "tier",
    ],
    "epoch": ["epoch", "orchestrator"],
    "forecast": ["calls", "input_tokens", "most_usd", "output_tokens", "usd"],
    "forecast_run": ["spec"],
    "facet_counts": [],
    "finished": ["accepted", "duplicates", "reason", "run", "status"],
    "issued": ["run", "task"],
    "judgement": ["ordinal", "same"],
    "pair": ["of", "of_text", "ordinal", "text"],
    "pause": ["key", "producer", "provider", "seconds"],
    "presence": ["producer", "provider"],
    "provider_counts": [],
    "refusal": ["error"],
    "run_control": ["action", "run"],
    "run_spec": ["providers", "topic"],
    "run_state": ["run", "spec", "status"],
    "settled": ["model", "of", "of_text", "ordinal", "provider", "run", "same", "task", "text"],
    "snapshot": ["state"],
    "spent": ["model", "outcome", "provider", "run", "task"],
    "start_run": ["spec"],
    "started": ["run", "spec"],
    "task": ["id", "ordinal", "provider", "run", "topic"],
    "usage": ["gen_ai.provider.name", "gen_ai.request.model", "outcome", "producer", "run", "task"],
}
