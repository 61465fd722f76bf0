"""The bundled local model with steering on and off, side by side: `python -m tests.bench.zipf.local [--minutes 3] [--seeds 2]`.

Each run is the command line as a user types it. Needs a quiet machine: the model takes all cores, and its speed is the yield.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from statistics import mean
from typing import Any

TOPICS = ("Paris attractions", "Renewable energy")


def main() -> None:
    """Print a line a run, then a table of the means."""
    wanted = _arguments()
    found: dict[str, list[int]] = {}
    for seed in range(wanted.seeds):
        for topic in TOPICS:
            for strategy in ("none", "all"):
                summary = run(topic, strategy, seed, wanted.minutes * 60)
                found.setdefault(strategy, []).append(summary["accepted"])
                row: dict[str, Any] = {"bench": "zipf.local", "topic": topic, "strategy": strategy, "seed": seed}
                row |= {name: summary[name] for name in ("accepted", "duplicates", "calls", "seconds", "coverage", "reason")}
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()
    sys.stdout.write(f"{wanted.minutes:g} minutes, mean of {len(found['all'])} runs: unique attributes\n")
    for strategy, numbers in found.items():
        sys.stdout.write(f"  steering {strategy:<5} {mean(numbers):6.0f}\n")


def run(topic: str, strategy: str, seed: int, seconds: float) -> dict[str, Any]:
    """One list; returns the summary that the command line prints at its end."""
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY") and name != "NATS_URL"}
    with tempfile.TemporaryDirectory() as folder:
        wish = ["--topic", topic, "--provider", "local", "--producers", "1", "--strategy", strategy, "--seed", str(seed)]
        limits = ["--max-seconds", f"{seconds:g}", "--output", folder, "--json"]
        command = [sys.executable, "-m", "services.orchestrator", *wish, *limits]
        done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True, timeout=seconds + 120)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
