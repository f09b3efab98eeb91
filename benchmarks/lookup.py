"""Look-up: the time from question to opened answer, with ten million touches pointed to in Redis.

One answering process (`silenthit exchange answer`) on Apache Kafka and Redis of its own. People
with one to eight touches each are sealed, published and pointed to as the matching worker does; the
other pointers are of made-up touches, ten tokens each, that nobody asks for. `in_turns`: askers who
take turns, four at a time. `burst`: 200 inquiries sent at once. Every answer is opened and has to
hold exactly the cards of its person.

    $ make bench-lookup                       # ten million touches: 5 GB of memory, some minutes
    $ python benchmarks/lookup.py 100000 500  # fewer pointers, and of them people
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from schemas import codec
from schemas.inquiries import Inquiry, Purpose
from schemas.messages import TouchHeader
from schemas.packing import TOKEN, pack
from schemas.parts import ContactCard, Subject, TouchCommon
from schemas.topics import TOPICS, TOUCHES, Bus, Role
from schemas.vocabulary import CoarseKind, MatchKeyKind, TouchKind
from silenthit.blinding.envelope import fresh_key
from silenthit.blinding.prf import Token
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.bus.admin import create_topics
from silenthit.bus.clients import KafkaSettings, Message, Publisher
from silenthit.bus.rights import Principal, own_topics
from silenthit.bus.sender import SenderKey, sender_headers
from silenthit.look_up.asking import PATIENCE_S, Asker
from silenthit.look_up.findings import findings
from silenthit.look_up.question import Question
from stream_processors.admission import AdmittedTouch, admit_touch
from stream_processors.look_up_index import CHUNK_BYTES
from stream_processors.pointer_rows import BUCKET_KEYS, ENTRY, record_key
from stream_processors.pointers import Pointer, Pointers
from stream_processors.settings import Agency, Organisations

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "deploy" / "kafka" / "kafka.py"
POINTERS = 10_000_000
TOKENS_OF_OTHERS = 10
TOKENS = 18
PEOPLE = 4_000
MOST_TOUCHES = 8
ORGANISATIONS = 20
DEFAULTS = (POINTERS, PEOPLE)
IN_TURNS, AT_A_TIME, BURST = 1_500, 4, 200
KINDS = [kind for kind in MatchKeyKind if kind < MatchKeyKind.FULL_NAME]
KEYS = [SenderKey(f"BENCH{n:04}#1", secrets.token_bytes(32)) for n in range(ORGANISATIONS)]
SIGNER = Signer(KEYS[0].key_id, Ed25519PrivateKey.generate())
TRUSTED = {SIGNER.key_id: SIGNER.key.public_key()}


@dataclass(frozen=True)
class Person:
    tokens: tuple[Token, ...]
    touches: int


@contextmanager
def kafka(folder: Path) -> Iterator[KafkaSettings]:
    command = [sys.executable, str(LAUNCHER), "start", "--dir", str(folder)]
    started = subprocess.run(command, capture_output=True, text=True, check=True)
    try:
        yield KafkaSettings(bootstrap_servers=json.loads(started.stdout)["bootstrap"]["CLIENT"])
    finally:
        subprocess.run([sys.executable, str(LAUNCHER), "stop", "--dir", str(folder)], check=True)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = shutil.which("redis-server") or "redis-server"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir"]
    process = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _pings(port), "Redis")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


def _pings(port: int) -> bool:
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except OSError:
        return False
    except Exception:  # noqa: BLE001 Redis says in many ways that it is not there yet
        return False


def wait_for(true: Any, what: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"expected {what} within {seconds:g} s")
        time.sleep(0.05)


def people(count: int) -> list[Person]:
    return [
        Person(
            tuple(
                Token(kind, secrets.token_bytes(16), secrets.token_bytes(32))
                for kind in random.sample(KINDS, TOKENS)
            ),
            random.randint(1, MOST_TOUCHES),
        )
        for _ in range(count)
    ]


def touch_messages(someone: Person) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(someone.touches):
        record_id = secrets.token_bytes(16)
        header = TouchHeader(
            record_id=record_id,
            revision=1,
            sender=KEYS[0].key_id,
            epoch=1,
            expiry_month="2031-12",
            kind=CoarseKind.CONTACT,
        )
        card = ContactCard(ori="BENCH0000", agency="Bench PD", name="Sgt. Ames", phone="555-0100")
        common = TouchCommon(record_number="1", kind=TouchKind.ARREST, narrative="x" * 400)
        parts = [Part(each, frozenset({0})) for each in (card, common, Subject())]
        yield record_id, codec.encode(seal(header, [someone.tokens], parts, SIGNER))


def publish(bus: KafkaSettings, folk: Sequence[Person]) -> list[Message]:
    """Publish every touch of these people among others' of the same size; return the messages."""
    with Publisher(bus, client_id="bench") as publisher:
        sent = []
        for someone in folk:
            for key, value in touch_messages(someone):
                headers = sender_headers(KEYS[0], key, value)
                sent.append((publisher.send(TOUCHES.name, key, value, headers=headers), key, value))
                for _ in range(4):  # so that no two of a person lie side by side
                    publisher.send(
                        TOUCHES.name, secrets.token_bytes(16), secrets.token_bytes(3_000)
                    )
    places = [(future.result(), key, value) for future, key, value in sent]
    return [
        Message(
            TOUCHES.name,
            at.partition,
            at.offset,
            at.timestamp_ms,
            key,
            value,
            sender_headers(KEYS[0], key, value),
        )
        for at, key, value in places
    ]


