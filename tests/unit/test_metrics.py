from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from silenthit.metrics import Metric, export
from tests.services import ROOT


def test_names_are_distinct_and_as_prometheus_wants_them() -> None:
    titles = [metric.title for metric in Metric]
    assert len(set(titles)) == len(titles)
    assert all(re.fullmatch(r"silenthit_[a-z]+_[a-z_]+", title) for title in titles)


def test_a_metric_is_read_when_it_is_asked_for() -> None:
    registry, touches = CollectorRegistry(), [3]
    export({Metric.TOUCHES: lambda: touches[0], Metric.WATCHES: lambda: 5}, registry)
    touches[0] = 4
    page = generate_latest(registry).decode()
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert samples == {"silenthit_exchange_touches_total": 4, "silenthit_exchange_watches": 5}


def test_a_metric_is_exported_once() -> None:
    registry = CollectorRegistry()
    export({Metric.TOUCHES: lambda: 0}, registry)
    with pytest.raises(ValueError, match="Duplicated"):
        export({Metric.TOUCHES: lambda: 0}, registry)


def test_no_other_module_makes_metrics_but_the_key_holder_which_has_its_own_list() -> None:
    makes = re.compile(r"prometheus_client import .*\b(Counter|Gauge|Histogram|Summary)\b")
    found = {
        str(path.relative_to(ROOT))
        for zone in (
            "schemas",
            "silenthit",
            "producers",
            "key_holder",
            "stream_processors",
            "consumers",
        )
        for path in (ROOT / zone).rglob("*.py")
        if makes.search(path.read_text("utf-8"))
    }
    assert found == {"key_holder/metrics.py"}
