"""The five figures in many worlds: `python -m tests.bench.zipf.grid [--seeds 5] [--only NAME …] [--csv FILE]`.

What holds in one world alone is tuned to it. Here the vocabulary, the law of popularity, obedience, repeats within an answer,
what the models share and what they cost differ, one at a time and then all at once as drawn from a fixed seed.

`!` marks a goal that is missed, `=` one that is missed where it is out of reach, to within 3 %:

* More attributes than the models know cannot be found. 300 concepts are nearly all found in 120 calls without steering.
* No allocation does better than one that knows what each next call is about to bring (`knowing` in `play.py`), which is greedy
  and so near the best (Nemhauser, Wolsey and Fisher, https://doi.org/10.1007/BF01588971). Where all is nearly found within the
  budget, or two models cost much the same for what they know, that one is no better than the models in turn either.
* A run that is to end below 10 % new goes on while more is new, whatever that costs: in large worlds far beyond 240 calls.
  `half` tells what it had found when half the cost was spent. In small ones it ends sooner than 240 calls without steering do,
  with less, since what is left is below 10 %.
"""

import argparse
import csv
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from statistics import mean

import numpy as np

from tests.bench.zipf.figures import BUDGETS, CALLS, LONG, Bench, overshoot
from tests.bench.zipf.strategies import STRATEGIES
from tests.bench.zipf.world import Law

SEEDS = 5

COMPARED = ("no feedback", "avoid the most recent", "avoid the most often proposed", "all")

ONE_AT_A_TIME = {
    "as in bench-yield": Law(),
    "300 concepts": Law(concepts=300),
    "500 concepts": Law(concepts=500),
    "3,000 concepts": Law(concepts=3000),
    "10,000 concepts": Law(concepts=10_000),
    "Zipf 0.7": Law(exponent=0.7),
    "Zipf 1.3": Law(exponent=1.3),
    "log-normal": Law(popularity="lognormal"),
    "mixture of geometric": Law(popularity="mixture"),
    "obedience 0.3": Law(obedience=0.3),
    "obedience 0.6": Law(obedience=0.6),
    "obedience 1": Law(obedience=1.0),
    "3,000 and obedience 0.6": Law(concepts=3000, obedience=0.6),
    "repeats 10 %": Law(repeated=0.1),
    "repeats 30 %": Law(repeated=0.3),
    "2 models": Law(prices=(2.0, 1.0)),
    "3 models, half exclusive": Law(prices=(4.0, 1.0, 0.5), exclusive=0.5),
    "nothing in common": Law(exclusive=1.0),
    "all the same": Law(noise=0.2, knowledge=(0.9, 0.95)),
    "dear knows more": Law(knowledge=(0.2, 0.95)),
    "tail prompts work": Law(flattened=0.3),
}

DRAWN = 9
"""Worlds in which everything differs at once."""


WITHIN = 0.03
"""How close to the best that is possible counts as that."""


@dataclass(frozen=True, slots=True)
class Column:
    """One number of the table, and its goal."""

    head: str
    figure: int
    value: str
    goal: float
    most: bool = False
    """Whether the goal is the most that the value may be; else it is the least."""
    shown: str = ".2f"

    def reached(self, value: float) -> bool:
        """Whether a value is as good as the goal."""
        return value <= self.goal if self.most else value >= self.goal

    def out_of_reach(self, value: float, best: float) -> bool:
        """Whether the goal is missed, and a value as good as is possible."""
        return not self.reached(value) and (value <= best * (1 + WITHIN) if self.most else value >= best * (1 - WITHIN))

    def __str__(self) -> str:
        return ("<=" if self.most else ">=") + format(self.goal, self.shown)


COLUMNS = (
    Column("gain", 1, "gain", 1.45),
    Column("recent", 1, "recent", 0.95, most=True),
    Column("err120", 2, f"error at {CALLS}", 0.05, True, ".3f"),
    Column("err240", 2, f"error at {LONG}", 0.05, True, ".3f"),
    Column("over", 2, "too much", 0.05, True, ".0%"),
    Column("lost", 2, "lost", 0.03, True, ".1%"),
    Column("half", 3, "more at half", 1.25),
    Column("stop", 3, "more", 1.25),
    Column("cost", 3, "cost", 0.5, True, ".0%"),
    Column("early", 3, "early", 0.05, True, ".0%"),
    Column("all@29", 4, f"all parts at {BUDGETS[0]}", 1.25),
    Column("all@48", 4, f"all parts at {BUDGETS[1]}", 1.25),
    Column("bare@29", 4, f"nothing else at {BUDGETS[0]}", 1.25),
    Column("bare@48", 4, f"nothing else at {BUDGETS[1]}", 1.25),
    Column("equal", 4, "equal", 0.97),
    Column("excess", 5, "overshoot", 0, True, ".0f"),
)


