"""The same seeded traffic on a fresh cluster, with a partner's watches or without them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from redis import Redis

from schemas import codec
from schemas.inquiries import Answer
from schemas.messages import Alert
from schemas.topics import ALERTS
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from silenthit.bus.handover import HandOver
from tests.noninterference.answering import Answering
from tests.noninterference.observed import Fields, observe
from tests.secured import SecuredTown, secured_exchange
from tests.town import wait_until

AGENCIES = {"harbor": "MA0130100", "haven": "CT0020200"}
WATCHER, BYSTANDER = "fbi-hartford", "hsi-newark"
SUBJECTS = 20
WATCHED = range(10)  # by the watcher, where it watches at all
BYSTANDERS_OWN = range(5, 12)  # overlaps with what is watched
LOOKED_UP = (0, 5, 15)
RECORDS = 40
COLUMNS = ("record_number", "kind", "role", "surname", "given", "birth_date", "ssn", "phone")
SURNAMES = ("Quill", "Marlow", "Osgood", "Tennant", "Brack", "Isham", "Loring", "Vance")


@dataclass
class Run:
    """What each principal saw of one run."""

    seen: dict[str, Fields] = field(default_factory=dict)
    touches: int = 0
    alerts_of_watcher: int = 0


def subject(number: int) -> dict[str, str]:
    random = Random(number)
    return {
        "surname": f"{random.choice(SURNAMES)}{chr(97 + number)}worth",
        "given": "John",
        "birth_date": f"19{60 + number}-0{number % 9 + 1}-1{number % 9}",
        "ssn": f"5{number:02}-2{number % 9}-{3000 + number}",
        "phone": f"860-555-{1000 + number}",
    }


def watch(number: int) -> str:
    who = subject(number)
    return (
        f'[[watch]]\nlabel = "subject {number}"\nlegal_basis = "affidavit"\n[[watch.subject]]\n'
        f'surname = "{who["surname"]}"\ngiven = "{who["given"]}"\n'
        f'birth_dates = ["{who["birth_date"]}"]\n'
        f'identifiers = [{{kind = "ssn", value = "{who["ssn"]}"}}]\n'
    )


def records(seed: int) -> list[dict[str, str]]:
    """Records of seeded subjects; the first subjects are touched more than once."""
    random = Random(seed)
    return [
        {"record_number": f"R-{n}", "kind": "arrest", "role": "suspect"}
        | subject(random.randrange(SUBJECTS))
        for n in range(RECORDS)
    ]


def run(folder: Path, redis: str, *, watching: bool, keys: Path, seed: int = 7) -> Run:
    """Run the traffic; `keys` holds what makes two runs comparable, and is filled by the first."""
    with Redis.from_url(redis) as client:
        client.flushall()  # the checkpoints of another cluster
    with secured_exchange(folder, redis) as exchange:
        town = SecuredTown.of_exchange(exchange, redis)
        try:
            with Answering(town) as answering:
                return _play(town, answering, watching=watching, keys=keys, seed=seed)
        finally:
            town.stop_workers()


def _play(town: SecuredTown, answering: Answering, *, watching: bool, keys: Path, seed: int) -> Run:
    _found(town, keys)
    town.watch(BYSTANDER, "".join(map(watch, BYSTANDERS_OWN[:-1])))
    if watching:
        town.watch(WATCHER, "".join(map(watch, WATCHED[:-3])))
    town.start_worker("worker-1")
    answering.start()
    output: Fields = {}
    _publish(town, records(seed), output)
    town.wait_until_matched()
    # Later watches look back; a correction and a retraction follow.
    town.watch(BYSTANDER, watch(BYSTANDERS_OWN[-1]))
    if watching:
        town.watch(WATCHER, "".join(map(watch, WATCHED[-3:])))
    corrected = [{**each, "phone": "860-555-9999"} for each in records(seed)[:6]]
    _publish(town, corrected, output)
    retracted = town.run("agency", "retract", "R-1", *town.of("harbor", "agency"))
    output["output/retract"] = retracted
    _wait_for_alerts(town, seed, watching=watching)
    found = Run(touches=RECORDS + len(corrected) + 1)
    for name in (*AGENCIES, BYSTANDER, "answer-1"):
        found.seen[name] = observe(access(town, name), _suspected(), decoded, ranked)
    found.seen["harbor"] |= output
    found.seen["haven"] |= _look_ups(town)
    found.alerts_of_watcher = len(_messages(town, ALERTS.of(WATCHER)))
    return found


def access(town: SecuredTown, name: str) -> KafkaSettings:
    """The bus as one principal reaches it."""
    role = {"answer-1": "answer", WATCHER: "partner", BYSTANDER: "partner"}.get(name, "agency")
    organisation = AGENCIES.get(name, name).lower()
    file = HandOver.load(town.folder / f"{role}-{organisation}.toml")
    return next(iter(file.bus.values()))


def _found(town: SecuredTown, keys: Path) -> None:
    """Set everybody up; take over the keys that decide record ids, tokens and sizes."""
    kept = [town.key.name]
    for name, ori in AGENCIES.items():
        town.add_agency(name, ori)
        kept += [f"{name}/keys/{each}" for each in ("records.key", "signing.pem")]
        kept.append(f"{name}/signer.json")
    for each in kept:
        here, there = town.folder / each, keys / each
        there.parent.mkdir(parents=True, exist_ok=True)
        if there.exists():
            shutil.copyfile(there, here)
        else:
            shutil.copyfile(here, there)
    for name in (WATCHER, BYSTANDER):
        town.add_partner(name, *AGENCIES)
    for name in AGENCIES:
        others = [town.folder / each / "signer.json" for each in AGENCIES]
        town.run("agency", "trust", *others, *town.of(name, "agency"))


def _publish(town: SecuredTown, rows: list[dict[str, str]], output: Fields) -> None:
    mapping, file = town.folder / "map.toml", town.folder / "records.csv"
    named = "".join(f'{name} = "{name}"\n' for name in COLUMNS)
    mapping.write_text(f'[columns]\n{named}[formats]\ndate = "%Y-%m-%d"\n')
    lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    said = town.run("agency", "publish", file, "--mapping", mapping, *town.of("harbor", "agency"))
    output[f"output/publish/{len(output)}"] = said.replace(str(town.folder), "FOLDER")


def expected_alerts(seed: int, watched: Iterable[int]) -> int:
    """Records of watched subjects: one alert id for each."""
    wanted = {subject(number)["ssn"] for number in watched}
    return sum(row["ssn"] in wanted for row in records(seed))


def _wait_for_alerts(town: SecuredTown, seed: int, *, watching: bool) -> None:
    town.wait_until_matched()
    wanted = {BYSTANDER: expected_alerts(seed, BYSTANDERS_OWN)}
    wanted[WATCHER] = expected_alerts(seed, WATCHED) if watching else 0
    for partner, count in wanted.items():
        topic = ALERTS.of(partner)
        wait_until(
            lambda: len({m.key for m in _messages(town, topic)}) == count,  # noqa: B023
            f"{count} alerts for {partner}",
        )


def _messages(town: SecuredTown, topic: str) -> list[Any]:
    with TopicReader(town.kafka, [topic], client_id="judge") as reader:
        return [message for some in reader.read_to_end() for message in some]


def _look_ups(town: SecuredTown) -> Fields:
    """Ask about the same subjects in both runs; keep what the asker gets and what lies on Kafka."""
    seen: Fields = {}
    for number in LOOKED_UP:
        who = subject(number)
        said = town.run(
            "agency", "lookup", "--surname", who["surname"], "--given", who["given"],
            "--birth-date", who["birth_date"], "--ssn", who["ssn"], "--purpose", "investigation",
            "--case-number", "26-1", "--officer", "Det. Lee", "--officer-phone", "802-555-0199",
            "--json", *town.of("haven", "agency"),
        )  # fmt: skip
        answer = json.loads(said)
        answer.pop("inquiry_id", None)
        seen[f"lookup/{number}"] = json.dumps(answer, sort_keys=True)
    haven = access(town, "haven")
    seen |= {
        path.replace("messages/", "after/", 1): value
        for path, value in observe(haven, _suspected(), decoded, ranked).items()
        if path.startswith("messages/answers.")
    }
    return seen


def decoded(topic: str, value: bytes) -> Iterator[tuple[str, Any]]:
    """Open a message as far as whoever may read its topic can."""
    if topic.startswith("alerts."):
        alert = codec.decode(value, Alert)
        for name, one in alert.model_dump().items():
            if name == "parts":
                for number, part in enumerate(one):
                    yield f"parts/{number}/length", len(part)
                continue
            yield name, one.hex() if isinstance(one, bytes) else one
            if isinstance(one, bytes):
                yield f"{name}/length", len(one)
    elif topic.startswith("answers."):
        yield "sealed/length", len(codec.decode(value, Answer).sealed)


def ranked(topic: str, message: Message) -> tuple[Any, ...]:
    """Order alerts by record and revision, all else as it lies."""
    if topic.startswith("alerts.") and message.value is not None:
        alert = codec.decode(message.value, Alert)
        return alert.record_id, alert.revision, message.offset
    return message.partition, message.offset


def _suspected() -> list[str]:
    """Topics that anybody may have heard of, one of nobody among them."""
    organisations = (*(ori.lower() for ori in AGENCIES.values()), WATCHER, BYSTANDER, "nobody")
    kinds = ("watches", "alerts", "inquiries", "answers", "publications")
    return [
        "sent",
        "disclosures",
        "answer-disclosures",
        "quarantine",
        *(f"{kind}.{name}" for kind in kinds for name in organisations),
    ]
