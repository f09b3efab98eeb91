"""What a run of the demo came to: the alerts that came against those that had to come."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from silenthit.demo.samples import Expected


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenAlert:
    """An alert as a partner's inbox opened it. It quotes a record, so it has no repr."""

    partner: str
    label: str
    record_number: str
    agency: str
    kind: str
    decision: str
    latency_ms: float  # from the broker's append of the touch to the partner's vault

    def __repr__(self) -> str:
        return "SeenAlert()"

    @property
    def which(self) -> Expected:
        """What to compare with the list worked out by hand."""
        return Expected(self.partner, self.label, self.record_number)


def seen_alert(partner: str, found: dict[str, Any]) -> SeenAlert:
    """Return an alert from the JSON that `silenthit alerts` prints."""
    received = datetime.fromisoformat(found["received_at"])
    appended = datetime.fromisoformat(found["appended_at"])
    return SeenAlert(
        partner=partner,
        label=found["label"] or "",
        record_number=found["record_number"] or "",
        agency=found["agency"] or "",
        kind=found["kind"] or "",
        decision=found["decision"] or found["status"],
        latency_ms=(received - appended).total_seconds() * 1000,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The run's figures."""

    touches: int
    watches: int
    expected: Sequence[Expected]
    seen: Sequence[SeenAlert]

    @property
    def missing(self) -> list[Expected]:
        """Alerts that had to come and did not."""
        return list((Counter(self.expected) - Counter(each.which for each in self.seen)).elements())

    @property
    def unexpected(self) -> list[Expected]:
        """Alerts that came and had not to, second copies among them."""
        return list((Counter(each.which for each in self.seen) - Counter(self.expected)).elements())

    @property
    def as_expected(self) -> bool:
        """Whether exactly the expected alerts came, each once."""
        return not self.missing and not self.unexpected

    def latency_ms(self, percent: int) -> float | None:
        """Nearest-rank percentile of the time from the broker to the vault; none without alerts."""
        times = sorted(each.latency_ms for each in self.seen)
        return round(times[max(0, math.ceil(len(times) * percent / 100) - 1)], 1) if times else None

    def summary(self) -> dict[str, Any]:
        """Return the object of `silenthit demo --json`."""
        return {
            "touches": self.touches,
            "watches": self.watches,
            "alerts": len(self.seen),
            "expected_alerts": len(self.expected),
            "unexpected_alerts": len(self.unexpected),
            "alert_latency_ms": {"p50": self.latency_ms(50), "p99": self.latency_ms(99)},
        }
