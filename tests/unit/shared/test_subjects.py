"""Subjects: built of our own tokens only, and found again by the filters that readers use."""

import re

import pytest

from shared import streams, subjects

HOSTILE = ["", "a.b", "a b", "*", ">", "a\n", "\0", "é", "x" * 65, "../x", "$JS"]

RUN, KEY = "20261124-103207-9f3ac1", "café de flore"

BUILT = {
    subjects.task("openai", RUN): [subjects.ALL_TASKS, subjects.tasks_of_provider("openai"), subjects.tasks_of_run(RUN)],
    subjects.run_control(RUN): [subjects.ALL_RUN_CONTROL],
    subjects.candidate(RUN, "openai"): [subjects.ALL_CANDIDATES],
    subjects.started(RUN): [subjects.ALL_STARTED],
    subjects.accepted(RUN, KEY): [subjects.ALL_ACCEPTED],
    subjects.duplicate(RUN, "c1"): [subjects.ALL_DUPLICATES],
    subjects.finished(RUN): [subjects.ALL_FINISHED],
    subjects.epoch(3): [subjects.ALL_EPOCHS],
    subjects.usage(RUN, "openai"): [subjects.ALL_USAGE, subjects.usage_of_run(RUN)],
    subjects.snapshot(RUN): [subjects.ALL_SNAPSHOTS],
    subjects.presence("openai", "producer-openai-3fa2c1"): [subjects.ALL_PRESENCE, subjects.presence_of_provider("openai")],
    subjects.begun(RUN, "openai", "t-1"): [subjects.reports_of_provider("openai")[1]],
    subjects.issued(RUN, "t-1"): [subjects.ALL_ISSUED],
    subjects.spent(RUN, "t-1"): [subjects.ALL_SPENT],
}


def matches(subject: str, subject_filter: str) -> bool:
    """As the server matches: `*` is one token, a last `>` is one or more."""
    pattern = re.escape(subject_filter).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(pattern, subject) is not None


@pytest.mark.parametrize(("subject", "filters"), BUILT.items())
def test_a_subject_is_heard_by_the_filters_made_for_it(subject: str, filters: list[str]) -> None:
    assert all(subjects.token(part) for part in subject.split("."))
    for subject_filter in filters:
        assert matches(subject, subject_filter), subject_filter


@pytest.mark.parametrize("value", HOSTILE)
def test_what_is_no_token_never_stands_in_a_subject(value: str) -> None:
    for build in (
        subjects.started,
        subjects.finished,
        subjects.run_control,
        subjects.snapshot,
        subjects.presence_of_provider,
        subjects.reports_of_provider,
        subjects.tasks_of_provider,
        subjects.tasks_of_run,
        subjects.decisions_of_run,
        subjects.usage_of_run,
    ):
        with pytest.raises(ValueError, match="not a subject token"):
            build(value)
    with pytest.raises(ValueError, match="not a subject token"):
        subjects.duplicate(RUN, value)
    with pytest.raises(ValueError, match="not a subject token"):
        subjects.candidate(value, "openai")


@pytest.mark.parametrize("key", [*HOSTILE, "🗼" * 5000, "\ud800"])
def test_any_key_is_hashed_to_a_token(key: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", subjects.key_token(key))
    assert subjects.token(subjects.key_token(key))


def test_keys_that_differ_have_subjects_that_differ() -> None:
    keys = [f"key {n}" for n in range(5000)] + HOSTILE
    assert len({subjects.accepted(RUN, key) for key in keys}) == len(keys)


def test_the_decisions_of_a_run_are_found_by_one_filter_each() -> None:
    for subject in (subjects.started(RUN), subjects.accepted(RUN, KEY), subjects.duplicate(RUN, "c1"), subjects.finished(RUN)):
        assert sum(matches(subject, f) for f in subjects.decisions_of_run(RUN)) == 1
        assert subjects.decision(subject) == (subject.split(".")[1], RUN)
        assert not any(matches(subject, f) for f in subjects.decisions_of_run("another"))


def test_each_stored_subject_belongs_to_one_stream() -> None:
    stored = [s for s in BUILT if not s.startswith(("control.run", "telemetry"))]
    for subject in stored:
        assert sum(matches(subject, f) for stream in streams.STREAMS for f in stream.subjects or []) == 1
