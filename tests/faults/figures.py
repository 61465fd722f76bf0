"""The figures of the storage faults, printed as a table and written to build/storage.md.

The conftest of tests/faults registers these hooks: the process that runs the workers does not read that of a folder below.
"""

from pathlib import Path

import pytest

BUILD = Path(__file__).parents[2] / "build"

PROPERTY = "storage"

rows: list[tuple[str, str]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the figures, from whichever process they come."""
    if report.when == "teardown":
        rows.extend(found for name, found in report.user_properties if name == PROPERTY and isinstance(found, tuple | list))  # type: ignore[misc]  # a pair, as entered above


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table."""
    if rows and not hasattr(session.config, "workerinput"):
        BUILD.mkdir(exist_ok=True)
        (BUILD / "storage.md").write_text("\n".join(_table()) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if rows:
        terminalreporter.section("storage faults")
        for line in _table():
            terminalreporter.write_line(line)


def _table() -> list[str]:
    width = max(len(what) for what, _ in rows)
    lines = [f"| {'fault'.ljust(width)} | came of it |", f"| {'-' * width} | --- |"]
    return lines + [f"| {what.ljust(width)} | {came} |" for what, came in sorted(rows)]
