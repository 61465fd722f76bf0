"""Every subject of Chorus, in one place.

Tokens are ours, `[A-Za-z0-9_-]{1,64}`: a subject is never built from model output or from a topic, because a long or odd
one makes the server close the connection for good. Such text is hashed first (see `key_token`).
"""

import hashlib
import re

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")

EVERYTHING = ">"

ALL_TASKS = "control.task.>"
ALL_RUN_CONTROL = "control.run.*"
ALL_CANDIDATES = "attributes.candidate.>"
ALL_STARTED = "attributes.started.*"
ALL_ACCEPTED = "attributes.accepted.>"
ALL_DUPLICATES = "attributes.duplicate.>"
ALL_SETTLED = "attributes.settled.>"
ALL_ISSUED = "attributes.issued.>"
ALL_SPENT = "attributes.spent.>"
ALL_FINISHED = "attributes.finished.*"
ALL_EPOCHS = "attributes.epoch.*"
ALL_USAGE = "usage.>"
ALL_SNAPSHOTS = "telemetry.run.*"
ALL_PRESENCE = "telemetry.producer.*.*"

START_RUN = "control.ask.start"
STOP_RUN = "control.ask.stop"
PAUSE_RUN = "control.ask.pause"
RESUME_RUN = "control.ask.resume"
FORECAST_RUN = "control.ask.forecast"


def token(value: str) -> str:
    """Return `value` unchanged if it may stand in a subject; raise ValueError if not."""
    if not TOKEN.fullmatch(value):
        raise ValueError(f"not a subject token ([A-Za-z0-9_-], 1 to 64 characters): {value[:80]!r}")
    return value


def key_token(key: str) -> str:
    """The subject token of a normalised key: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def task(provider: str, run: str) -> str:
    return f"control.task.{token(provider)}.{token(run)}"


def tasks_of_provider(provider: str) -> str:
    return f"control.task.{token(provider)}.*"


def tasks_of_run(run: str) -> str:
    return f"control.task.*.{token(run)}"


def run_control(run: str) -> str:
    return f"control.run.{token(run)}"


def pause(provider: str) -> str:
    return f"control.pause.{token(provider)}"


def candidate(run: str, provider: str) -> str:
    return f"attributes.candidate.{token(run)}.{token(provider)}"


def candidates_of_run(run: str) -> str:
    return f"attributes.candidate.{token(run)}.*"


def begun(run: str, provider: str, task: str) -> str:
    return f"begun.{token(run)}.{token(provider)}.{token(task)}"


def reports_of_provider(provider: str) -> list[str]:
    """All that the producers of a provider report: attributes, calls begun, calls finished."""
    token(provider)
    return [f"attributes.candidate.*.{provider}", f"begun.*.{provider}.*", f"usage.*.{provider}"]


def stored(subject: str) -> str:
    """Where a stream says, headers only, that it has stored a message on a subject (wildcards allowed)."""
    return f"stored.{subject}"


def started(run: str) -> str:
    return f"attributes.started.{token(run)}"


def accepted(run: str, key: str) -> str:
    return f"attributes.accepted.{token(run)}.{key_token(key)}"


def accepted_of_run(run: str) -> str:
    return f"attributes.accepted.{token(run)}.*"


def duplicate(run: str, candidate_id: str) -> str:
    return f"attributes.duplicate.{token(run)}.{token(candidate_id)}"


def settled(run: str, ordinal: int) -> str:
    return f"attributes.settled.{token(run)}.{ordinal}"


def issued(run: str, task: str) -> str:
    return f"attributes.issued.{token(run)}.{token(task)}"


def spent(run: str, task: str) -> str:
    return f"attributes.spent.{token(run)}.{token(task)}"


def finished(run: str) -> str:
    return f"attributes.finished.{token(run)}"


def decisions_of_run(run: str) -> list[str]:
    """Everything RESULTS holds of one run, as filters that do not overlap."""
    token(run)
    return [
        f"attributes.started.{run}",
        f"attributes.accepted.{run}.*",
        f"attributes.duplicate.{run}.*",
        f"attributes.settled.{run}.*",
        f"attributes.issued.{run}.*",
        f"attributes.spent.{run}.*",
        f"attributes.finished.{run}",
    ]


def decision(subject: str) -> tuple[str, str]:
    """What an entry of RESULTS says (started, issued, accepted, …) and of which run, by its subject."""
    _, kind, run, *_ = subject.split(".")
    return kind, run


def epoch(number: int) -> str:
    return f"attributes.epoch.{number}"


def usage(run: str, provider: str) -> str:
    return f"usage.{token(run)}.{token(provider)}"


def usage_of_run(run: str) -> str:
    return f"usage.{token(run)}.*"


def snapshot(run: str) -> str:
    return f"telemetry.run.{token(run)}"


def presence(provider: str, producer: str) -> str:
    return f"telemetry.producer.{token(provider)}.{token(producer)}"


def presence_of_provider(provider: str) -> str:
    return f"telemetry.producer.{token(provider)}.*"
