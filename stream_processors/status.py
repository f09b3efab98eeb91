"""How the exchange is: workers, lag, index, throughput, quarantine."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from schemas.topics import TOUCHES
from silenthit.bus.admin import committed_offsets, end_offsets
from stream_processors.heartbeat import alive
from stream_processors.pointers import Pointers
from stream_processors.retry import listed
from stream_processors.settings import ExchangeSettings


async def status(settings: ExchangeSettings, redis: Any) -> dict[str, Any]:
    """Return the status as one JSON object. Raises RetryError when a broker does not answer."""
    now = time.time()
    agency = settings.bus.agency
    done = committed_offsets(agency, settings.name, TOUCHES.name)
    ends = end_offsets(agency, TOUCHES.name)
    pointed = await Pointers(redis).reached()
    workers = await alive(redis, now)
    owner = {partition: each.name for each in workers for partition in each.partitions}
    return {
        "workers": [
            {
                "name": each.name,
                "partitions": list(each.partitions),
                "touches_per_s": each.touches_per_s,
                "watches": each.watches,
                "index_bytes": each.index_bytes,
                "index_age_s": round(max(0.0, now - each.index_read_at), 1),
            }
            for each in workers
        ],
        "partitions": [
            {
                "partition": partition,
                "worker": owner.get(partition),
                "touches": end,
                "lag": end - done.get(partition, 0),
                "pointers_behind": max(0, done.get(partition, 0) - pointed.get(partition, 0)),
            }
            for partition, end in sorted(ends.items())
        ],
        "lag": sum(end - done.get(partition, 0) for partition, end in ends.items()),
        "touches_per_s": round(sum(each.touches_per_s for each in workers), 1),
        "quarantine": dict(Counter(each.reason for each in listed(settings.bus.partner))),
    }
