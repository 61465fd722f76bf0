"""The gateway's figures, each beside its ceiling of the same run: one line of JSON each, and whether it is reached.

`python -m tests.bench.gateway.run [fan_out] [stalled] [latency] [flood]`: all four without a name.
"""

import sys

import uvloop

from tests.bench.gateway import fan_out, flood, latency, stalled
from tests.bench.part import Measure, run

MEASURES: dict[str, Measure] = {
    "fan_out": (fan_out.measure, lambda found: all(case["ratio"] >= 0.7 for case in found.values())),
    "stalled": (stalled.measure, lambda found: found["p99_ratio"] <= 1.1 and found["stalled_sockets_closed_within_s"] < 15),
    "latency": (latency.measure, lambda found: found["browser_p50_ms"] < 50 and found["browser_p99_ms"] < 250),
    "flood": (flood.measure, lambda found: found["p99_ratio"] <= 3 and found["refused"] == 0),
}


if __name__ == "__main__":
    sys.exit(uvloop.run(run("gateway", MEASURES, sys.argv[1:])))
