"""How cost grows: with workers, with watches, with pointers. What is simulated says so.

Two workers share the cores with Kafka and Redis, as this machine has no more. Indexes of many
watches are built from random tokens, without a topic. A pointer index of many rows is simulated by
some of its buckets, filled to the size that all would have; a look-up asks those.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from redis import Redis

from benchmarks.match import made, services
from benchmarks.match.latency import worker
from schemas.packing import TOKEN, TOKEN_BYTES
from schemas.topics import TOUCHES
from stream_processors.pointer_rows import BUCKET_KEYS, BUCKETS, ENTRY
from stream_processors.pointers import Pointers, open_redis
from stream_processors.token_store import Entries, TokenStore
from stream_processors.watch_index import SLOT, halves

TOKENS_A_WATCH = len(made.WATCH_KINDS)
BATCH = 1_000
TOKENS_A_TOUCH = 31
LEAF = 200_000
ROWS_A_BLOB = 26  # what a batch of 4,096 touches gives a bucket
POINTERS = (1_000_000, 10_000_000, 100_000_000)
START_S = 120


def scaling(town: services.Town, touches: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return every row, and say them as they come."""
    found: dict[str, Any] = {"workers": [], "watches": [], "pointers": []}
    for count in (1, 2):
        found["workers"].append(workers(town, count, touches))
        say(f"scaling: {found['workers'][-1]}")
    for count in (10_000, 100_000, 1_000_000, 3_000_000, 10_000_000):
        found["watches"].append(in_a_process("index_of", count))
        say(f"scaling: {found['watches'][-1]}")
    town.empty_redis()
    for count in POINTERS:
        found["pointers"].append(asyncio.run(look_ups(town, count)))
        say(f"scaling: {found['pointers'][-1]}")
    return found


def workers(town: services.Town, count: int, touches: int) -> dict[str, Any]:
    """Let so many workers of one group read all touches; no core is anybody's own."""
    town.empty_redis()
    group = f"scale-{count}"
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    first, second = worker(town, group, None, "w0"), worker(town, group, None, "w1")
    try:
        with first:
            if count == 1:
                return _timed(town, group, touches, count)
            with second:
                return _timed(town, group, touches, count)
    finally:
        os.sched_setaffinity(0, here)


def _timed(town: services.Town, group: str, touches: int, count: int) -> dict[str, Any]:
    """Let the workers reach the end, then time them over fresh touches, in steps of a commit."""
    asking = Consumer({"bootstrap.servers": town.kafka.bootstrap_servers, "group.id": group})
    places = [TopicPartition(TOUCHES.name, number) for number in range(TOUCHES.partitions)]

    def done() -> int:
        return sum(max(each.offset, 0) for each in asking.committed(places, timeout=10))

    def end() -> int:
        return sum(asking.get_watermark_offsets(place, timeout=10)[1] for place in places)

    fresh = list(made.touches(touches, 0.001, BATCH, seed=20 + count))
    services.wait_for(lambda: done() >= end(), START_S)
    before, began = done(), time.perf_counter()
    town.publish(TOUCHES.name, fresh)
    services.wait_for(lambda: done() >= before + touches, START_S)
    seconds = time.perf_counter() - began
    asking.close()
    return {"workers": count, "touches_per_s": round(touches / seconds)}


def in_a_process(function: str, count: int) -> dict[str, Any]:
    """Measure in a process of its own: memory is given back."""
    code = "from benchmarks.match import scaling; import json; "
    code += f"print(json.dumps(scaling.{function}({count})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=services.ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"watches": count, "failed": done.stderr.strip().splitlines()[-1][:80]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def index_of(watches: int) -> dict[str, Any]:
    """Build an index of random tokens; measure a batch's look-up."""
    total = watches * (TOKENS_A_WATCH + 1)
    count = max(1, total // LEAF)
    chance = np.random.default_rng(1)
    edges = [(number << 20) // count << 44 for number in range(count)] + [1 << 64]
    leaves = [
        _leaf(chance, low, high - 1, total // count, watches)
        for low, high in itertools.pairwise(edges)
    ]
    store = TokenStore()
    store.restore(leaves, np.array(edges[:-1], "<u8"))
    rounds, used = 20, 0.0
    for _ in range(rounds):
        asked = np.zeros(BATCH * TOKENS_A_TOUCH, TOKEN)
        asked["token"] = np.frombuffer(chance.bytes(len(asked) * TOKEN_BYTES), "V16")
        began = time.process_time()
        store.find(*halves(asked), asked["kind"])
        used += time.process_time() - began
    return {
        "watches": watches,
        "gigabytes": round((store.nbytes + watches * SLOT.itemsize) / 1e9, 3),
        "us_per_touch": round(used / rounds / BATCH * 1e6, 2),
        "how": "random tokens, no topic",
    }


def _leaf(chance: np.random.Generator, low: int, high: int, count: int, watches: int) -> Entries:
    first = np.sort(chance.integers(low, high, count, np.uint64, endpoint=True))
    second = chance.integers(0, 1 << 64, count, np.uint64)
    slot = chance.integers(0, watches, count, np.uint32)
    return Entries(first, second, slot, np.zeros(count, "u1"), np.full(count, 14, "u1"))


async def look_ups(town: services.Town, rows: int) -> dict[str, Any]:
    """Fill twenty buckets as they would be with so many rows; look a watch's tokens up in them."""
    chance = np.random.default_rng(rows)
    each = rows // BUCKETS
    with Redis.from_url(town.redis) as client:
        client.flushall()
        before = client.info("memory")["used_memory"]
        for bucket in range(TOKENS_A_WATCH):
            blob = chance.bytes(each * ENTRY.itemsize)
            step = ROWS_A_BLOB * ENTRY.itemsize
            pieces = [blob[at : at + step] for at in range(0, len(blob), step)]
            for start in range(0, len(pieces), 1_000):
                client.rpush(BUCKET_KEYS[bucket], *pieces[start : start + 1_000])
        used = client.info("memory")["used_memory"] - before
    redis = open_redis(town.redis)
    pointers = Pointers(redis)
    tokens = [
        bytes([bucket >> 4, (bucket & 15) << 4]) + chance.bytes(TOKEN_BYTES - 2)
        for bucket in range(TOKENS_A_WATCH)
    ]
    times = []
    for _ in range(20):
        began = time.perf_counter()
        await pointers.holders(tokens)
        times.append((time.perf_counter() - began) * 1000)
    await redis.aclose()
    return {
        "pointers": rows,
        "look_back_ms_per_watch": round(float(np.median(times)), 2),
        "bytes_per_pointer": round(used / (each * TOKENS_A_WATCH), 1),
        "gigabytes": round(used / (each * TOKENS_A_WATCH) * rows / 1e9, 2),
        "how": f"simulated by {TOKENS_A_WATCH} of {BUCKETS} buckets",
    }
