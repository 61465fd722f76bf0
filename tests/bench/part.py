"""What the parts of the benchmark share: they measure in turn, print each finding, and tell whether all goals are reached."""

import json
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

Figures = dict[str, Any]

Measure = tuple[Callable[[], Coroutine[Any, Any, Figures]], Callable[[Figures], bool]]
"""What finds the figures, and whether they reach the goal."""


async def run(part: str, measures: Mapping[str, Measure], names: Sequence[str]) -> int:
    """Measure what is named, or all: a line of JSON each. Returns the exit code, 0 when every goal is reached."""
    # Servers are restarted while it measures: that connections break then is no finding.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    reached = True
    found = {}
    for name in names or measures:
        measure, goal = measures[name]
        figures = found[name] = await measure()
        reached &= goal(figures)
        sys.stdout.write(json.dumps({"bench": f"{part}.{name}", "goal": goal(figures), **figures}) + "\n")
        sys.stdout.flush()
    sys.stdout.write(table(found))
    return 0 if reached else 1


def table(found: Mapping[str, Figures]) -> str:
    """All figures for people: one line each, and what is measured at several sizes or by several services side by side."""
    lines = []
    for name, figures in found.items():
        lines += ["", name.replace("_", " ")]
        lines += [f"  {figure.replace('_', ' '):<28}{_shown(value)}" for figure, value in figures.items()]
    return "\n".join([*lines, ""])


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(one)}" for key, one in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value)
