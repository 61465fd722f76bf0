"""What a log holds."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from shared.service import start_logging

FULL = Path("/dev/full")

LOG_A_LOT = """
import structlog
from shared.service import start_logging
start_logging("test", "info")
for number in range(1000):
    structlog.get_logger().info("disk.full", number=number, text="x" * 100)
print("still there")
"""


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


@pytest.mark.skipif(not FULL.exists(), reason="this system has no file that is always full")
def test_a_log_on_a_full_disk_does_not_end_its_service() -> None:
    with FULL.open("w") as full:
        ended = subprocess.run([sys.executable, "-c", LOG_A_LOT], stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "still there\n")
