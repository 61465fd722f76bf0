"""The ledger: what came of every fault, printed as a table and written to build/ for whoever wants to cite it."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.tester import invariants
from services.tester.trial import Trial
from tests.faults import figures
from tests.faults.field import Field

BUILD = Path(__file__).parents[2] / "build"

PROPERTY = "fault"

HEADER = ("fault", "seeds", "recovery s", "candidates", "lost", "doubled", "calls wasted")

rows: list[dict[str, Any]] = []


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(figures)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Field]:
    """A stack whose processes and links the test holds; the faults of a module share it."""
    async with Field(tmp_path_factory.mktemp("field") / "all") as laid_out:
        yield laid_out


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Callable[[Trial], None]:
    """Enter a trial in the ledger and fail the test if an invariant was broken."""

    def enter(trial: Trial) -> None:
        row = {name: getattr(trial, name) for name in Trial.__slots__} | {"broken": [str(b) for b in trial.broken]}
        request.node.user_properties.append((PROPERTY, row))  # which reaches the process that runs the workers
        assert not trial.broken, f"{trial.fault}, seed {trial.seed}:\n" + "\n".join(row["broken"])

    return enter


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the rows, from whichever process they come."""
    if report.when == "teardown":
        rows.extend(row for name, row in report.user_properties if name == PROPERTY and isinstance(row, dict))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail when recoveries are too slow as a whole, and write the table."""
    if not rows or hasattr(session.config, "workerinput"):
        return
    if invariants.mostly_recovers(_recoveries(rows)) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    BUILD.mkdir(exist_ok=True)
    (BUILD / "faults.json").write_text(json.dumps(rows, indent=1) + "\n")
    (BUILD / "faults.md").write_text("\n".join(_table(rows)) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if rows:
        terminalreporter.section("faults")
        for line in _table(rows):
            terminalreporter.write_line(line)


def _table(found: list[dict[str, Any]]) -> list[str]:
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in found:
        by_fault[row["fault"]].append(row)
    lines = [HEADER, tuple("-" * len(name) for name in HEADER)]
    lines += [_line(name, trials) for name, trials in sorted(by_fault.items())]
    lines.append(_line("all", found))
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADER))]
    table = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    times = _recoveries(found)
    share = f"{invariants.percentile(times, 0.5):.2f} s median, {invariants.percentile(times, 0.95):.2f} s for 95 %"
    slow = [str(b) for b in invariants.mostly_recovers(times)]
    return [*table, "", f"{len(found)} faults; recovery {share}, {max(times, default=0):.2f} s at most", *slow]


def _line(name: str, trials: list[dict[str, Any]]) -> tuple[str, ...]:
    times = _recoveries(trials)
    recovery = f"{min(times):.2f} to {max(times):.2f}" if times else "-"
    sums = [str(sum(trial[column] for trial in trials)) for column in ("candidates", "lost", "doubled", "wasted")]
    return (name, str(len(trials)), recovery, *sums)


def _recoveries(found: list[dict[str, Any]]) -> list[float]:
    return [row["recovery"] for row in found if row["recovery"] is not None]
