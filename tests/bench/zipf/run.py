"""The five figures of steering, offline: `python -m tests.bench.zipf.run [--quick] [--law NAME=VALUE …]`.

Prints each with its baselines and whether its goal is reached; writes a CSV and a chart of all strategies to `build/`.
"""

import argparse
import csv
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import msgspec

from tests.bench.zipf.chart import curves
from tests.bench.zipf.figures import EXPONENTS, LONG, SEEDS, Bench
from tests.bench.zipf.world import Law

FOLDER = Path("build")

QUICK_SEEDS = 3


def main() -> int:
    """Print the figures; returns 0 if all are reached."""
    wanted = _arguments()
    law = msgspec.convert(dict(wanted.law), Law, strict=False)
    began = time.monotonic()
    laws = [replace(law, exponent=exponent) for exponent in EXPONENTS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        bench = Bench(laws, partial(pool.map, chunksize=3), QUICK_SEEDS if wanted.quick else SEEDS)
        figures = []
        for make in bench.all():
            figure = make()
            figures.append(figure)
            sys.stdout.write(f"\n{'reached' if figure.reached else 'MISSED '}  {figure.name}\n")
            sys.stdout.writelines(f"         {line}\n" for line in figure.lines)
            found = {"bench": f"zipf.{make.__name__}", "goal": figure.reached, "lines": figure.lines, **figure.values}
            if not sys.stdout.isatty():  # then a program reads it
                sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
    _write(bench)
    sys.stdout.write(f"\n{time.monotonic() - began:.0f} s; {FOLDER}/yield.csv and {FOLDER}/yield.svg hold all strategies\n")
    return 0 if all(figure.reached for figure in figures) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SEEDS} seeds instead of {SEEDS}")
    parser.add_argument("--law", nargs="*", default=[], type=lambda text: text.split("=", 1), help="such as concepts=3000")
    return parser.parse_args()


def _write(bench: Bench) -> None:
    FOLDER.mkdir(exist_ok=True)
    means = {name: [mean(p.at(n) for p in runs) for n in range(1, LONG + 1)] for name, runs in bench.curves.items()}
    with (FOLDER / "yield.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["calls", *means])
        rows.writerows([n + 1, *(round(values[n], 1) for values in means.values())] for n in range(LONG))
    (FOLDER / "yield.svg").write_text(curves("Unique attributes", "calls", means))


if __name__ == "__main__":
    sys.exit(main())
