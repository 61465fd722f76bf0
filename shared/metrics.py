"""What a service counts, for Prometheus.

The numbers are plain ones, and prometheus-client, which renders and serves them, is imported only where METRICS_PORT is set: a
service that nobody scrapes starts without it. Labels have few values, all of ours: nothing from outside can make new ones.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger()


class Counter:
    """Something that only rises, for each value of its labels; Prometheus knows it by its name and `_total`."""

    def __init__(self, name: str, words: str, *labels: str) -> None:
        self.name = name
        self.words = words
        self._labels = labels
        self._counts: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}
        _known.append(self)

    def add(self, *values: str, by: float = 1) -> None:
        """Count one more, or `by`; `values` are those of the labels, in their order."""
        self._counts[values] = self._counts.get(values, 0.0) + by

    def of(self, *values: str) -> float:
        """What was counted so far."""
        return self._counts.get(values, 0.0)

    @property
    def total(self) -> float:
        """Over all values of the labels."""
        return sum(self._counts.copy().values())

    def metric(self) -> "Metric":
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(self.name, self.words, labels=self._labels)
        for values, count in self._counts.copy().items():
            family.add_metric(values, count)
        return family


class Gauge:
    """Something that is read off at the moment it is asked for: `read`, once there is something to read."""

    def __init__(self, name: str, words: str) -> None:
        self.name = name
        self.words = words
        self.read: Callable[[], float] | None = None
        _known.append(self)

    def metric(self) -> "Metric":
        from prometheus_client.core import GaugeMetricFamily

        return GaugeMetricFamily(self.name, self.words, value=None if self.read is None else self.read())


class Histogram:
    """How long something took, in seconds."""

    BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

    def __init__(self, name: str, words: str) -> None:
        self.name = name
        self.words = words
        self._counts = [0] * (len(self.BOUNDS) + 1)
        self._sum = 0.0
        _known.append(self)

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self.BOUNDS, seconds)] += 1
        self._sum += seconds

    def metric(self) -> "Metric":
        from prometheus_client.core import HistogramMetricFamily

        counted = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self.BOUNDS), "+Inf"), self._counts, strict=True):
            counted += count
            buckets.append((bound, counted))
        return HistogramMetricFamily(self.name, self.words, buckets=buckets, sum_value=self._sum)


_known: list[Counter | Gauge | Histogram] = []

RECONNECTS = Counter("chorus_bus_reconnects", "Times the bus was lost and found")
MALFORMED = Counter("chorus_messages_malformed", "Messages dropped since their type refuses them", "message")


def bus_stats() -> dict[str, float]:
    """What `$SRV.STATS` tells besides the requests answered."""
    return {"bus_reconnects": RECONNECTS.total, "messages_malformed": MALFORMED.total}


class Collected:
    """All of this process's numbers, as a collector of prometheus-client."""

    def collect(self) -> "Iterator[Metric]":
        for one in _known:
            yield one.metric()


def serve(host: str, port: int) -> Callable[[], None]:
    """Serve the numbers from a thread; returns what ends it. With port 0, or one that is taken (said once), there is none."""
    if not port:
        return lambda: None
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

    registry = CollectorRegistry()
    registry.register(Collected())
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        hint = "set METRICS_PORT to a free one; going on without metrics"
        log.warning("metrics.not_served", host=host, port=port, error=error.strerror or str(error), hint=hint)
        return lambda: None

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    log.info("metrics.served", url=f"http://{host}:{port}/metrics")
    return close
