"""Runs are known as last heard of, and never come back from their end."""

import msgspec

from services.gateway.known_runs import KnownRuns
from shared.messages import Finished, RunSpec, RunState, Snapshot, Status

SPEC = RunSpec(topic="Paris", providers=("random",))


def state(run: str, status: Status = "running", accepted: int = 0) -> RunState:
    return RunState(run=run, spec=SPEC, status=status, accepted=accepted, created=run)


def test_the_newest_come_first() -> None:
    runs = KnownRuns()
    for run in ("r2", "r3", "r1"):
        runs.learn(state(run))
    assert [known.state.run for known in runs.newest(2)] == ["r3", "r2"]


def test_memory_is_bounded_and_active_runs_stay() -> None:
    runs = KnownRuns(limit=3)
    runs.learn(state("active"))
    for number in range(10):
        runs.learn(state(f"r{number}", "finished"))
    assert {known.state.run for known in runs} == {"active", "r8", "r9"}


def test_a_change_of_status_is_news_and_counters_are_not() -> None:
    known = KnownRuns().learn(state("r"))
    ticket = known.bell.ticket()
    known.learn(state("r", accepted=5))
    assert (known.changes, ticket.is_set(), known.state.accepted) == (0, False, 5)
    known.learn(state("r", "paused"))
    assert (known.changes, ticket.is_set()) == (1, True)
    assert b'"status":"paused"' in known.change_frame


def test_the_end_comes_from_the_log_before_the_final_state() -> None:
    known = KnownRuns().learn(state("r"))
    known.finish(Finished(run="r", status="stopped", reason="stopped by the user", accepted=7, duplicates=2, at="t"))
    assert (known.state.status, known.state.reason, known.state.accepted) == ("stopped", "stopped by the user", 7)
    known.learn(state("r", "running", accepted=6))
    known.learn_snapshot(Snapshot(state=state("r", "running", accepted=6)))
    assert (known.state.status, known.state.accepted, known.snapshots) == ("stopped", 7, 0)
    final = msgspec.structs.replace(state("r", "stopped", accepted=7), calls=4)
    known.learn(final)
    assert known.state.calls == 4


def test_those_who_watch_a_forgotten_run_are_woken() -> None:
    runs = KnownRuns()
    ticket = runs.learn(state("r")).bell.ticket()
    runs.clear()
    assert ticket.is_set()
    assert runs.get("r") is None
