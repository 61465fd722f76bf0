"""What the parts of the benchmark share: they measure in turn, print each finding, and tell whether all goals are reached."""

import json
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

Figures = dict[str, Any]

Measure = tuple[Callable[[], Coroutine[Any, Any, Figures]], Callable[[Figures], bool]]
"""What finds the figures, and whether they reach the goal."""


async def run(part: str, measures: Mapping[str, Measure], names: Sequence[str]) -> int:
    """Measure what is named, or all: a line of JSON each. Returns the exit code, 0 when every goal is reached."""
    reached = True
    for name in names or measures:
        measure, goal = measures[name]
        figures = await measure()
        reached &= goal(figures)
        sys.stdout.write(json.dumps({"bench": f"{part}.{name}", "goal": goal(figures), **figures}) + "\n")
        sys.stdout.flush()
    return 0 if reached else 1
