"""The five figures of the list: each with its baselines, its goal, and whether it is reached."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from statistics import mean
from typing import Any, Protocol

import numpy as np

from services.orchestrator.budget import Budget, Cost, Limits
from tests.bench.zipf import play
from tests.bench.zipf.play import Played
from tests.bench.zipf.strategies import ALL, EVERYTHING, STRATEGIES, TAIL_ALONE, Strategy
from tests.bench.zipf.world import Law, World

CALLS = 120
LONG = 240
SEEDS = 12
EXPONENTS = (0.8, 1.0, 1.2)
BUDGETS = (29, 48)
"""In calls at the models' mean price: with prices of 4:3:1:0.3, 60 and 100."""
STOP_BELOW = 0.1
FLATTENED = 0.5
"""What asking for the tail may do to a model. The figures themselves are played with none: they must not lean on it."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run to play: a strategy in a world, up to its limits."""

    strategy: Strategy
    law: Law
    seed: int
    limits: play.Limits


@dataclass(slots=True)
class Figure:
    """What was measured, in lines for a person."""

    name: str
    reached: bool
    lines: list[str]
    values: dict[str, float] = field(default_factory=dict)


def played(job: Job) -> Played:
    """Play one run."""
    return play.play(
        World(job.law, job.seed), job.strategy.wish, job.limits, job.seed, job.strategy.make, knowing=job.strategy.knowing
    )


class Plays(Protocol):
    """Plays jobs and gives what they found in their order, as `map` does, here or in other processes."""

    def __call__(self, function: Callable[[Job], Played], jobs: Iterable[Job], /) -> Iterable[Played]: ...


