"""The tail keeps what fits, never goes back, and always knows what it lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import log_tail
from services.gateway.frames import Frame
from services.gateway.log_tail import LogTail


@pytest.fixture(autouse=True, params=[1, 3, 100])
def chunk_frames(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Frames of a piece: the number must not matter."""
    monkeypatch.setattr(log_tail, "CHUNK_FRAMES", request.param)
    return int(request.param)


def frame(sequence: int, size: int = 10) -> Frame:
    return Frame(sequence, f"{sequence}".encode().ljust(size))


def after(tail: LogTail, run: str, place: int) -> list[int]:
    """What a client of a run gets from a place on, as the sequences that stand in its frames."""
    got: list[int] = []
    while chunk := tail.after(run, place):
        found = [int(number) for number in chunk.data.split()]
        assert (chunk.events, chunk.sequence) == (len(found), found[-1])
        got += found
        place = chunk.sequence
    return got


def test_a_run_gets_its_own_frames_after_a_place(chunk_frames: int) -> None:
    tail = LogTail()
    tail.begin("epoch", 0)
    for sequence, run in enumerate(["a", "b", "a", "a", "b"], start=1):
        tail.add(run, frame(sequence))
    assert after(tail, "a", 0) == [1, 3, 4]
    assert after(tail, "a", 1) == [3, 4]
    assert after(tail, "a", 2) == [3, 4]
    assert after(tail, "a", 4) == []
    assert after(tail, "none", 0) == []
    assert tail.head == 5
    first = tail.after("a", 0)
    assert first is not None
    assert first.events == min(3, chunk_frames)


def test_a_piece_that_was_sent_does_not_change() -> None:
    tail = LogTail()
    tail.begin("epoch", 0)
    tail.add("a", frame(1))
    sent = tail.after("a", 0)
    tail.add("a", Frame(2, b"2", last=True))
    assert sent is not None
    assert (sent.data.split(), sent.last) == ([b"1"], False)
    rest = tail.after("a", sent.sequence)
    assert rest is not None
    assert (rest.data, rest.last) == (b"2", True)


def test_an_old_entry_read_again_is_left_out() -> None:
    tail = LogTail()
    tail.begin("epoch", 10)
    for sequence in (11, 12, 11, 12, 13, 9):
        tail.add("a", frame(sequence))
    assert after(tail, "a", 10) == [11, 12, 13]


def test_beginning_anew_forgets_everything() -> None:
    tail = LogTail()
    tail.begin("one", 0)
    tail.add("a", frame(1))
    generation = tail.generation
    tail.begin("two", 0)
    assert after(tail, "a", 0) == []
    assert (tail.epoch, tail.head) == ("two", 0)
    assert tail.generation > generation


def test_it_holds_no_more_bytes_than_its_bound(chunk_frames: int) -> None:
    tail = LogTail(max_bytes=100_000)
    tail.begin("epoch", 0)
    for sequence in range(1, 20_001):
        tail.add(f"run-{sequence % 7}", frame(sequence, size=100))
    kept = [sequence for number in range(7) for sequence in after(tail, f"run-{number}", 0)]
    assert 1000 - 7 * chunk_frames <= len(kept) <= 1000
    assert set(range(20_001 - len(kept) + 7 * chunk_frames, 20_001)) <= set(kept)


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
            for place in range(tail.floor(name), sequence + 1):
                assert after(tail, name, place) == [one for one in written if one > place]
