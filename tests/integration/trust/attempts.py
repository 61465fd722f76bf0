"""The table of attempts: what was tried, how often, and whether it held. Printed, and written to build/trust.md.

The conftest of tests registers these hooks: the process that runs the workers does not read that of a folder below.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BUILD = Path(__file__).parents[3] / "build"

PROPERTY = "attempts"

TOLD = "told"

HEADER = ("what must hold", "what was tried", "attempts", "held")

Tried = Callable[[str, str, int], None]

rows: list[tuple[str, str, int, bool]] = []

lines: list[str] = []
"""Told beside the table."""

_failed: set[str] = set()


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Enter what is being tried: what must hold, the attempt in words, and how many there are of it."""

    def enter(must: str, what: str, number: int) -> None:
        request.node.user_properties.append((PROPERTY, (must, what, number)))  # reaches the process that runs the workers

    return enter


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Have a line printed when all tests have run."""

    def tell(line: str) -> None:
        request.node.user_properties.append((TOLD, f"{request.node.name}: {line}"))

    return tell


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the rows, from whichever process they come."""
    if report.failed:
        _failed.add(report.nodeid)
    if report.when == "teardown":
        found: list[Any] = [entry for name, entry in report.user_properties if name == PROPERTY]
        lines.extend(str(line) for name, line in report.user_properties if name == TOLD)
        rows.extend((must, what, int(number), report.nodeid not in _failed) for must, what, number in found)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table."""
    if (rows or lines) and not hasattr(session.config, "workerinput"):
        BUILD.mkdir(exist_ok=True)
        (BUILD / "trust.md").write_text("\n".join(_all()) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if rows or lines:
        terminalreporter.section("nobody on the bus is believed")
        for line in _all():
            terminalreporter.write_line(line)


def _all() -> list[str]:
    return [*(table(rows) if rows else ()), *lines]


def table(found: list[tuple[str, str, int, bool]]) -> list[str]:
    """The table in Markdown, and its sum."""
    lines = [HEADER, tuple("-" * len(name) for name in HEADER)]
    lines += [(must, what, str(number), "yes" if held else "NO") for must, what, number, held in sorted(found)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADER))]
    told = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    attempts, left = sum(number for _, _, number, _ in found), len({must for must, _, _, held in found if not held})
    return [*told, "", f"{attempts} attempts, {left} faults left"]
