"""SECURITY.md: each claim names its test, and each test is there."""

import ast
import functools
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
TESTS = PROJECT / "tests"

TEXT = (PROJECT / "SECURITY.md").read_text()

NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)

CLAIMS = [
    line for table in re.findall(r"\| does not \| test \|\n\|---\|---\|\n((?:\|.*\n)+)", TEXT) for line in table.splitlines()
]


@functools.cache
def names_in(file: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, functions)}


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_test_that_it_names_is_there(file: str, test: str) -> None:
    assert test.startswith("test_")
    assert test in names_in(TESTS / file)


def test_each_claim_names_a_test() -> None:
    assert len(CLAIMS) > 20
    assert not [claim for claim in CLAIMS if not re.fullmatch(r"\| [^|]+ \| `[\w/]+\.py::\w+`(, `[\w/]+\.py::\w+`)* \|", claim)]


def test_nobody_is_named_to_report_to() -> None:
    assert not re.search(r"\w@\w|mailto:|https?://", TEXT)
