"""Signed control messages: what makes a producer act is the orchestrator's, and recent.

Permissions alone do not show it. The server sends its answer to a publish to whatever subject the publisher names, also to one
that the publisher may not publish to. Ed25519 over subject, time and payload, in one header.
"""

import base64
import binascii
import time
from collections.abc import Mapping
from typing import Any

import structlog

from shared import nkey, streams
from shared.bus_errors import Malformed

HEADER = "Chorus-Signature"

FRESH_SECONDS = {"control.run.": 60.0, "control.task.": streams.TASKS.max_age or 0.0}
"""What is signed, and how old it may be: run control is told live, a task may wait in the queue as long as the queue keeps it.

A minute, because clocks of machines differ.
"""

log = structlog.get_logger()


def is_signed(subject: str) -> bool:
    """Whether messages on this subject carry a signature."""
    return subject.startswith(tuple(FRESH_SECONDS))


class Signer:
    """Signs as the orchestrator."""

    def __init__(self, seed: str) -> None:
        self._pair: Any = nkey.read_seed(seed)

    def sign(self, subject: str, data: bytes) -> str:
        """The value of the header."""
        at = str(int(time.time() * 1000))
        return f"{at} {base64.b64encode(self._pair.sign(_signed(subject, at, data))).decode()}"


class Verifier:
    """Knows the orchestrator by its public key; without one it takes everything, as on a NATS without keys."""

    def __init__(self, public_key: str) -> None:
        self._key: Any = None
        self._said = False
        if public_key:
            from nacl.signing import VerifyKey

            self._key = VerifyKey(nkey.read_public(public_key))

    def check(self, subject: str, data: bytes, headers: Mapping[str, str] | None) -> None:
        """Raise Malformed unless the message is the orchestrator's and recent."""
        if self._key is None:
            if not self._said:
                self._said = True
                log.warning("bus.unsigned_accepted", hint="ORCHESTRATOR_KEY is not set: any client of the bus may give orders")
            return
        at, _, signature = (headers or {}).get(HEADER, "").partition(" ")
        if not signature:
            raise Malformed("not signed")
        try:
            self._key.verify(_signed(subject, at, data), base64.b64decode(signature, validate=True))
            age = time.time() - int(at) / 1000
        except (_bad_signature(), binascii.Error, ValueError) as error:
            raise Malformed("signed by somebody else, or changed on its way") from error
        if abs(age) > max(seconds for start, seconds in FRESH_SECONDS.items() if subject.startswith(start)):
            raise Malformed(f"signed {age:.0f} s ago, by this machine's clock")


def _signed(subject: str, at: str, data: bytes) -> bytes:
    return f"{subject}\n{at}\n".encode() + data


def _bad_signature() -> type[Exception]:
    from nacl.exceptions import BadSignatureError

    return BadSignatureError
