"""What a model does not take is left out from then on, and nothing else is."""

import pytest

from services.producer.adapters.options import Options
from services.producer.errors import Reply, Vendor

SENT = {"response_format": 1, "temperature": 1, "seed": 1, "max_tokens": 1}


def options() -> Options:
    return Options(Vendor("openai", ""), *SENT, schema="response_format")


def refused(message: str, param: str = "") -> Reply:
    return Reply(400, {"message": message, "param": param})


@pytest.mark.parametrize(
    ("reply", "left_out"),
    [
        (refused("Unsupported value: 'temperature' does not support 0.7", "temperature"), "temperature"),
        (refused("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."), "max_tokens"),
        (refused("Invalid parameter: 'response_format' is not supported with this model."), "response_format"),
        (refused("structured output is not available"), "response_format"),
        (refused("Unknown field: seed"), "seed"),
        (refused("no", "response_format.json_schema"), "response_format"),
        (refused("Bad Request"), "response_format"),
        (Reply(422, "extra fields not permitted: seed"), "seed"),
    ],
)  # fmt: skip
def test_the_option_that_is_refused_is_left_out(reply: Reply, left_out: str) -> None:
    under_test = options()
    meant = under_test.refusal("m", SENT, reply)
    assert (meant.at_once, meant.billed) == (True, False)
    assert set(SENT) - set(under_test.of("m", SENT)) == {left_out}
    assert under_test.of("another model", SENT) == SENT


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, {"message": "temperature"}),
        Reply(400, {"message": "Your credit balance is too low"}),
        refused("messages: too long", "messages"),
    ],
)
def test_a_refusal_of_something_else_is_one(reply: Reply) -> None:
    under_test = options()
    assert under_test.refusal("m", SENT, reply).gives_up
    assert under_test.of("m", SENT) == SENT


def test_a_vague_refusal_is_not_of_a_schema_that_was_taken_before() -> None:
    under_test = options()
    under_test.took("m", SENT)
    assert under_test.refusal("m", SENT, refused("Bad Request")).gives_up


def test_every_option_is_refused_once_at_most() -> None:
    under_test, attempts = options(), 0
    while under_test.refusal("m", under_test.of("m", SENT), refused("temperature, seed, max_tokens, schema")).at_once:
        attempts += 1
    assert attempts == len(SENT)
