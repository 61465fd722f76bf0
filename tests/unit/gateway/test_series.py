"""The figures of a run over time: few points, the ends kept, never backwards."""

from itertools import pairwise

import msgspec
import pytest

from services.gateway.known_runs import KnownRun
from services.gateway.series import MOST_POINTS, Point, Series
from shared.messages import Finished, ProviderCounts, RunSpec, RunState, Snapshot

STATE = RunState(run="r", spec=RunSpec(topic="Paris", providers=("random",)), status="running")


def at(seconds: float, **changes: object) -> RunState:
    return msgspec.structs.replace(STATE, seconds=seconds, **changes)


def test_points_hold_the_figures_and_what_is_unknown() -> None:
    series = Series()
    counts = {"random": ProviderCounts(candidates=9), "local": ProviderCounts(candidates=3)}
    series.add(at(0))
    series.add(at(2.5, accepted=7, usd=0.25, coverage=0.5, providers=counts))
    series.add(at(5, accepted=8, usd=None))
    assert series.points() == [Point(0, 0, 0, 0, None), Point(2.5, 7, 12, 0.25, 0.5), Point(5, 8, 8, None, None)]


@pytest.mark.parametrize("snapshots", [1, 150, 201, 1_000, 20_000])
def test_however_long_a_run_lasts_its_points_are_bounded_and_evenly_spread(snapshots: int) -> None:
    series = Series()
    for number in range(snapshots + 1):
        series.add(at(number / 2, accepted=number))
    points = series.points()
    assert len(points) <= MOST_POINTS
    assert (points[0].seconds, points[-1].seconds) == (0, snapshots / 2)
    gaps = [after.seconds - before.seconds for before, after in pairwise(points)]
    assert min(gaps[:-1], default=1) > 0
    assert max(gaps) <= max(0.5, 4 * snapshots / 2 / MOST_POINTS)
    assert all(point.accepted == 2 * point.seconds for point in points)


def test_what_was_overtaken_is_left_out() -> None:
    series = Series()
    for seconds in (1, 5, 3, 5):
        series.add(at(seconds, accepted=len(series)))
    assert series.points() == [Point(1, 0, 0, 0, None), Point(5, 2, 2, 0, None)]


def test_a_run_keeps_what_it_is_told_to_its_end() -> None:
    known = KnownRun(at(0))
    known.learn_snapshot(Snapshot(state=at(10, accepted=3, usd=0.5)))
    end = Finished(run="r", status="finished", reason="", accepted=4, duplicates=0, seconds=12, usd=0.75, coverage=0.9)
    known.finish(end)
    known.learn_snapshot(Snapshot(state=at(11, accepted=4)))
    assert known.series.points()[1:] == [Point(10, 3, 3, 0.5, None), Point(12, 4, 4, 0.75, 0.9)]
    assert known.state.coverage == 0.9
