"""Who speaks: a message says for itself which run, provider and producer it is about, and its subject must say the same.

The server lets each role write on the subjects of its own provider alone, so what agrees with its subject is that provider's.
"""

import msgspec

from shared import subjects
from shared.bus_errors import Malformed
from shared.messages import Begun, Candidate, Pause, Presence, Usage


def subject_of(message: msgspec.Struct) -> str:
    """Where a producer has to say this; empty for what is no producer's."""
    match message:
        case Candidate(run=run, provider=provider):
            return subjects.candidate(run, provider)
        case Usage(run=run, provider=provider):
            return subjects.usage(run, provider)
        case Begun(run=run, provider=provider, task=task):
            return subjects.begun(run, provider, task)
        case Presence(producer=producer, provider=provider):
            return subjects.presence(provider, producer)
        case Pause(provider=provider):
            return subjects.pause(provider)
    return ""


def check(subject: str, message: msgspec.Struct) -> None:
    """Raise Malformed unless what a producer says agrees with the subject that it says it on."""
    meant = subject_of(message)
    if meant and meant != subject:
        raise Malformed(f"{type(message).__name__}: belongs on {meant}, and came on {subject[:200]}")
