"""The same seeded traffic on a fresh cluster, with a partner's watches or without them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from schemas.topics import ALERTS, DECONFLICTIONS
from silenthit.bus.clients import KafkaSettings, TopicReader
from silenthit.bus.handover import HandOver
from tests.noninterference.answering import Answering
from tests.noninterference.observed import Fields, observe
from tests.noninterference.reading import decoded, ranked, suspected
from tests.noninterference.traffic import (
    AGENCIES,
    ALLIES,
    ALLY,
    BYSTANDER,
    BYSTANDER_WILLING,
    BYSTANDERS_OWN,
    COLUMNS,
    LOOKED_UP,
    PLACES,
    WATCHED,
    WATCHER,
    WATCHER_WILLING,
    expected_alerts,
    label,
    operation,
    place,
    records,
    subject,
    watch,
)
from tests.secured import SecuredTown, secured_exchange
from tests.town import wait_until

SETTLES_S = 1  # a watch counts for deconfliction from then on


@dataclass
class Run:
    """What each principal saw of one run."""

    seen: dict[str, Fields] = field(default_factory=dict)
    alerts_of_watcher: int = 0
    hits: int = 0  # among them


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
    _watch_before(town, watching=watching)
    town.start_worker("worker-1")
    town.start_deconflicting()
    answering.start()
    output = _publish(town, "published", records(seed))
    output |= _plan(town)
    town.wait_until_matched()
    _watch_after(town, watching=watching)
    corrected = [{**each, "phone": "860-555-9999"} for each in records(seed)[:6]]
    output |= _publish(town, "corrected", corrected)
    retracted = town.run("agency", "retract", "R-1", *town.of("harbor", "agency"))
    output["output/retract"] = retracted
    said = _deconflict(town, watching=watching)
    _wait_for_alerts(town, seed, watching=watching)
    return _seen(town, {"harbor": output, BYSTANDER: said})


def _watch_before(town: SecuredTown, *, watching: bool) -> None:
    town.watch(BYSTANDER, "".join(map(watch, BYSTANDERS_OWN[:-1])))
    town.watch(ALLY, watch(ALLIES))
    if watching:
        town.watch(WATCHER, "".join(map(watch, WATCHED[:-3])) + place(PLACES[0]))


def _watch_after(town: SecuredTown, *, watching: bool) -> None:
    """Watch what was touched before: found by look-back."""
    town.watch(BYSTANDER, watch(BYSTANDERS_OWN[-1]))
    if watching:
        town.watch(WATCHER, "".join(map(watch, WATCHED[-3:])) + place(PLACES[1]))


def _seen(town: SecuredTown, printed: dict[str, Fields]) -> Run:
    """Become each other principal, and look at all there is."""
    found = Run(alerts_of_watcher=len(_messages(town, ALERTS.of(WATCHER))))
    for name in (*AGENCIES, BYSTANDER, ALLY, "answer-1"):
        seen = observe(access(town, name), suspected(), decoded, ranked)
        found.seen[name] = seen | printed.get(name, {})
    found.seen["haven"] |= _look_ups(town)
    found.hits = sum(each["decision"] == "hit" for each in town.alerts(WATCHER))
    return found


def access(town: SecuredTown, name: str) -> KafkaSettings:
    """The bus as one principal reaches it."""
    role = "agency" if name in AGENCIES else "answer" if name == "answer-1" else "partner"
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
    town.deconfliction_key(SETTLES_S)
    for name in (WATCHER, BYSTANDER, ALLY):
        town.add_partner(name, *AGENCIES)
    for name in AGENCIES:
        others = [town.folder / each / "signer.json" for each in AGENCIES]
        town.run("agency", "trust", *others, *town.of(name, "agency"))


def _publish(town: SecuredTown, what: str, rows: list[dict[str, str]]) -> Fields:
    mapping, file = town.folder / "map.toml", town.folder / "records.csv"
    named = "".join(f'{name} = "{name}"\n' for name in COLUMNS)
    mapping.write_text(f'[columns]\n{named}[formats]\ndate = "%Y-%m-%d"\n')
    lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    said = town.run("agency", "publish", file, "--mapping", mapping, *town.of("harbor", "agency"))
    return {f"output/{what}": said.replace(str(town.folder), "FOLDER")}


def _plan(town: SecuredTown) -> Fields:
    """Plan an operation at the place that is watched."""
    path = town.folder / "operation.toml"
    path.write_text(operation(), encoding="utf-8")
    said = town.run("agency", "operation", "add", path, *town.of("harbor", "agency"))
    return {"output/operation": said}


def _deconflict(town: SecuredTown, *, watching: bool) -> Fields:
    """Let one of two be willing about a subject, then both of two others: these alone are told.

    That they were told also says that what was said before them has been looked at.
    """
    said: Fields = {}
    if watching:
        _say(town, WATCHER, WATCHER_WILLING, willing=True)
        _say(town, WATCHER, BYSTANDER_WILLING, willing=False)
    _say(town, ALLY, ALLIES, willing=True)
    for number, willing in ((WATCHER_WILLING, False), (BYSTANDER_WILLING, True), (ALLIES, True)):
        said[f"output/deconflict/{number}"] = _say(town, BYSTANDER, number, willing=willing)
    for partner in (ALLY, BYSTANDER):
        topic = DECONFLICTIONS.of(partner)
        wait_until(lambda: _messages(town, topic), f"{partner} to be told")  # noqa: B023
    town.run("alerts", "receive", "--once", *town.of(BYSTANDER, "partner"))
    listed = town.run("deconflictions", "list", "--json", *town.of(BYSTANDER, "partner"))
    for number, each in enumerate(json.loads(listed)):
        said[f"output/told/{number}"] = each["label"], each["shown_as"], each["name"]
    return said


def _say(town: SecuredTown, partner: str, number: int, *, willing: bool) -> str:
    words = ["--on", "--contact", "the desk", "--phone", "203-555-0100"] if willing else ["--off"]
    return town.run("watch", "deconflict", label(number), *words, *town.of(partner, "partner"))


def _wait_for_alerts(town: SecuredTown, seed: int, *, watching: bool) -> None:
    town.wait_until_matched()
    wanted = {BYSTANDER: expected_alerts(seed, BYSTANDERS_OWN)}
    wanted[WATCHER] = expected_alerts(seed, WATCHED) + len(PLACES) if watching else 0
    wanted[ALLY] = expected_alerts(seed, [ALLIES])
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
        for path, value in observe(haven, suspected(), decoded, ranked).items()
        if path.startswith("messages/answers.")
    }
    return seen
