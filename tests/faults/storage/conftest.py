"""The figures of the storage faults, printed as a table and written to build/storage.md."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[3] / "build"

PROPERTY = "storage"

rows: list[tuple[str, str]] = []


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Enter a figure: what was done, and what came of it."""

    def enter(what: str, came: str) -> None:
        request.node.user_properties.append((PROPERTY, (what, came)))

    return enter


@pytest.fixture
def mounts() -> Iterator[Callable[..., Path]]:
    """Mounts file systems, and unmounts them in the end. Skips where that is not allowed, unless REQUIRE_FAULTS is set."""
    mounted: list[Path] = []

    def mount(at: Path, *arguments: str) -> Path:
        at.mkdir(parents=True, exist_ok=True)
        tried = subprocess.run(["mount", *arguments, str(at)], capture_output=True, text=True, check=False)  # noqa: S607  # the system's
        if tried.returncode:
            unavailable(f"mount {' '.join(arguments)}: {tried.stderr.strip()}")
        mounted.append(at)
        return at

    yield mount
    for at in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(at)], check=False)  # noqa: S607  # the system's


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Finds a program of the system; skips where it is not installed, unless REQUIRE_FAULTS is set."""

    def find(name: str) -> str:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if not found:
            unavailable(f"{name} is not installed")
        return found or ""

    return find


def unavailable(reason: str) -> None:
    """This machine cannot make the fault."""
    if os.environ.get("REQUIRE_FAULTS"):
        pytest.fail(reason)
    pytest.skip(reason)


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
