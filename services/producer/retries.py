"""How often a call is tried again, and after how long."""

import random

MAX_ATTEMPTS = 5
"""Of one task; then it is the orchestrator's turn, which may prefer another provider."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0


def backoff(retry: int, rng: random.Random) -> float:
    """Seconds before the n-th retry (from 1) when the vendor names none: exponential, with full jitter."""
    return rng.uniform(0, min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (retry - 1)))
