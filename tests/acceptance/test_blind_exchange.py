"""A thousand touches and two hundred watches later, the exchange holds nobody's identifiers."""

from __future__ import annotations

import base64
import random
import re
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from confluent_kafka.admin import AdminClient
from redis import Redis

from silenthit.bus.clients import KafkaSettings, TopicReader
from tests.town import Town, town

COLUMNS = (
    "record_number,kind,role,surname,given,birth_date,ssn,phone,plate,plate_issuer,email,address"
)
MAPPING = "[columns]\n" + "".join(f'{name} = "{name}"\n' for name in COLUMNS.split(","))
SYLLABLES = [
    "zor",
    "quil",
    "vex",
    "tam",
    "bru",
    "nok",
    "lith",
    "gar",
    "wem",
    "pax",
    "dro",
    "yul",
    "fen",
    "hask",
    "mir",
]


DAY_S = 86_400
HEAD = 6  # bytes: shorter needles would be found by chance


def people(count: int, seed: int) -> list[dict[str, str]]:
    draw = random.Random(seed)

    def word(parts: int) -> str:
        return "".join(draw.choice(SYLLABLES) for _ in range(parts)).capitalize()

    return [
        {
            "surname": word(3),
            "given": word(2) + word(1).lower(),
            "birth_date": date(
                draw.randint(1950, 1999), draw.randint(1, 12), n % 28 + 1
            ).isoformat(),
            "ssn": f"{draw.randint(100, 665)}-{draw.randint(10, 99)}-{draw.randint(1000, 9999)}",
            "phone": f"617-{draw.randint(200, 999)}-{draw.randint(1000, 9999)}",
            "plate": f"{draw.randint(100, 999)}ZQ{draw.randint(100, 999)}",
            "plate_issuer": "MA",
            "email": f"{word(3).lower()}{n}@example.net",
            "address": f"{draw.randint(100, 9999)} {word(3)} Street, {word(3)}, MA 02{n % 900:03}",
        }
        for n in range(count)
    ]


def forms(value: str) -> Iterator[bytes]:
    """The usual forms of a value: as written, normalised, either case, hex, base64."""
    plain = {value, re.sub(r"[^A-Za-z0-9]", "", value), re.sub(r"\D", "", value), f"+1{value}"}
    plain |= {"+1" + re.sub(r"\D", "", value), value.replace(",", "")}
    if "-" in value:
        plain |= {"".join(reversed(value.split("-")))}
    for text in {cased for each in plain for cased in (each, each.upper(), each.lower())}:
        raw = text.encode()
        if len(raw) < 6:
            continue
        yield from (raw, raw.hex().encode(), raw.hex().upper().encode(), text.encode("utf-16-le"))
        for shift in range(3):
            # the middle of a base64 text, wherever the value begins in what was encoded
            yield base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4]


