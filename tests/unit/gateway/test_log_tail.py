"""The tail keeps what fits, never goes back, and always knows what it lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import log_tail
from services.gateway.frames import Frame
from services.gateway.log_tail import Log, LogTail


def frame(sequence: int, size: int = 10) -> Frame:
    return Frame(sequence, b"x" * size)


def sequences(found: list[Frame]) -> list[int]:
    return [one.sequence for one in found]


def test_a_run_gets_its_own_frames_after_a_place() -> None:
    tail = LogTail()
    tail.begin("epoch", 0)
    for sequence, run in enumerate(["a", "b", "a", "a", "b"], start=1):
        tail.add(run, frame(sequence))
    assert sequences(tail.after("a", 0, 10)) == [1, 3, 4]
    assert sequences(tail.after("a", 1, 10)) == [3, 4]
    assert sequences(tail.after("a", 0, 2)) == [1, 3]
    assert sequences(tail.after("a", 4, 10)) == []
    assert sequences(tail.after("none", 0, 10)) == []
    assert tail.head == 5


def test_an_old_entry_read_again_is_left_out() -> None:
    tail = LogTail()
    tail.begin("epoch", 10)
    for sequence in (11, 12, 11, 12, 13, 9):
        tail.add("a", frame(sequence))
    assert sequences(tail.after("a", 10, 10)) == [11, 12, 13]


def test_beginning_anew_forgets_everything() -> None:
    tail = LogTail()
    tail.begin("one", 0)
    tail.add("a", frame(1))
    generation = tail.generation
    tail.begin("two", 0)
    assert tail.after("a", 0, 10) == []
    assert (tail.epoch, tail.head) == ("two", 0)
    assert tail.generation > generation


def test_it_holds_no_more_bytes_than_its_bound() -> None:
    tail = LogTail(max_bytes=1000)
    tail.begin("epoch", 0)
    for sequence in range(1, 50_001):
        tail.add(f"run-{sequence % 7}", frame(sequence, size=100))
    kept = [sequence for number in range(7) for sequence in sequences(tail.after(f"run-{number}", 0, 50_000))]
    assert sorted(kept) == list(range(49_991, 50_001))


@given(
    runs=st.lists(st.sampled_from("abc"), max_size=60),
    max_bytes=st.integers(min_value=10, max_value=300),
    start=st.integers(min_value=0, max_value=5),
)
def test_above_its_floor_nothing_is_ever_missing(runs: list[str], max_bytes: int, start: int) -> None:
    tail = LogTail(max_bytes)
    tail.begin("epoch", start)
    log: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for sequence, run in enumerate(runs, start=start + 1):
        tail.add(run, frame(sequence))
        log[run].append(sequence)
        for name, written in log.items():
            floor = tail.floor(name)
            assert sequences(tail.after(name, floor, 100)) == [one for one in written if one > floor]


@given(
    kinds=st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=60),
    max_bytes=st.integers(min_value=10, max_value=300),
    limit=st.integers(min_value=1, max_value=5),
)
def test_duplicates_are_there_for_who_asks_and_for_nobody_else(
    kinds: list[tuple[str, bool]], max_bytes: int, limit: int
) -> None:
    """Asked after every entry, as live clients do, so that pieces made before must have grown with the log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_tail, "CHUNK_FRAMES", limit)
        patch.setattr(log_tail, "MAX_CHUNKS", 3)
        log = Log(max_bytes)
        log.begin("epoch", 0)
        for head, (run, duplicate) in enumerate(kinds, start=1):
            log.add(run, Frame(head, f"{head} ".encode()), aside=duplicate)
            assert log.head == head
            for duplicates in (False, True):
                written = [n for n, (r, d) in enumerate(kinds[:head], start=1) if r == "a" and (duplicates or not d)]
                floor = log.floor("a", duplicates=duplicates)
                assert read(log, floor, duplicates=duplicates) == [one for one in written if one > floor]


def read(log: Log, place: int, *, duplicates: bool) -> list[int]:
    """What a client of run a gets from a place on, as the sequences that stand in the frames."""
    got: list[int] = []
    while chunk := log.next_chunk("a", place, duplicates=duplicates):
        found = [int(number) for number in chunk.data.split()]
        assert (chunk.events, chunk.sequence) == (len(found), found[-1])
        got += found
        place = chunk.sequence
    return got
