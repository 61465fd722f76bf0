"""A key is known on the bus by a fingerprint alone."""

import hashlib

from services.producer.key import fingerprint


def test_a_fingerprint_is_stable_another_in_each_stack_and_no_plain_hash() -> None:
    key = "sk-0123456789abcdef"
    mark = fingerprint(key)
    assert mark == fingerprint(key) != fingerprint(key + "x")
    assert mark != fingerprint(key, "another stack")
    assert len(mark) == 32
    assert not hashlib.sha256(key.encode()).hexdigest().startswith(mark)


def test_without_a_key_there_is_none() -> None:
    assert fingerprint("") == ""
