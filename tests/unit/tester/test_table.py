"""`tests/README.md` says where each behaviour and fault is tested; what it names must exist."""

import re
from pathlib import Path

from services.tester.faults import PROCESS_FAULTS
from services.tester.scenarios import SCENARIOS

TESTS = Path(__file__).parents[2]


def test_what_the_table_names_exists() -> None:
    names = re.findall(r"`([^`\n]+)`", (TESTS / "README.md").read_text())
    tests = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    missing = [name for name in names if name.startswith("test_") and f"def {name}(" not in tests]
    missing += [name for name in names if name.startswith("tests/") and not (TESTS.parent / name).exists()]
    assert not missing


def test_every_scenario_and_fault_stands_in_the_table() -> None:
    table = (TESTS / "README.md").read_text()
    faults = {fault.name for fault in PROCESS_FAULTS}
    assert not [name for name in {*SCENARIOS, *faults} - {"faults"} if f"`{name}`" not in table]
