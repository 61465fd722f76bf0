"""The orchestrator's figures, each beside its ceiling of the same run: one line of JSON each, and whether it is reached.

`python -m tests.bench.orchestrator.run [durable_exact] …`: all without a name.
"""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from tests.bench.orchestrator import end_to_end, growth, rate

Figures = dict[str, Any]

MEASURES: dict[str, tuple[Callable[[], Coroutine[Any, Any, Figures]], Callable[[Figures], bool]]] = {
    "durable_exact": (lambda: rate.measure("exact", "always"), lambda found: found["ratio"] >= 0.8),
    "durable_semantic": (lambda: rate.measure("semantic", "always"), lambda found: found["ratio"] >= 0.5),
    "quick_exact": (lambda: rate.measure("exact", "2m"), lambda found: found["ratio"] >= 0.8),
    "quick_semantic": (lambda: rate.measure("semantic", "2m"), lambda found: found["ratio"] >= 0.5),
    "end_to_end": (end_to_end.measure, lambda found: found["accepted_per_second"] > 0),
    "growth": (growth.measure, growth.in_line),
}


async def main(names: list[str]) -> int:
    reached = True
    for name in names or MEASURES:
        measure, goal = MEASURES[name]
        figures = await measure()
        reached &= goal(figures)
        sys.stdout.write(json.dumps({"bench": f"orchestrator.{name}", "goal": goal(figures), **figures}) + "\n")
        sys.stdout.flush()
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
