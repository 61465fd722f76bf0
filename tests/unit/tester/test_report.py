"""What the tester says, to a person and to a CI server."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from services.tester.invariants import Broken
from services.tester.report import Report, Result


def test_a_broken_invariant_fails_and_is_told_in_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(verbose=False)
    report.add(Result("basic", 1.5, ["509 attributes"]))
    report.add(Result("healing", 2.0, broken=[Broken("I2", "2 keys were accepted more than once: '\x1b[31m'")]))
    report.add(Result("real-api", skipped="it needs a key"))
    assert report.close(tmp_path / "deep" / "junit.xml") == 1
    said = capsys.readouterr().out
    assert "1 of 2 passed; failed: healing" in said
    assert "I2: 2 keys" in said
    assert "\x1b" not in said, "a model's text must not act on the terminal"
    suite = ET.parse(tmp_path / "deep" / "junit.xml").getroot()[0]  # noqa: S314  # we wrote it
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    (failure,) = suite.iter("failure")
    assert failure.get("type") == "I2"


def test_nothing_but_what_was_not_run_is_no_failure() -> None:
    report = Report(verbose=False)
    assert report.close(None) == 1, "nothing was tested at all"
    report.add(Result("real-api", skipped="it needs a key"))
    assert report.close(None) == 0