async def point(url: str, messages: Sequence[Message]) -> None:
    redis: Any = AsyncRedis.from_url(url)
    pointers, keys = Pointers(redis), {key.key_id: key for key in KEYS}
    for start in range(0, len(messages), 512):
        admitted = [admit_touch(m, keys, lambda _: True) for m in messages[start : start + 512]]
        await pointers.put([each for each in admitted if isinstance(each, AdmittedTouch)], {})
    await redis.aclose()


def fill(url: str, count: int) -> None:
    """Point to made-up touches, as many blobs a bucket as merging leaves."""
    with Redis.from_url(url) as redis:
        at_once = 200_000
        rest: dict[int, list[bytes]] = {number: [] for number in range(len(BUCKET_KEYS))}
        for start in range(0, count, at_once):
            size = min(at_once, count - start)
            ids = np.frombuffer(os.urandom(16 * size), "V16")
            tokens = np.frombuffer(os.urandom(9 * size * TOKENS_OF_OTHERS), np.uint8).reshape(-1, 9)
            _rows(tokens, np.repeat(ids, TOKENS_OF_OTHERS), rest)
            _records(redis, ids, tokens)
            done = start + size
            if done % 1_000_000 == 0 or done == count:
                _push(redis, rest)
                print(f"{done:,} pointers", file=sys.stderr)


def _rows(tokens: Any, owners: Any, rest: dict[int, list[bytes]]) -> None:
    bucket = tokens[:, 0].astype(np.uint16) << 4 | tokens[:, 1] >> 4
    order = np.argsort(bucket, kind="stable")
    entries = np.empty(len(order), ENTRY)
    entries["token"] = np.ascontiguousarray(tokens[order, 1:9]).view("V8")[:, 0]
    entries["record"] = owners[order]
    cuts = np.searchsorted(bucket[order], np.arange(len(BUCKET_KEYS) + 1))
    for number in range(len(BUCKET_KEYS)):
        rest[number].append(entries[cuts[number] : cuts[number + 1]].tobytes())


def _push(redis: Redis, rest: dict[int, list[bytes]]) -> None:
    pipeline = redis.pipeline(transaction=False)
    for number, blobs in rest.items():
        whole = b"".join(blobs)
        blobs.clear()
        for at in range(0, len(whole), CHUNK_BYTES):
            pipeline.rpush(BUCKET_KEYS[number], whole[at : at + CHUNK_BYTES])
    pipeline.execute()


def _records(redis: Redis, ids: Any, tokens: Any) -> None:
    """Write a pointer for each; where it leads nobody asks."""
    prefixes, width = np.ascontiguousarray(tokens[:, :2]).tobytes(), 2 * TOKENS_OF_OTHERS
    lead = Pointer(
        revision=1,
        partition=0,
        offset=1,
        appended_at=1_700_000_000_000,
        organisation="BENCH0000",
    ).packed()
    for start in range(0, len(ids), 10_000):
        several = ids[start : start + 10_000].tolist()
        values = (prefixes[width * n : width * (n + 1)] for n in range(start, start + len(several)))
        keys = map(record_key, several)
        redis.mset({key: lead + value for key, value in zip(keys, values, strict=True)})


def configure(folder: Path, bus: KafkaSettings, url: str) -> Path:
    folder.mkdir()
    config = folder / "exchange.toml"
    at = f"bootstrap_servers = {json.dumps(bus.bootstrap_servers)}\n"
    config.write_text(
        f'redis = "{url}"\n[bus.agency]\n{at}[bus.partner]\n{at}[epochs]\n1 = "current"\n'
        "[look_up.allowance]\nper_hour = 1000000\nper_day = 1000000\n"
    )
    agencies = tuple(Agency(key_id=key.key_id, secret=key.secret.hex()) for key in KEYS)  # type: ignore[arg-type]
    Organisations(agencies=agencies).save(folder / "organisations.json")
    shared = [(topic, topic.name) for topic in TOPICS if "{org}" not in topic.name]
    create_topics(bus, shared)
    for key in KEYS:
        create_topics(bus, own_topics(Principal(Role.AGENCY, key.organisation.lower()), Bus.AGENCY))
    return config