def worlds() -> dict[str, Law]:
    """All worlds by name."""
    rng = np.random.default_rng(8)
    drawn = {}
    for number in range(DRAWN):
        models = int(rng.integers(2, 5))
        law = Law(
            concepts=int(300 * (10_000 / 300) ** rng.random()),
            popularity=("zipf", "lognormal", "mixture")[number % 3],
            exponent=round(rng.uniform(0.7, 1.3), 2),
            facets=int(rng.integers(6, 13)),
            obedience=round(rng.uniform(0.3, 1.0), 2),
            repeated=round(rng.uniform(0.0, 0.3), 2),
            exclusive=round(rng.uniform(0.0, 0.8), 2),
            noise=round(rng.uniform(0.3, 1.5), 2),
            prices=tuple(round(float(10.0**power), 2) for power in sorted(rng.uniform(-1, 1, models), reverse=True)),
        )
        drawn[f"drawn {number + 1}: {law.popularity}, {law.concepts}, {law.obedience:g}, {models}"] = law
    return ONE_AT_A_TIME | drawn


def figures(law: Law, seeds: int) -> list[tuple[float, float]]:
    """The values of all columns in one world, each beside the best that is possible, as far as that is known."""
    bench = Bench([law], map, seeds, {name: STRATEGIES[name] for name in COMPARED})
    found = [make().values for make in (bench.feedback, bench.coverage, bench.stop, bench.allocation)]
    found[1]["too much"] = max(value for name, value in found[1].items() if name.startswith("too much"))
    found[2]["more at half at best"] = found[2]["more at best"]
    found.append({"overshoot": max(overshoot(seed, law.prices) for seed in range(seeds))})
    return [(found[c.figure - 1][c.value], found[c.figure - 1].get(f"{c.value} at best", nan)) for c in COLUMNS]


def main() -> None:
    """Print the table, a world a line as soon as it is played."""
    wanted = _arguments()
    chosen = {name: law for name, law in worlds().items() if not wanted.only or any(o in name for o in wanted.only)}
    wide = max(map(len, [*chosen, "missed though within reach"]))
    _print(wide, "world", [c.head for c in COLUMNS])
    _print(wide, "goal", [str(c) for c in COLUMNS])
    began = time.monotonic()
    rows: dict[str, list[tuple[float, float]]] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, values in zip(chosen, pool.map(figures, chosen.values(), [wanted.seeds] * len(chosen)), strict=True):
            rows[name] = values
            _print(wide, name, [format(v, c.shown) + _mark(c, v, best) for c, (v, best) in zip(COLUMNS, values, strict=True)])
    columns = list(zip(*rows.values(), strict=True))
    _print(wide, "mean", [format(mean(v for v, _ in vs), c.shown) + " " for c, vs in zip(COLUMNS, columns, strict=True)])
    marks = ["".join(_mark(c, *value) for value in values) for c, values in zip(COLUMNS, columns, strict=True)]
    _print(wide, "reached", [f"{m.count(' ')} " for m in marks])
    _print(wide, "missed though within reach", [f"{m.count('!')} " for m in marks])
    took = time.monotonic() - began
    every = "".join(marks)
    sys.stdout.write(
        f"{took:.0f} s; of {len(every)} goals {every.count(' ')} reached, {every.count('!')} missed within reach\n"
    )
    if wanted.csv:
        _write(wanted.csv, chosen, rows)


def _mark(column: Column, value: float, best: float) -> str:
    if column.reached(value):
        return " "
    return "=" if column.out_of_reach(value, best) else "!"


def _print(wide: int, name: str, cells: list[str]) -> None:
    sys.stdout.write(f"{name:<{wide}}" + "".join(f"{cell:>8}" for cell in cells) + "\n")
    sys.stdout.flush()


def _write(path: Path, laws: dict[str, Law], rows: dict[str, list[tuple[float, float]]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["world", *asdict(Law()), *(f"{c.head} {c}" for c in COLUMNS)])
        table.writerows([name, *asdict(laws[name]).values(), *(v for v, _ in values)] for name, values in rows.items())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="*", default=[], help="worlds whose name has one of these words")
    parser.add_argument("--csv", type=Path, help="where to write every number, with the world's law")
    return parser.parse_args()


if __name__ == "__main__":
    main()
