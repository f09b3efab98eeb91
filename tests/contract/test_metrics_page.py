from __future__ import annotations

import httpx
from prometheus_client import CollectorRegistry

from silenthit.metrics import Metric, export, serve_metrics


def test_the_page_shows_what_was_exported_on_the_loopback_interface() -> None:
    registry = CollectorRegistry()
    export({Metric.QUARANTINED: lambda: 2}, registry)
    port = serve_metrics(0, registry=registry)
    page = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert "silenthit_exchange_quarantined_total 2.0" in page.text
