"""Every metric of the key holder, by name; labels are organisations and causes, never content."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

ELEMENTS = Counter(
    "silenthit_keyholder_elements", "Elements evaluated", ("organisation", "purpose")
)
REFUSED = Counter("silenthit_keyholder_refused", "Batches refused", ("cause",))
ALARMS = Counter(
    "silenthit_keyholder_alarms",
    "Hours in which an organisation asked far more than in its own past",
    ("organisation",),
)
SECONDS = Histogram("silenthit_keyholder_batch_seconds", "Time from a whole request to its answer")
