"""The orchestrator's figures, each beside its ceiling of the same run: one line of JSON each, and whether it is reached.

`python -m tests.bench.orchestrator.run [durable_exact] …`: all without a name.
"""

import sys

import uvloop

from tests.bench.orchestrator import end_to_end, growth, rate
from tests.bench.part import Measure, run

MEASURES: dict[str, Measure] = {
    "durable_exact": (lambda: rate.measure("exact", "always"), lambda found: found["ratio"] >= 0.8),
    "durable_semantic": (lambda: rate.measure("semantic", "always"), lambda found: found["ratio"] >= 0.5),
    "quick_exact": (lambda: rate.measure("exact", "2m"), lambda found: found["ratio"] >= 0.8),
    "quick_semantic": (lambda: rate.measure("semantic", "2m"), lambda found: found["ratio"] >= 0.5),
    "end_to_end": (end_to_end.measure, lambda found: found["accepted_per_second"] > 0),
    "end_to_end_paced": (lambda: end_to_end.measure(paced=True), lambda found: found["to_client_p99_ms"] < 250),
    "growth": (growth.measure, growth.in_line),
}


if __name__ == "__main__":
    sys.exit(uvloop.run(run("orchestrator", MEASURES, sys.argv[1:])))
