"""Coverage is what probes tell, on the safe side."""

import pytest

from services.orchestrator.steering.coverage import Coverage, interval


def test_nothing_is_told_without_a_probe() -> None:
    coverage = Coverage()
    coverage.accepted(0, "t1", probe=False)
    coverage.repeated(0, "t2", probe=False)
    assert coverage.estimate() is None


def test_a_probes_item_counts_once_another_call_brings_it() -> None:
    """Before the probe or after it; what the probe alone has is not covered."""
    coverage = Coverage()
    coverage.accepted(0, "t1", probe=False)
    coverage.repeated(0, "probe", probe=True)
    coverage.accepted(1, "probe", probe=True)
    coverage.accepted(2, "probe", probe=True)
    coverage.repeated(1, "t2", probe=False)
    assert (coverage.drawn, coverage.found) == (3, 2)
    assert coverage.alone == {2: "probe"}


def test_an_attribute_that_a_probe_writes_in_two_ways_counts_once() -> None:
    coverage = Coverage()
    coverage.accepted(0, "probe", probe=True)
    coverage.repeated(0, "probe", probe=True)
    coverage.accepted(1, "t1", probe=False)
    coverage.repeated(1, "probe", probe=True)
    coverage.repeated(1, "probe", probe=True)
    assert (coverage.drawn, coverage.found) == (2, 1)
    assert coverage.alone == {0: "probe"}


def test_two_probes_confirm_each_other() -> None:
    coverage = Coverage()
    coverage.accepted(0, "probe-1", probe=True)
    coverage.repeated(0, "probe-2", probe=True)
    assert (coverage.drawn, coverage.found) == (2, 2)


def test_the_share_that_is_told_lies_within_its_interval_and_below_the_measured_one() -> None:
    coverage = Coverage()
    for index in range(20):
        coverage.accepted(index, "t1", probe=False)
        coverage.repeated(index, "probe", probe=True)
    estimate = coverage.estimate()
    assert estimate is not None
    assert estimate.low < estimate.share < 1.0 == pytest.approx(estimate.high)


@pytest.mark.parametrize(("hits", "trials", "low", "high"), [(0, 0, 0, 1), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)])
def test_the_interval_is_wilsons(hits: int, trials: int, low: float, high: float) -> None:
    assert interval(hits, trials) == pytest.approx((low, high), abs=1e-3)