class Bench:
    """Plays what the figures need, each strategy once for each law and seed. The laws are to have the same prices."""

    def __init__(
        self, laws: Sequence[Law], plays: Plays, seeds: int = SEEDS, strategies: Mapping[str, Strategy] = STRATEGIES
    ) -> None:
        self._plays = plays
        self._laws = laws
        self._seeds = range(seeds)
        self._strategies = strategies
        self.curves: dict[str, list[Played]] = {}

    def runs(self, strategy: Strategy, calls: int = 10_000, usd: float = float("inf"), **changes: Any) -> list[Played]:
        """The runs of a strategy over all laws, changed so, and seeds."""
        limits = play.Limits(calls, usd)
        laws = [replace(law, **changes) for law in self._laws]
        jobs = [Job(strategy, law, seed, limits) for law, seed in product(laws, self._seeds)]
        return list(self._plays(played, jobs))

    def findable(self) -> float:
        """How many attributes the models know, the mean of all worlds: what no run goes beyond."""
        return mean(World(law, seed).findable() for law, seed in product(self._laws, self._seeds))

    # ---- 1 ---------------------------------------------------------------------------------------------------------

    def feedback(self) -> Figure:
        """Feedback that works."""
        self.curves = {name: self.runs(strategy, LONG) for name, strategy in self._strategies.items()}
        found = {name: mean(p.at(CALLS) for p in runs) for name, runs in self.curves.items()}
        base = found["no feedback"]
        lines = [f"{name:<32}{n:6.0f}{n / base:7.2f} x" for name, n in found.items()]
        recent, proposed = found["avoid the most recent"], found["avoid the most often proposed"]
        lines.append(self._tail())
        longest = max(p.avoid_tokens for runs in self.curves.values() for p in runs)
        lines.append(f"longest avoid list: {longest} tokens at most")
        reached = found["all"] >= 1.45 * base and recent < 0.95 * proposed and longest <= 600
        values = {**found, "gain": found["all"] / base, "gain at best": self.findable() / base, "recent": recent / proposed}
        return Figure(f"1 unique attributes in {CALLS} calls, all at least 1.45 x no feedback", reached, lines, values)

    def _tail(self) -> str:
        """What asking for the tail brings where models listen, in words; after all strategies."""
        alone, beside = (
            mean(p.at(CALLS) for p in self.runs(strategy, CALLS, flattened=FLATTENED)) for strategy in (TAIL_ALONE, EVERYTHING)
        )
        alone /= mean(p.at(CALLS) for p in self.curves["no feedback"])
        beside /= mean(p.at(CALLS) for p in self.runs(EVERYTHING.but("tail"), CALLS))
        power = f"{1 - FLATTENED:g}"
        return (
            f"asking for the tail, if that raises weights to the power {power}: {alone:.2f} x alone, {beside:.3f} x beside all"
        )

    # ---- 2 ---------------------------------------------------------------------------------------------------------

    def coverage(self) -> Figure:
        """Honest coverage; after `feedback`."""
        runs = self.curves["all"]
        lines, reached = [], True
        values: dict[str, float] = {}
        for calls in (CALLS, 180, LONG):
            errors = np.array([(p.told_coverage[calls - 1] or 0.0) - p.true_coverage[calls - 1] for p in runs])
            error, over = float(np.abs(errors).mean()), float((errors > 0.02).mean())
            values |= {f"error at {calls}": error, f"too much at {calls}": over}
            reached &= error <= 0.05 and over <= 0.05
            lines.append(f"at {calls} calls: mean error {error:.3f}, told more than 0.02 too much in {over:.0%} of runs")
        without = mean(p.at(CALLS) for p in self.runs(EVERYTHING.but("probes"), CALLS))
        lost = values["lost"] = 1 - mean(p.at(CALLS) for p in runs) / without
        lines.append(f"yield lost to probes: {lost:.1%}")
        reached &= lost <= 0.03
        return Figure("2 coverage told against true: error at most 0.05, lost at most 3 %", reached, lines, values)

    # ---- 3 ---------------------------------------------------------------------------------------------------------

    def stop(self) -> Figure:
        """A stop that explains itself; after `feedback`."""
        free = self.curves["no feedback"]
        runs = self.runs(EVERYTHING.but(stop_below=STOP_BELOW, parts=ALL), calls=1000)
        unique, usd = mean(p.unique[-1] for p in runs), mean(p.usd[-1] for p in runs)
        early = mean(p.available > 0.2 for p in runs)
        lines = []
        for calls in (CALLS, LONG):
            base, cost = mean(p.at(calls) for p in free), mean(p.usd[calls - 1] for p in free)
            more, dearer = unique / base, usd / cost
            lines.append(f"{more:.2f} x the attributes of {calls} uncontrolled calls at {dearer:.0%} of their cost")
        half = mean(p.at_usd(free[0].usd[CALLS - 1] / 2) for p in runs)
        lines.append(f"{half / mean(p.at(CALLS) for p in free):.2f} x those of {CALLS} uncontrolled calls at half their cost")
        lines.append(f"{early:.0%} of runs stopped while more than 20 % of what came next would have been new")
        left = mean(p.left > 0.2 for p in runs)
        lines.append(f"{left:.0%} of runs stopped where ten calls of one who knows the world would have found more than that")
        lines.append(f"a reason: {runs[0].stopped}")
        reached = more >= 1.25 and dearer <= 0.5 and early <= 0.05  # against the longer of the two
        values = {
            "more": more,
            "more at best": more if mean(p.available for p in runs) < STOP_BELOW else self.findable() / base,
            "more at half": mean(p.at_usd(cost / 2) for p in runs) / base,
            "cost": dearer,
            "cost at best": mean(p.usd_while(STOP_BELOW) for p in runs) / cost,
            "early": early,
            "left": left,
        }
        return Figure("3 stop below 10 % new: at least 1.25 x at no more than half the cost", reached, lines, values)

    # ---- 4 ---------------------------------------------------------------------------------------------------------

    def allocation(self) -> Figure:
        """Allocation."""
        lines, reached = [], True
        values: dict[str, float] = {}
        price = mean(self._laws[0].prices)
        cases = {"all parts": EVERYTHING, "nothing else": STRATEGIES["no feedback"]}
        for label, rest in cases.items():
            turns = self.runs(rest.but("allocation"), usd=BUDGETS[-1] * price)
            steered = self.runs(rest.but(parts=rest.wish.parts | {"allocation"}, objective="dollars"), usd=BUDGETS[-1] * price)
            knowing = self.runs(replace(rest, knowing=True), usd=BUDGETS[-1] * price)
            for calls in BUDGETS:
                budget = calls * price
                ratio, best = (
                    mean(p.at_usd(budget) for p in runs) / mean(p.at_usd(budget) for p in turns) for runs in (steered, knowing)
                )
                values |= {f"{label} at {calls}": ratio, f"{label} at {calls} at best": best}
                reached &= ratio >= 1.25
                lines.append(f"budget {budget:3.0f}, {label}: {ratio:.2f} x the models in turn; knowing the world {best:.2f} x")
        equal = (1.0,) * len(self._laws[0].prices)
        same = self.runs(EVERYTHING, CALLS, prices=equal)
        turns = self.runs(EVERYTHING.but("allocation"), CALLS, prices=equal)
        ratio = values["equal"] = mean(p.at(CALLS) for p in same) / mean(p.at(CALLS) for p in turns)
        lines.append(f"equal prices: {ratio:.3f} x the models in turn")
        reached &= ratio >= 0.97
        return Figure("4 allocation: at least 1.25 x in turn per dollar, 0.97 x with equal prices", reached, lines, values)

    # ---- 5 ---------------------------------------------------------------------------------------------------------

    def budget(self) -> Figure:
        """A budget that holds: 1,000 calls at once, whose real cost is only known afterwards."""
        most = max(overshoot(seed, self._laws[0].prices) for seed in range(20))
        lines = [f"1,000 calls at once x 20 seeds: overshoot {most} picodollars"]
        return Figure("5 a budget that holds: overshoot exactly 0", most == 0, lines)

    def all(self) -> Iterable[Callable[[], Figure]]:
        """The figures in their order."""
        return (self.feedback, self.coverage, self.stop, self.allocation, self.budget)


def overshoot(seed: int, prices: Sequence[float]) -> int:
    """Picodollars by which a budget is passed when calls of random cost begin and end in random order."""
    rng = np.random.default_rng(seed)
    limit = int(rng.integers(10**9, 10**11))
    budget = Budget(Limits(usd=limit))
    worst = [int(w * price) + 1 for w, price in zip(rng.integers(1, 10**9, 1000), rng.choice(prices, 1000), strict=True)]
    under_way = [n for n in range(1000) if budget.reserve(f"t{n}", Cost(worst[n], 1))]
    rng.shuffle(under_way)
    most = 0
    for n in under_way:
        most = max(most, budget.spent.usd + budget.reserved.usd - limit)
        if rng.random() < 0.1:
            budget.release(f"t{n}")
        else:
            budget.commit(f"t{n}", Cost(int(worst[n] * rng.random()), 1))
    return max(0, most, budget.spent.usd - limit)
