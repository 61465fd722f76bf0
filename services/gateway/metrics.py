"""`GET /metrics`: what the gateway counts, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.view import View
from shared.metrics import Collected

PLAIN_TEXT = "text/plain; version=0.0.4; charset=utf-8"

METHODS = ("GET", "HEAD", "POST", "DELETE")


class Metrics:
    """Counters of one gateway. Labels have few values, all of ours: a client cannot make new ones."""

    def __init__(self, view: View) -> None:
        self.registry = CollectorRegistry()
        self._view = view
        self._requests = Counter("chorus_gateway_requests", "Requests answered", ["method", "status"], registry=self.registry)
        self.sent = Counter("chorus_gateway_events_sent", "Events of the log sent to clients", registry=self.registry)
        self.resets = Counter("chorus_gateway_resets", "Clients whose place meant nothing", registry=self.registry)
        self.dropped = Counter("chorus_gateway_clients_dropped", "Clients that took nothing", registry=self.registry)
        self.refused = Counter("chorus_gateway_clients_refused", "Clients beyond a cap", registry=self.registry)
        self.registry.register(self)
        self.registry.register(Collected())

    def answered(self, method: str, status: int) -> None:
        self._requests.labels(method if method in METHODS else "other", str(status)).inc()

    def collect(self) -> Iterator[Metric]:
        """What is read off the view at the moment it is asked for."""
        view = self._view
        yield GaugeMetricFamily("chorus_gateway_clients", "Event streams that are open", view.clients.open)
        yield GaugeMetricFamily("chorus_gateway_log_sequence", "Entry of RESULTS read last", view.list.head)
        yield GaugeMetricFamily("chorus_gateway_ready", "Whether runs can be shown", int(view.ready))
        yield GaugeMetricFamily("chorus_gateway_bus_reconnects", "Times the bus was lost and found", view.reconnects)
        yield GaugeMetricFamily("chorus_orchestrator_up", "Whether an orchestrator answers", int(view.orchestrator))
        yield GaugeMetricFamily("chorus_producers", "Live producers", len(view.producers.all()))
        runs = GaugeMetricFamily("chorus_runs", "Runs the gateway knows of", labels=["status"])
        for status, count in Tally(known.state.status for known in view.runs).items():
            runs.add_metric([status], count)
        yield runs


def metrics_of(request: Request) -> Metrics:
    """What this gateway counts."""
    metrics: Metrics = request.app.state.metrics
    return metrics


async def show_metrics(request: Request) -> Response:
    """The counters in Prometheus' text format."""
    return Response(generate_latest(metrics_of(request).registry), media_type=PLAIN_TEXT)
