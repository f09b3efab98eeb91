"""Signs of life: every matching worker says each second in Redis what it holds and does.

A hash of its own, so that nobody has to search the pointers for it. A worker that has been silent
for some time is not listed.
"""

from __future__ import annotations

import json
import time
from typing import Any

from pydantic import BaseModel, ConfigDict

SILENT_S = 15.0
_KEY = b"workers"


class Heartbeat(BaseModel):
    """What one worker says of itself; nothing in it is of a watch or a record."""

    model_config = ConfigDict(frozen=True)

    name: str
    at: float  # Unix s
    partitions: tuple[int, ...]
    touches: int
    touches_per_s: float
    alerts: int
    quarantined: int
    watches: int
    index_bytes: int
    index_read_at: float  # Unix s, when the watch topics were last read to their end


async def beat(redis: Any, heartbeat: Heartbeat) -> None:
    """Say it."""
    await redis.hset(_KEY, heartbeat.name.encode(), heartbeat.model_dump_json().encode())


async def alive(redis: Any, now: float | None = None) -> list[Heartbeat]:
    """Return the workers that spoke lately, by name; forget those that did not."""
    now = time.time() if now is None else now
    found = []
    for name, value in (await redis.hgetall(_KEY)).items():
        heartbeat = Heartbeat.model_validate(json.loads(value))
        if now - heartbeat.at <= SILENT_S:
            found.append(heartbeat)
        else:
            await redis.hdel(_KEY, name)
    return sorted(found, key=lambda each: each.name)
