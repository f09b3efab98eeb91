"""The disclosure record on Apache Kafka: whole while nobody touches it, caught when it is cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from schemas.topics import DISCLOSURES
from silenthit.bus.admin import create_topics
from silenthit.bus.clients import KafkaSettings, Message, Publisher, TopicReader
from tests.town import Town, town, wait_until

pytestmark = pytest.mark.slow

RECORDS = """\
record_number,kind,role,surname,given,birth_date
D-1,arrest,suspect,Quillfeather,John,1980-01-02
D-2,arrest,suspect,Stranger,Anna,1990-03-04
"""
WATCH = """
[[watch]]
label = "quill"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
"""


def held(kafka: KafkaSettings) -> list[Message]:
    with TopicReader(kafka, [DISCLOSURES.name], client_id="test") as reader:
        return [message for messages in reader.read_to_end() for message in messages]


def verified(here: Town, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["exchange", "disclosures", "verify", *here.exchange, *map(str, words)]
    return subprocess.run(
        [sys.executable, "-m", "silenthit", *command], capture_output=True, text=True, check=False
    )


def test_the_record_of_a_town_is_whole_and_a_cut_is_caught(
    tmp_path: Path, fresh_kafka: KafkaSettings, redis_server: str
) -> None:
    with town(tmp_path, fresh_kafka, redis_server) as here:
        columns = RECORDS.splitlines()[0].split(",")
        mapping, records = tmp_path / "map.toml", tmp_path / "records.csv"
        mapping.write_text("[columns]\n" + "".join(f'{name} = "{name}"\n' for name in columns))
        records.write_text(RECORDS)
        here.add_agency("harbor", "MA0130100")
        here.add_partner("fbi", "harbor")
        here.watch("fbi", WATCH)
        key, ours = tmp_path / "fbi.json", here.of("fbi", "partner")
        here.run("partner", "disclosure-key", "--out", key, *ours)
        here.run("exchange", "enrol", "partner", "fbi", "--disclosure-key", key, *here.exchange)
        court = here.run("exchange", "disclosures", "court-key", tmp_path / "court.key")
        with (tmp_path / "exchange" / "exchange.toml").open("a", encoding="utf-8") as config:
            config.write(f"\n[disclosures]\n{court}")
        here.start_worker()
        here.publish("harbor", records, mapping=mapping)
        here.wait_until_matched()
        wait_until(lambda: held(fresh_kafka), "a disclosure")
        listed = here.run("exchange", "disclosures", "list", *here.exchange).splitlines()
        (entry,) = [json.loads(line) for line in listed]
        assert (entry["what"], entry["agency"], entry["status"]) == ("alert", "MA0130100", "active")
        assert "fbi" not in listed[0]
        everything, opened = tmp_path / "list.jsonl", tmp_path / "opened.jsonl"
        everything.write_text(listed[0] + "\n", "utf-8")
        why = "--to", "the auditor", "--purpose", "a docket"
        here.run("partner", "disclose", everything, "--all", "--out", opened, *why, *ours)
        proven = here.run("exchange", "disclosures", "check", opened, *here.exchange)
        ordered = here.run(
            "exchange", "disclosures", "open", tmp_path / "court.key", *here.exchange
        )
        (alert,) = here.alerts("fbi")
        for line in (proven, ordered):
            assert json.loads(line)["told"].items() >= {"partner": "fbi"}.items()
            assert json.loads(line)["told"]["alert"].startswith(alert["alert_id"])
        here.stop_workers()
        heads = tmp_path / "heads.json"
        whole = verified(here, "--note", heads)
        assert whole.returncode == 0, whole.stderr
        assert "last link: close" in whole.stdout
        cut_off(fresh_kafka, held(fresh_kafka)[:-1])
        cut = verified(here, "--heads", heads)
        assert (cut.returncode, "cut off" in cut.stderr) == (1, True)
        assert held(fresh_kafka)[0].key.hex() in cut.stderr


def cut_off(kafka: KafkaSettings, kept: list[Message]) -> None:
    """Do as an operator of the brokers who makes the topic anew without its end."""
    admin = AdminClient(kafka.properties("test"))
    admin.delete_topics([DISCLOSURES.name])[DISCLOSURES.name].result(30)
    wait_until(
        lambda: DISCLOSURES.name not in admin.list_topics(timeout=10).topics, "the topic to go"
    )
    create_topics(kafka, [(DISCLOSURES, DISCLOSURES.name)])
    with Publisher(kafka, client_id="test") as publisher:
        for each in kept:
            publisher.send(each.topic, each.key, each.value).result(30)