def kept(client: Redis, key: bytes) -> list[bytes]:
    """What Redis holds under a key, of whichever type: an unknown one fails here."""
    by_type = {
        b"string": lambda: [client.get(key) or b""],
        b"set": lambda: client.smembers(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"hash": lambda: [part for pair in client.hgetall(key).items() for part in pair],
        b"zset": lambda: client.zrange(key, 0, -1),
        b"none": list,  # it expired meanwhile
    }
    return list(by_type[client.type(key)]())


def without_times(held: bytes) -> bytes:
    """Leave out times of today, of a snapshot or a claim: their digits may be some plate's."""

    def kept_digits(found: re.Match[bytes]) -> bytes:
        return b"" if abs(int(found[1]) - time.time()) < DAY_S else found[0]

    return re.sub(rb"(?<!\d)(\d{10})(?:\d{3}|\.\d+)?(?!\d)", kept_digits, held)


def without_hex(held: bytes) -> bytes:
    """Say keys and ids as the bytes they stand for: by chance six of their digits are a plate."""

    def unhexed(found: re.Match[bytes]) -> bytes:
        return bytes.fromhex(found[0].decode()) if len(found[0]) % 2 == 0 else found[0]

    return re.sub(rb"(?<![0-9a-f])[0-9a-f]{32,}(?![0-9a-f])", unhexed, held)


def everything(made: Town, redis: str) -> Iterator[tuple[str, bytes]]:
    """Every byte the exchange holds: topics, Redis, its files, its log."""
    names = AdminClient({"bootstrap.servers": made.kafka.bootstrap_servers}).list_topics().topics
    with TopicReader(made.kafka, sorted(names), client_id="auditor") as reader:
        while not reader.caught_up():
            for message in reader.read(1000, 1.0):
                heads = b"".join(name.encode() + value for name, value in message.headers)
                yield message.topic, (message.key or b"") + b"|" + (message.value or b"") + heads
    with Redis.from_url(redis) as client:
        for key in client.scan_iter(count=10_000):
            yield "redis", key + b"|" + b"|".join(kept(client, key))
    yield "log", made.worker_log().encode()
    for path in (made.folder / "exchange").rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()


def test_only_times_of_today_are_left_out() -> None:
    now, phone = f"{time.time():.3f}".encode(), b"8025550142"
    claim = now.replace(b".", b"")
    held = b"|".join([b"c:{0}", claim, b'{"at": %b}' % now, phone, b"+1" + phone])
    assert without_times(held) == b'c:{0}||{"at": }|' + phone + b"|+1" + phone


def test_what_is_written_in_hex_is_searched_as_what_it_stands_for() -> None:
    key = bytes.fromhex("8030b313a87fb539bc60642cd70fb61b6acf31c117957ab2485d6d14d587b279")
    hidden = b"Theodora Quillfeather"
    held = without_hex(key.hex().encode() + b"|8025550142|" + hidden.hex().encode())
    assert held == key + b"|8025550142|" + hidden


def test_no_plaintext_identifier_is_anywhere_at_the_exchange(
    tmp_path: Path, fresh_kafka: KafkaSettings, redis_url: str
) -> None:
    seen = people(1000, seed=1)
    watched = seen[:100] + people(100, seed=2)
    (tmp_path / "map.toml").write_text(MAPPING, encoding="utf-8")
    rows = [
        f"R-{n},field_contact,contact," + ",".join(f'"{one[c]}"' for c in COLUMNS.split(",")[3:])
        for n, one in enumerate(seen)
    ]
    (tmp_path / "records.csv").write_text("\n".join([COLUMNS, *rows]) + "\n", encoding="utf-8")
    with town(tmp_path / "town", fresh_kafka, redis_url) as made:
        made.add_agency("harbor", "MA0130100")
        made.add_partner("fbi", "harbor")
        made.watch("fbi", "\n".join(watch(n, one) for n, one in enumerate(watched)))
        made.start_worker()
        made.publish("harbor", tmp_path / "records.csv", mapping=tmp_path / "map.toml")
        made.wait_until_matched()
        alerted = {a["record_number"] for a in made.alerts("fbi")}
        assert alerted >= {f"R-{n}" for n in range(100)}
        assert made.quarantined() == []
        held = [
            (place, without_hex(without_times(each))) for place, each in everything(made, redis_url)
        ]
    total = b"\n".join(content for _, content in held)
    assert {place for place, _ in held} >= {"touches", "watches.fbi", "alerts.fbi", "sent", "redis"}
    assert len(total) > 3_000_000
    needles = {
        form
        for one in [*seen, *watched]
        for value in private(one)
        for form in forms(value)
        if len(form) >= HEAD
    }
    assert len(needles) > 50_000
    assert found_in(total, needles) == set()
    # The search itself can find: what the exchange may know is there.
    assert found_in(total, {b"MA0130100", b"nowhere.fbi"}) == {b"MA0130100"}


def private(one: dict[str, str]) -> list[str]:
    full = [f"{one['given']} {one['surname']}", f"{one['surname']}{one['given']}"]
    return [value for name, value in one.items() if name != "plate_issuer"] + full


def found_in(total: bytes, needles: set[bytes]) -> set[bytes]:
    """Which needles, of six bytes or more, occur: those whose head does, then compared whole."""
    heads: dict[int, list[bytes]] = {}
    for needle in needles:
        heads.setdefault(int.from_bytes(needle[:HEAD], "big"), []).append(needle)
    content = np.frombuffer(total, np.uint8).astype(np.uint64)
    count = len(total) - HEAD + 1
    windows = np.zeros(count, np.uint64)
    for at in range(HEAD):
        windows = (windows << np.uint64(8)) | content[at : at + count]
    places = np.flatnonzero(np.isin(windows, np.array(list(heads), np.uint64)))
    return {
        needle
        for at in places.tolist()
        for needle in heads[int(windows[at])]
        if total.startswith(needle, at)
    }


def watch(number: int, one: dict[str, str]) -> str:
    kinds = ["ssn", "phone", "plate", "email", "address"]
    listed = ", ".join(
        f'{{kind = "{kind}", value = "{one[kind]}", issuer = "{"MA" if kind == "plate" else ""}"}}'
        for kind in kinds
    )
    return (
        f'[[watch]]\nlabel = "W{number}"\nlegal_basis = "test"\n[[watch.subject]]\n'
        f'surname = "{one["surname"]}"\ngiven = "{one["given"]}"\n'
        f'birth_dates = ["{one["birth_date"]}"]\nidentifiers = [{listed}]\n'
    )
