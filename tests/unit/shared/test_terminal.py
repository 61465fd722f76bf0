"""What models and strangers wrote acts on no terminal."""

import io
import json

import pytest
import structlog

from shared.service import start_logging
from shared.terminal import printable, printable_json

TITLE = "\x1b]0;TITLE\x07"
ACTS = TITLE + "\x9b2J\r\n\t\0\u2028\u202e\u200b"


def test_what_acts_on_a_terminal_is_replaced() -> None:
    shown = printable(f"a{ACTS}b")
    assert shown.isprintable()
    assert (shown[0], shown[-1]) == ("a", "b")
    assert "TITLE" in shown  # seen, not obeyed


def test_line_ends_are_kept_where_they_are_meant() -> None:
    assert printable("a\x1b\nb", keep="\n") == "a\N{REPLACEMENT CHARACTER}\nb"


@pytest.mark.parametrize("text", ["Café", "名前", "क्\u200dष", "👨\u200d👩\u200d👧"])
def test_letters_of_all_languages_are_left_alone(text: str) -> None:
    assert printable(text) == text


def test_json_says_the_same_and_acts_on_nothing() -> None:
    said = {"topic": f"Café {ACTS}\U000e0001"}
    shown = printable_json(json.dumps(said, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == said
    assert "Café" in shown


def test_a_log_on_a_terminal_holds_no_escapes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    before = structlog.get_config()
    try:
        start_logging("test", "trace")
        structlog.get_logger().info("value", text=TITLE, error=f"x{TITLE}")
        try:
            raise ValueError(TITLE)
        except ValueError:
            structlog.get_logger().exception("raised")
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
    assert terminal.getvalue().count("TITLE") >= 3
    assert "\x1b]" not in terminal.getvalue()
    assert "\x07" not in terminal.getvalue()
