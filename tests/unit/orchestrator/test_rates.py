"""Attributes a minute: over a true minute, and over the age of what is younger."""

from services.orchestrator.rates import Rate


def test_an_even_stream_has_its_rate() -> None:
    rate = Rate()
    found = [rate.sample(second, 2 * second) for second in range(121)]
    assert found[60] == found[120] == 120.0


def test_a_young_list_is_scaled_to_a_minute_and_not_absurd_in_its_first_second() -> None:
    rate = Rate()
    rate.sample(0.0, 0)
    assert rate.sample(0.1, 50) == 3000.0  # as if a second had passed
    assert rate.sample(30.0, 50) == 100.0


def test_what_is_older_than_a_minute_does_not_count() -> None:
    rate = Rate()
    for second in range(200):
        last = rate.sample(second, min(second, 60) * 10)  # it grew for a minute and then stood still
    assert last == 0.0
