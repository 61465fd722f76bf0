"""A bucket gives its burst, then its rate, and forgets addresses rather than grow."""

from services.gateway.rates import MAX_ADDRESSES, Buckets, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    buckets = Buckets(Rate(burst=3, per_second=0.5), clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]
    assert buckets.take("b") == 0
    clock.now += 2
    assert [buckets.take("a") for _ in range(2)] == [0, 2]
    clock.now += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]


def test_addresses_are_bounded() -> None:
    buckets = Buckets(Rate(burst=1, per_second=0.001), Clock())
    for number in range(MAX_ADDRESSES + 1):
        buckets.take(str(number))
    assert buckets.take(str(MAX_ADDRESSES))
    assert buckets.take("0") == 0
