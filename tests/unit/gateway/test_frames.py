"""Events as bytes: one line of data whatever the text, and ids that only we understand."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import frames
from shared import subjects
from shared.bus import Stored, encode
from shared.messages import Accepted, Finished

EPOCH = "0123456789ab"


def stored(message: Accepted | Finished, subject: str) -> Stored:
    return Stored(7, subject, encode(message), "")


def accepted(text: str) -> Stored:
    message = Accepted(
        run="r",
        ordinal=1,
        text=text,
        key="k",
        candidate="c",
        candidate_sequence=1,
        task="t",
        provider="random",
        model="m",
        producer="p",
    )
    return stored(message, subjects.accepted("r", "k"))


@given(st.text())
def test_no_text_breaks_out_of_its_event(text: str) -> None:
    frame = frames.decision(accepted(text), EPOCH)
    assert frame is not None
    head, name, data, *rest = frame.data.decode().replace("\r", "\n").split("\n")
    assert (head, name, rest) == (f"id: {EPOCH}-7", "event: accepted", ["", ""])
    assert msgspec.json.decode(data.removeprefix("data: "))["text"] == text


def test_the_last_entry_ends_the_stream() -> None:
    end = Finished(run="r", status="finished", reason="all calls are made", accepted=1, duplicates=0)
    frame = frames.decision(stored(end, subjects.finished("r")), EPOCH)
    assert frame is not None
    assert frame.last
    assert frame.data.startswith(f"id: {EPOCH}-7\nevent: done\ndata: ".encode())


def test_a_malformed_entry_has_no_frame() -> None:
    assert frames.decision(Stored(1, subjects.accepted("r", "k"), b"{", ""), EPOCH) is None


def test_an_id_is_read_back() -> None:
    assert frames.parse_event_id(frames.event_id(EPOCH, 42)) == (EPOCH, 42)


@pytest.mark.parametrize(
    "text", ["", "42", f"{EPOCH}-", f"{EPOCH}--1", f"{EPOCH}-1\n", f"{EPOCH}-٣", "x-1", f"{EPOCH}-{10**18}"]
)
def test_other_ids_mean_nothing(text: str) -> None:
    assert frames.parse_event_id(text) is None
