"""What the tester found: for a person, and as JUnit XML for whoever runs it."""

import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

from services.tester.invariants import Broken


@dataclass(slots=True)
class Result:
    """One scenario, or one fault of a scenario."""

    name: str
    seconds: float = 0.0
    facts: list[str] = field(default_factory=list)
    """What was found, in words."""
    broken: list[Broken] = field(default_factory=list)
    skipped: str = ""
    """Why it was not run; empty when it was."""

    @property
    def passed(self) -> bool:
        return not self.broken


MARK = {True: "ok    ", False: "FAILED"}


class Report:
    """Prints each result as it comes, and a summary at the end."""

    def __init__(self, *, verbose: bool) -> None:
        self.results: list[Result] = []
        self._verbose = verbose

    def add(self, result: Result) -> None:
        """Take a result in and print it."""
        self.results.append(result)
        if result.skipped:
            say(f"not run  {result.name}: {result.skipped}")
            return
        facts = f"  {'; '.join(result.facts)}" if result.facts else ""
        say(f"{MARK[result.passed]}   {result.name}  ({result.seconds:.1f} s){facts}")
        for broken in result.broken:
            say(f"           {broken}")

    def note(self, text: str) -> None:
        """Say what is being done, to those who want to know."""
        if self._verbose:
            say(f"         {text}")

    def close(self, junit: Path | None) -> int:
        """Print the summary, write the JUnit file if one is wanted, and return the exit code."""
        run = [result for result in self.results if not result.skipped]
        failed = [result for result in run if not result.passed]
        say(
            f"{len(run) - len(failed)} of {len(run)} passed"
            + (f"; failed: {', '.join(r.name for r in failed)}" if failed else "")
        )
        if junit is not None:
            junit.parent.mkdir(parents=True, exist_ok=True)
            ET.ElementTree(self._as_junit()).write(junit, encoding="utf-8", xml_declaration=True)
        return 1 if failed or not self.results else 0

    def _as_junit(self) -> ET.Element:
        """The form that CI servers read (https://github.com/testmoapp/junitxml)."""
        failed = sum(not result.passed for result in self.results)
        skipped = sum(bool(result.skipped) for result in self.results)
        seconds = f"{sum(result.seconds for result in self.results):.3f}"
        total = {"tests": str(len(self.results)), "failures": str(failed), "skipped": str(skipped), "time": seconds}
        suite = ET.Element("testsuite", {"name": "tester", **total})
        for result in self.results:
            case = ET.SubElement(suite, "testcase", classname="tester", name=result.name, time=f"{result.seconds:.3f}")
            if result.skipped:
                ET.SubElement(case, "skipped", message=_plain(result.skipped))
            for broken in result.broken:
                ET.SubElement(case, "failure", type=broken.invariant, message=_plain(broken.what))
            if result.facts:
                ET.SubElement(case, "system-out").text = _plain("\n".join(result.facts))
        root = ET.Element("testsuites")
        root.append(suite)
        return root


def say(text: str) -> None:
    """Print a line for the person who waits."""
    sys.stdout.write(_plain(text) + "\n")
    sys.stdout.flush()


def _plain(text: str) -> str:
    """Without what would act on a terminal or is no XML: complaints may quote what models wrote."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
