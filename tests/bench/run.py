"""Every figure that is promised, measured: a table for people, and `build/bench.json` for machines.

`python -m tests.bench.run [dedupe] [gateway] [orchestrator] [zipf]`: all without a name. A part is a module that prints each
finding as a line of JSON, and tables beside them; it ends with another code than 0 when a figure is not reached.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PARTS = ("dedupe", "gateway", "orchestrator", "zipf")
REPORT = Path("build") / "bench.json"


def measure(part: str) -> tuple[list[dict[str, Any]], bool]:
    """Run one part, showing what it prints as it comes; returns its findings, and whether all figures are reached."""
    command = [sys.executable, "-m", f"tests.bench.{part}.run"]
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if line.startswith("{"):
                found.append(json.loads(line))
    return found, process.returncode == 0


def main() -> int:
    names = sys.argv[1:] or PARTS
    if unknown := set(names) - set(PARTS):
        sys.exit(f"there is no part {sorted(unknown)[0]!r}; choose from {', '.join(PARTS)}")
    findings: dict[str, list[dict[str, Any]]] = {}
    missed = []
    for part in names:
        findings[part], reached = measure(part)
        if not reached:
            missed.append(part)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(findings, indent=1) + "\n")
    sys.stdout.write(f"\nall figures: {REPORT}\n" + (f"not all reached: {', '.join(missed)}\n" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
