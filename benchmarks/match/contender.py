"""One contender, alone in its process on one core: reads all touches, prints what that cost.

    python -m benchmarks.match.contender faust CONFIGURATION COUNT [--pointers-off] [--core 0]

The last line is JSON: seconds and processor seconds from a tenth of the touches to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from schemas.topics import TOUCHES
from silenthit.bus.clients import Message, Publisher
from stream_processors.match_worker import MatchWorker
from stream_processors.outgoing import KafkaOutbound
from stream_processors.pointers import Pointers, open_redis
from stream_processors.sent import SentLog
from stream_processors.settings import ExchangeSettings, Organisations
from stream_processors.under_way import Batch
from stream_processors.watch_index import WatchIndex
from stream_processors.watch_keys import WatchKeys
from stream_processors.watch_snapshot import restored

WARM = 0.1
BATCH = 8_192


class Meter:
    """Notes when the first tenth and when all was taken; ends the process then."""

    def __init__(self, count: int, about: dict[str, Any]) -> None:
        self.count, self.about, self.taken = count, about, 0
        self.began: tuple[float, float, int] | None = None
        self.threads: dict[str, float] = {}

    def add(self, number: int) -> None:
        self.taken += number
        if self.began is None and self.taken >= self.count:
            print(f"expected more touches than the {number:,} of one batch", file=sys.stderr)
            os._exit(2)
        if self.began is None and self.taken >= WARM * self.count:
            self.began = time.perf_counter(), time.process_time(), self.taken
            self.threads = thread_seconds()
        elif self.taken >= self.count and self.began:
            self.end()

    def end(self) -> None:
        wall, cpu, before = self.began or (0.0, 0.0, 0)
        number = self.taken - before
        seconds, used = time.perf_counter() - wall, time.process_time() - cpu
        threads = {
            name: round((spent - self.threads.get(name, 0.0)) / number * 1e6, 2)
            for name, spent in thread_seconds().items()
        }
        result = {
            **self.about,
            "touches_per_s": number / seconds,
            "cpu_us_per_touch": used / number * 1e6,
            "threads_us": {name: spent for name, spent in threads.items() if spent >= 0.05},
            "stages_us": {name: spent / number * 1e6 for name, spent in STAGES.items()},
        }
        print(json.dumps(result), flush=True)
        os._exit(0)


def thread_seconds() -> dict[str, float]:
    """Return the processor seconds of each kind of thread of this process."""
    tick, found = os.sysconf("SC_CLK_TCK"), {}
    for task in Path("/proc/self/task").iterdir():
        name, _, rest = (task / "stat").read_text().rpartition(")")
        label = "main" if int(task.name) == os.getpid() else name.partition("(")[2]
        fields = rest.split()
        found[label] = found.get(label, 0.0) + (int(fields[11]) + int(fields[12])) / tick
    return found


STAGES: dict[str, float] = {}


def timed(owner: Any, name: str, stage: str) -> None:
    """Add the main thread's time in a function to a stage, from the first tenth on."""
    original = getattr(owner, name)

    def timing(*given: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return original(*given, **named)
        finally:
            STAGES[stage] = STAGES.get(stage, 0.0) + time.thread_time() - began

    setattr(owner, name, timing)


def watch_stages() -> None:
    """Measure the stages that never wait."""
    import stream_processors.match_worker as worker  # noqa: PLC0415
    from stream_processors.batch_admission import BatchAdmission  # noqa: PLC0415

    timed(BatchAdmission, "admit", "admission")
    timed(worker, "match_batch", "matching")


async def nothing_known(*_: Any, **__: Any) -> dict[bytes, Any]:
    return {}


async def nothing(*_: Any, **__: Any) -> None:
    return None


def pointers_off() -> None:
    Pointers.latest, Pointers.put, Pointers.forget = nothing_known, nothing, nothing  # type: ignore[method-assign,assignment]


def faust(settings: ExchangeSettings, meter: Meter, *, stock: bool) -> None:
    """The real worker; or the same on Faust's own transport, event by event."""
    import mode.loop  # noqa: PLC0415

    mode.loop.use("uvloop")
    import faust as library  # noqa: PLC0415

    from stream_processors import app as wiring  # noqa: PLC0415

    if stock:
        from benchmarks.match.stock import use_stock_transport  # noqa: PLC0415

        use_stock_transport(wiring)
    take = MatchWorker.take_touches

    async def taking(
        worker: MatchWorker, messages: Sequence[Message], batch: Batch | None = None
    ) -> None:
        await take(worker, messages, batch)
        meter.add(len(messages))

    MatchWorker.take_touches = taking  # type: ignore[method-assign]
    app = wiring.make_app(settings, name="bench")
    library.Worker(
        app, loglevel="WARNING", quiet=True, redirect_stdouts=False, override_logging=False
    ).execute_from_commandline()


def matching_worker(settings: ExchangeSettings) -> MatchWorker:
    """The same matching code without Faust around it."""
    index, watch_keys = WatchIndex(), WatchKeys(settings.watch_keys)
    restored(
        settings.snapshot,
        index,
        watch_keys,
        cluster=json.loads(settings.snapshot.open("rb").readline())["cluster"],
        partners=Organisations.load(settings.organisations).partners,
        now_ms=time.time_ns() // 1_000_000,
    )
    return MatchWorker(
        name="bench",
        index=index,
        sent=SentLog(),
        pointers=Pointers(open_redis(settings.redis)),
        outbound=KafkaOutbound(Publisher(settings.bus.partner, client_id="bench-out")),
        keys=Organisations.load(settings.organisations).sender_keys(),
        epochs=settings.known_epochs(),
        watch_keys=watch_keys,
    )


def consumer(settings: ExchangeSettings) -> Any:
    from confluent_kafka import Consumer  # noqa: PLC0415

    reading = Consumer(
        {
            "bootstrap.servers": settings.bus.agency.bootstrap_servers,
            "group.id": settings.name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
        }
    )
    reading.subscribe([TOUCHES.name])
    return reading


def read(raw: Any) -> Message:
    return Message(
        raw.topic(),
        raw.partition(),
        raw.offset(),
        raw.timestamp()[1],
        raw.key(),
        raw.value(),
        tuple(raw.headers() or ()),
    )


def bare(settings: ExchangeSettings, meter: Meter) -> None:
    """A loop of confluent-kafka around the same matching: read, take, commit."""
    import uvloop  # noqa: PLC0415

    async def loop() -> None:
        worker, reading = matching_worker(settings), consumer(settings)
        while True:
            found = reading.consume(BATCH, 0.05)
            if found:
                await worker.take_touches([read(each) for each in found])
                reading.commit(asynchronous=True)
                meter.add(len(found))

    uvloop.run(loop())


def drop(settings: ExchangeSettings, meter: Meter) -> None:
    """A loop of confluent-kafka that reads and drops."""
    reading = consumer(settings)
    while True:
        found = reading.consume(BATCH, 0.05)
        for each in found:
            each.value()
        meter.add(len(found))


def quixstreams(settings: ExchangeSettings, meter: Meter) -> None:
    """The same matching in a sink of quixstreams, which it hands batches at each commit."""
    import uvloop  # noqa: PLC0415
    from quixstreams import Application  # noqa: PLC0415
    from quixstreams.sinks import BatchingSink  # noqa: PLC0415

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)

    async def made() -> MatchWorker:
        return matching_worker(settings)

    worker = loop.run_until_complete(made())

    class Matching(BatchingSink):  # type: ignore[misc] no types
        def write(self, batch: Any) -> None:
            messages = [
                Message(
                    batch.topic,
                    batch.partition,
                    each.offset,
                    each.timestamp,
                    each.key,
                    each.value,
                    tuple(each.headers),
                )
                for each in batch
            ]
            loop.run_until_complete(worker.take_touches(messages))
            meter.add(len(messages))

    app = Application(
        broker_address=settings.bus.agency.bootstrap_servers,
        consumer_group=settings.name,
        auto_offset_reset="earliest",
        commit_every=4 * BATCH,
        commit_interval=0.5,
        auto_create_topics=False,
        loglevel="ERROR",
        consumer_extra_config={"fetch.wait.max.ms": 50},
    )
    topic = app.topic(TOUCHES.name, key_deserializer="bytes", value_deserializer="bytes")
    app.dataframe(topic).sink(Matching())
    app.run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("configuration", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--pointers-off", action="store_true")
    parser.add_argument("--core", type=int)
    chosen = parser.parse_args()
    sys.argv = sys.argv[:1]
    if chosen.core is not None:
        os.sched_setaffinity(0, {chosen.core})
    if chosen.pointers_off:
        pointers_off()
    watch_stages()
    settings = ExchangeSettings.model_validate_json(chosen.configuration.read_bytes())
    meter = Meter(chosen.count, {"name": chosen.name})
    runs: dict[str, Callable[[], None]] = {
        "faust_stock": lambda: faust(settings, meter, stock=True),
        "faust": lambda: faust(settings, meter, stock=False),
        "bare": lambda: bare(settings, meter),
        "quixstreams": lambda: quixstreams(settings, meter),
        "drop": lambda: drop(settings, meter),
    }
    runs[chosen.name]()


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
