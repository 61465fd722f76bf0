"""A service's numbers as Prometheus reads them."""

import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from shared import metrics


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of this test alone: those of a process are told all together."""
    monkeypatch.setattr(metrics, "_known", [])


def told(text: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of the labels' names."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def rendered() -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(metrics.Collected())
    return told(generate_latest(registry).decode())


def test_a_counter_rises_for_each_value_of_its_labels() -> None:
    calls = metrics.Counter("calls", "Calls", "provider", "outcome")
    calls.add("openai", "ok")
    calls.add("openai", "ok", by=2)
    calls.add('a "quoted"\nname', "failed")

    assert rendered() == {("calls_total", "ok", "openai"): 3, ("calls_total", "failed", 'a "quoted"\nname'): 1}
    assert calls.total == 4


def test_a_counter_without_labels_is_there_before_it_rises() -> None:
    """Else an alarm on its rise would miss the first time."""
    metrics.Counter("losses", "Losses")

    assert rendered() == {("losses_total",): 0}


def test_a_gauge_is_read_when_it_is_asked_for_and_not_before_there_is_something() -> None:
    queue: list[int] = []
    gauge = metrics.Gauge("waiting", "Waiting")
    assert rendered() == {}

    gauge.read = lambda: len(queue)
    queue.append(1)

    assert rendered() == {("waiting",): 1}


def test_a_histogram_counts_up_to_each_bound() -> None:
    took = metrics.Histogram("took", "Took")
    for seconds in (0.001, 0.002, 0.3, 60):
        took.add(seconds)

    found = rendered()
    assert found["took_count",] == 4
    assert found["took_sum",] == pytest.approx(60.303)
    assert [found["took_bucket", bound] for bound in ("0.001", "0.0025", "0.25", "0.5", "5.0", "+Inf")] == [1, 2, 2, 3, 3, 4]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_they_are_served_until_the_end() -> None:
    metrics.Counter("losses", "Losses").add()
    port = free_port()
    close = metrics.serve("127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            found = told(answer.read().decode())
    finally:
        close()

    assert found["losses_total",] == 1
    assert found["process_resident_memory_bytes",] > 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_port_that_is_taken_is_told_and_no_more() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with capture_logs() as lines:
            metrics.serve("127.0.0.1", holder.getsockname()[1])()

    assert [line["event"] for line in lines] == ["metrics.not_served"]
