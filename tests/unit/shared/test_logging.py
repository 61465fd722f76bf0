"""What a log holds."""

import io

import pytest
import structlog

from shared.service import start_logging


def test_an_exception_on_a_terminal_shows_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local variable may be a key."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    before = structlog.get_config()
    try:
        start_logging("test", "trace")
        key = "sk-" + "0123456789"
        try:
            raise ValueError("no" if key else "")
        except ValueError:
            structlog.get_logger().exception("call.broken")
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
    assert "ValueError" in terminal.getvalue()
    assert "0123456789" not in terminal.getvalue().replace('"0123456789"', "")
