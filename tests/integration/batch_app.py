"""A Faust worker on our transport that writes down what it processed; run by test_transport.py.

    python batch_app.py BOOTSTRAP TOPIC OUT [--batched] [--hold FILE] [--pause]

OUT gets a line "partition offset" for each record, before it is acknowledged. With `--hold` nothing
goes on until FILE is there; OUT.waits is made when it waits. With `--pause` partitions are paused
for a while after their first batch. `--commit-every` takes seconds. With `--members` OUT.members
gets what the group says of the worker: of its assignment, of an older one, and of its own again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import mode.loop

mode.loop.use("uvloop")

import faust  # noqa: E402

from stream_processors.transport import PromptTransport  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("bootstrap")
parser.add_argument("topic")
parser.add_argument("out", type=Path)
parser.add_argument("--batched", action="store_true")
parser.add_argument("--hold", type=Path)
parser.add_argument("--pause", action="store_true")
parser.add_argument("--commit-every", type=float, default=0.2)
parser.add_argument("--members", action="store_true")
chosen = parser.parse_args()
sys.argv = sys.argv[:1]

app = faust.App(
    "transport-test",
    broker=f"kafka://{chosen.bootstrap}",
    datadir=chosen.out.with_suffix(".data"),
    store="memory://",
    autodiscover=False,
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    consumer_max_fetch_size=16_384,
    broker_commit_interval=chosen.commit_every,
    broker_session_timeout=20.0 if chosen.members else 6.0,
    broker_heartbeat_interval=6.0 if chosen.members else 1.0,  # none of its own while it asks
    broker_rebalance_timeout=10.0,
    stream_wait_empty=False,
    stream_buffer_maxsize=4,
)
app.transport = transport = PromptTransport(app.conf.broker_consumer, app)
if chosen.batched:
    transport.batched = frozenset({chosen.topic})
topic = app.topic(chosen.topic, key_serializer="raw", value_serializer="raw", allow_empty=True)
out = chosen.out.open("a", encoding="ascii")
paused: set[Any] = set()


@app.agent(topic)
async def take(stream: Any) -> None:
    async for event in stream.noack().events():
        message = event.message
        if chosen.hold:
            chosen.out.with_suffix(".waits").touch()
        while chosen.hold and not chosen.hold.exists():  # noqa: ASYNC110 another process's file
            await asyncio.sleep(0.02)
        records = message.records if chosen.batched else [message]
        out.writelines(f"{record.partition} {record.offset}\n" for record in records)
        out.flush()
        event.ack()
        if chosen.pause and message.tp not in paused:
            paused.add(message.tp)
            app.consumer.pause_partitions([message.tp])
            app.loop.call_later(0.3, app.consumer.resume_partitions, {message.tp})


async def say_of_members() -> None:
    consumer = app.consumer
    answers = [await consumer.is_member()]
    coordinator = consumer._thread._ensure_consumer()._coordinator
    coordinator.generation -= 1
    try:
        answers.append(await consumer.is_member())
    finally:
        coordinator.generation += 1
    answers.append(await consumer.is_member())
    chosen.out.with_suffix(".members").write_text(" ".join(map(str, answers)), encoding="ascii")


@app.on_partitions_assigned.connect
async def assigned(app: faust.App, assigned: set[Any], **_: Any) -> None:
    if chosen.members:
        app.add_future(say_of_members())


faust.Worker(
    app, loglevel="WARNING", quiet=True, redirect_stdouts=False, override_logging=False
).execute_from_commandline()
