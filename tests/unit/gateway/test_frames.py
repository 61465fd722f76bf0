"""Events as bytes: one line of data whatever the text, and ids that only we understand."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.gateway import feeds, frames
from services.gateway.view import View
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


@pytest.mark.parametrize(
    "subject", ["attributes.spent.r.t", "attributes.started.r", "attributes.epoch.3", "attributes.new-kind.r.x"]
)
def test_kinds_of_entries_that_are_not_shown_are_passed_over_without_a_word(subject: str) -> None:
    view = View()
    view.list.begin(EPOCH, 0)
    view.whole.begin(EPOCH, 0)
    with capture_logs() as logs:
        assert feeds.show(Stored(7, subject, b'{"run": "r"}', ""), view) == ""
    assert (logs, view.list.head, view.whole.head) == ([], 7, 7)
