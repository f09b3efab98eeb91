"""Every metric, by name, in one list; and the page that a Prometheus server reads.

    export({Metric.TOUCHES: lambda: worker.tally.touches})
    serve_metrics(9100)

A metric counts what a process of one organisation did, for that organisation alone. None has a
label that depends on a watch or on a record (design section 1: not a size, not a delay).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

LOOPBACK = "127.0.0.1"


class Metric(Enum):
    """Name, what it counts, and whether it only ever rises."""

    TOUCHES = ("silenthit_exchange_touches", "Touches matched", True)
    RETRACTIONS = ("silenthit_exchange_retractions", "Touches taken back", True)
    STALE = ("silenthit_exchange_stale", "Touches of a revision that was passed already", True)
    ALERTS = ("silenthit_exchange_alerts", "Alerts sent, updates too", True)
    QUARANTINED = ("silenthit_exchange_quarantined", "Messages set aside", True)
    WATCHES = ("silenthit_exchange_watches", "Registrations in the index", False)

    LOOK_UPS = ("silenthit_answer_look_ups", "Look-ups answered", True)
    LOOK_UPS_OVER_QUOTA = ("silenthit_answer_over_quota", "Look-ups over a quota", True)
    LOOK_UPS_REFUSED = ("silenthit_answer_refused", "Inquiries that were not taken", True)

    WAITING = ("silenthit_agency_waiting", "Touches in the outbox, not confirmed", False)
    PUBLISHED = ("silenthit_agency_published", "Touches confirmed by the broker", True)
    REFUSED = ("silenthit_agency_refused", "Records that were not taken", True)
    CANARY = ("silenthit_agency_canary", "When the broker confirmed the last canary, Unix s", False)

    RECEIVED = ("silenthit_partner_received", "Alerts stored", True)
    UNOPENED = ("silenthit_partner_unopened", "Alerts that did not open", True)

    def __init__(self, title: str, counts: str, rises: bool) -> None:  # noqa: FBT001 a row of a table
        self.title, self.counts, self.rises = title, counts, rises


Readings = Mapping[Metric, Callable[[], float]]


def export(readings: Readings, registry: CollectorRegistry = REGISTRY) -> None:
    """Show these metrics; each is read when it is asked for. Once a process for each metric."""
    registry.register(_Reader(readings))


def serve_metrics(
    port: int, address: str = LOOPBACK, registry: CollectorRegistry = REGISTRY
) -> int:
    """Serve the page `/metrics` from a thread; return its port (port 0 takes a free one)."""
    server, _ = start_http_server(port, address, registry)
    return int(server.server_port)


class _Reader(Collector):
    """Turns readings into what Prometheus's client collects."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def describe(self) -> Iterable[Family]:
        """Return the families without values, so that a second export is noticed."""
        return [_family(metric, None) for metric in self._readings]

    def collect(self) -> Iterable[Family]:
        """Return the families with what they read now."""
        return [_family(metric, read()) for metric, read in self._readings.items()]


def _family(metric: Metric, value: float | None) -> Family:
    kind = CounterMetricFamily if metric.rises else GaugeMetricFamily
    return kind(metric.title, metric.counts, value=value)
