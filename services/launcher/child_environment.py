"""What a child is started with: of the secrets in our own environment only its own.

Whoever gets into one service, or reads what it was started with, gets no vendor's key from the gateway and no token from a
producer.
"""

import os
from collections.abc import Mapping

SECRET_WORDS = frozenset(
    {"KEY", "KEYS", "NKEY", "APIKEY", "TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "AUTH"}
    | {"COOKIE", "HEADERS"}  # as OTEL_EXPORTER_OTLP_HEADERS, which may hold what a collector asks for
)
"""A variable with one of these words in its name, between underscores, holds a secret or names the file of one."""

OF_ALL = ("NATS_NKEY", "ORCHESTRATOR_KEY", "OTEL_")
"""What each of our services needs: to get onto the bus that is joined, and to send traces."""


def environment_of(variables: Mapping[str, str], secrets: tuple[str, ...]) -> dict[str, str]:
    """Our own environment with these variables on top, without secrets whose name begins with none of `secrets`."""
    passed = {name: value for name, value in os.environ.items() if not is_secret(name) or name.startswith(secrets)}
    return {**passed, **variables}


def is_secret(name: str) -> bool:
    """Whether a variable looks as if it held a secret."""
    return not SECRET_WORDS.isdisjoint(name.upper().split("_"))