@contextmanager
def answering(folder: Path, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    ready = folder / "ready"
    words = ["exchange", "answer", "--config", str(config), "--ready-file", str(ready)]
    with (folder / "answer.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "silenthit", *words], stdout=log, stderr=log, cwd=ROOT
        )
    try:
        wait_for(ready.exists, "the answering process")
        yield process
    finally:
        process.terminate()
        process.wait(30)


def asked(someone: Person) -> Question:
    private, public = fresh_key()
    rows = [(0, int(each.kind), each.value) for each in someone.tokens]
    inquiry = Inquiry(
        inquiry_id=secrets.token_bytes(16),
        purpose=Purpose.INVESTIGATION,
        tokens=pack(list[tuple[int | bytes, ...]](rows), TOKEN),
        reply_key=public,
    )
    mine = {each.value: each.secret for each in someone.tokens}
    return Question(inquiry=inquiry, token_secrets=mine, reply_key=private)


def ask(asker: Asker, someone: Person) -> tuple[float, bool]:
    """Return seconds from question to opened answer, and whether it held the person's cards."""
    question, start = asked(someone), time.perf_counter()
    found = findings(asker.ask(question, PATIENCE_S), question.token_secrets, TRUSTED)
    took = time.perf_counter() - start
    return took, sum(len(each.touches) for each in found.contacts) == someone.touches


def in_turns(
    askers: Sequence[Asker], folk: Sequence[Person], count: int
) -> list[tuple[float, bool]]:
    """Ask in as many threads as there are askers; each waits for its answer before the next."""
    results: list[tuple[float, bool]] = []
    left = iter([random.choice(folk) for _ in range(count)])
    lock = threading.Lock()

    def work(asker: Asker) -> None:
        while True:
            with lock:
                someone = next(left, None)
            if someone is None:
                return
            results.append(ask(asker, someone))

    threads = [threading.Thread(target=work, args=(each,)) for each in askers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return results


def burst(askers: Sequence[Asker], folk: Sequence[Person], count: int) -> list[tuple[float, bool]]:
    """Send every question at once, then wait for all; who waits too long counts as wrong."""
    share = count // len(askers)
    results: list[tuple[float, bool]] = []
    ready = threading.Barrier(len(askers))

    def work(asker: Asker) -> None:
        chosen = {
            q.inquiry.inquiry_id: (q, p) for p in random.choices(folk, k=share) for q in [asked(p)]
        }
        ready.wait()
        start = time.perf_counter()
        for question, _ in chosen.values():
            asker.send(question)
        deadline = time.monotonic() + PATIENCE_S
        while chosen and time.monotonic() < deadline:
            questions = {key: question for key, (question, _) in chosen.items()}
            for key, body in asker.answers(questions, deadline):
                question, someone = chosen.pop(key)
                found = findings(body, question.token_secrets, TRUSTED)
                right = sum(len(each.touches) for each in found.contacts) == someone.touches
                results.append((time.perf_counter() - start, right))
        results.extend((PATIENCE_S, False) for _ in chosen)

    threads = [threading.Thread(target=work, args=(each,)) for each in askers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return results


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def figures(name: str, results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    times = [1_000 * took for took, _ in results]
    wrong = sum(not right for _, right in results)
    print(
        f"{name:10} {len(times):6,} inquiries  p50 {statistics.median(times):8.1f} ms  "
        f"p99 {percentile(times, 0.99):8.1f} ms  max {max(times):8.1f} ms  {wrong} wrong or late",
        file=sys.stderr,
    )
    return {
        "inquiries": len(times),
        "p50_ms": round(statistics.median(times), 1),
        "p99_ms": round(percentile(times, 0.99), 1),
        "max_ms": round(max(times), 1),
        "wrong_or_late": wrong,
    }


def main(count: int, population: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bus = stack.enter_context(kafka(folder / "kafka"))
        url = stack.enter_context(redis_server(folder))
        config = configure(folder / "exchange", bus, url)
        folk = people(population)
        messages = publish(bus, folk)
        fill(url, max(0, count - len(messages)))
        asyncio.run(point(url, messages))
        with Redis.from_url(url) as redis:
            memory = int(redis.info("memory")["used_memory"])
        stack.enter_context(answering(folder, config))
        askers = [
            stack.enter_context(
                Asker(
                    bus, key.organisation.lower(), client_id=f"ask-{key.organisation}", sender=key
                )
            )
            for key in KEYS
        ]
        in_turns(askers[:2], folk, 50)  # connections
        turns = in_turns(askers[:AT_A_TIME], folk, IN_TURNS)
        bursts = burst(askers, folk, BURST)
    print(f"{count:,} pointers, {memory / 2**20:,.0f} MiB in Redis", file=sys.stderr)
    result = {
        "pointers": count,
        "redis_mib": memory // 2**20,
        "in_turns": figures("in_turns", turns),
        "burst": figures("burst", bursts),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*(int(each) for each in (*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :])))
