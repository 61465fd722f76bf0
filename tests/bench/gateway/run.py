"""The gateway's figures, each beside its ceiling of the same run: one line of JSON each, and whether it is reached.

`python -m tests.bench.gateway.run [fan_out] [stalled] [latency]`: all three without a name.
"""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from tests.bench.gateway import fan_out, latency, stalled

Figures = dict[str, Any]

MEASURES: dict[str, tuple[Callable[[], Coroutine[Any, Any, Figures]], Callable[[Figures], bool]]] = {
    "fan_out": (fan_out.measure, lambda found: all(case["ratio"] >= 0.7 for case in found.values())),
    "stalled": (stalled.measure, lambda found: found["p99_ratio"] <= 1.1 and found["stalled_sockets_closed_within_s"] < 15),
    "latency": (latency.measure, lambda found: found["browser_p50_ms"] < 50 and found["browser_p99_ms"] < 250),
}


async def main(names: list[str]) -> int:
    reached = True
    for name in names or MEASURES:
        measure, goal = MEASURES[name]
        figures = await measure()
        reached &= goal(figures)
        sys.stdout.write(json.dumps({"bench": f"gateway.{name}", "goal": goal(figures), **figures}) + "\n")
        sys.stdout.flush()
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
