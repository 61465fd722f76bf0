"""What the command line shows of texts that models, vendors and other services wrote."""

import io
import json

import msgspec
import pytest
from rich.console import Console

from services.orchestrator.cli import summary, words
from services.orchestrator.cli.progress import LivePanel, PlainLines
from shared.messages import Accepted, Finished, ProviderCounts, RunSpec, RunState, Snapshot

TITLE = "\x1b]0;TITLE\x07\x9b2J\u202e"
SPEC = RunSpec(topic="Test", providers=("random",), producers=1)
STATE = RunState(run="r", spec=SPEC, status="running", reason=f"boom {TITLE}", providers={f"p{TITLE}": ProviderCounts()})
ATTRIBUTE = Accepted(
    candidate_sequence=1,
    run="r",
    ordinal=1,
    text=f"a {TITLE}",
    key="a",
    provider="random",
    model="m",
    producer="p",
    task="t",
    candidate="c",
    at="",
)
FINISHED = Finished(run="r", status="failed", reason=f"boom {TITLE}", accepted=1, duplicates=0)


def acts(text: str) -> list[str]:
    """What a terminal would obey, besides the colours and moves of the panel itself."""
    return [mark for mark in ("\x1b]", "\x07", "\x9b", "\u202e") if mark in text]


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200)
    progress = LivePanel(console, f"topic {TITLE}") if terminal else PlainLines(console)
    progress.accepted(ATTRIBUTE)
    progress.snapshot(Snapshot(state=STATE))
    progress.close()
    return out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_texts_of_others_and_obeys_none(terminal: bool) -> None:
    text = shown(terminal=terminal)
    assert "boom" in text
    assert "TITLE" in text
    assert acts(text) == []


@pytest.mark.parametrize("as_json", [True, False])
def test_the_last_words_obey_nothing(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    summary.summarise(SPEC, FINISHED, None, [], as_json=as_json)
    words.fail(f"boom {TITLE}", 1)
    said = capsys.readouterr()
    assert acts(said.out + said.err) == []
    if as_json:
        assert json.loads(said.out)["reason"] == FINISHED.reason


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_that_waits_is_told_from_one_that_goes_on(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200)
    progress = LivePanel(console, "topic") if terminal else PlainLines(console)
    waits = msgspec.structs.replace(STATE, status="waiting", reason="nobody offers gemini")
    for state in (waits, waits):
        progress.snapshot(Snapshot(state=state))
    progress.close()
    assert "waits for a provider: nobody offers gemini" in out.getvalue()
    if not terminal:
        assert out.getvalue().count("waits for a provider") == 1


def test_a_list_is_handed_to_a_program_as_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words.print_list([ATTRIBUTE.text])
    assert capsys.readouterr().out == f"{ATTRIBUTE.text}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    words.print_list([ATTRIBUTE.text])
    assert acts(capsys.readouterr().out) == []
