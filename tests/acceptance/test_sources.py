"""Every source of an agency, from the source to an alert, in one town on Apache Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from shutil import copyfile

import httpx
import pytest
from openpyxl import Workbook
from sqlalchemy import create_engine, text

from producers.records import Record
from producers.sources.lexs import read as read_lexs
from schemas.vocabulary import IdentifierKind
from silenthit.bus.clients import KafkaSettings
from tests.services import free_port
from tests.town import Town, town, wait_until

NDEX = b"http://fbi.gov/cjis/N-DEx/IncidentArrest/2.1"
TOKEN = "a-token-of-twenty-and-more"
PHONES = {
    "csv": "802-555-0101",
    "excel": "802-555-0102",
    "sql": "802-555-0104",
    "http": "802-555-0105",
    "mail": "802-555-0106",
    "form": "802-555-0107",
    "inquiry": "802-555-0108",
}
SSNS = {"nibrs": "219-09-9987", "arrest": "219-09-9988", "booking": "219-09-9989"}
LEXS = """<lexs:Message xmlns:lexs="http://usdoj.gov/leisp/lexs/3.1"
 xmlns:lexsdigest="http://usdoj.gov/leisp/lexs/digest/3.1"
 xmlns:nc="http://niem.gov/niem/niem-core/2.0" xmlns:s="http://niem.gov/niem/structures/2.0">
<lexs:DataItemPackage><lexs:PackageMetadata><lexs:DataItemID>{kind}-1</lexs:DataItemID>
<lexs:DataItemCategoryText>{kind}</lexs:DataItemCategoryText></lexs:PackageMetadata><lexs:Digest>
<lexsdigest:EntityPerson><lexsdigest:Person s:id="P1"><nc:PersonSSNIdentification>
<nc:IdentificationID>{ssn}</nc:IdentificationID></nc:PersonSSNIdentification></lexsdigest:Person>
</lexsdigest:EntityPerson></lexs:Digest></lexs:DataItemPackage></lexs:Message>"""
NIBRS = """<?xml version="1.0"?>
<nibrs:Submission xmlns:nibrs="http://fbi.gov/cjis/nibrs/4.2"
 xmlns:j="http://release.niem.gov/niem/domains/jxdm/5.2/"
 xmlns:nc="http://release.niem.gov/niem/niem-core/3.0/"
 xmlns:s="http://release.niem.gov/niem/structures/3.0/"><nibrs:Report><nibrs:ReportHeader>
<nibrs:NIBRSReportCategoryCode>GROUP B ARREST REPORT</nibrs:NIBRSReportCategoryCode>
<nibrs:ReportActionCategoryCode>A</nibrs:ReportActionCategoryCode></nibrs:ReportHeader>
<nc:Person s:id="P1"><nc:PersonSSNIdentification>
<nc:IdentificationID>219-09-9987</nc:IdentificationID>
</nc:PersonSSNIdentification></nc:Person>
<j:Arrestee s:id="A1"><nc:RoleOfPerson s:ref="P1"/></j:Arrestee>
<j:Arrest s:id="B1"><nc:ActivityIdentification><nc:IdentificationID>ATN-7</nc:IdentificationID>
</nc:ActivityIdentification><nc:ActivityDate><nc:Date>2026-02-28</nc:Date></nc:ActivityDate>
</j:Arrest></nibrs:Report></nibrs:Submission>"""
MAIL = f"Subject: the pier\r\nMessage-ID: <1@x.example>\r\n\r\nCall {PHONES['mail']} for more\r\n"
SETTINGS = """
[[sources]]
name = "drop"
type = "folder"
path = "incoming"
mapping = "rms.toml"
every_s = 0.2
[[sources]]
name = "inquiries"
type = "folder"
path = "inquiries"
mapping = "inquiries.toml"
every_s = 0.2
[[sources]]
name = "cad"
type = "sql"
url = "{url}"
query = '''SELECT number AS record_number, phone, modified_at FROM incident
           WHERE modified_at >= :since'''
modified = "modified_at"
every_s = 0.5
[intake]
port = {port}
token = "token"
[tips]
protocol = "protocol.yaml"
[channels.desk]
url = "json://127.0.0.1:1/nobody"
"""
PROTOCOL = """
timezone: UTC
people: {duty: {channels: [desk]}}
last_resort: {call: [duty], every: 30m, times: 1}
"""
MAPPING = '[columns]\nrecord_number = "No"\nphone = "Phone"\nnarrative = "Notes"\n'


def identifiers_of(paths: list[Path]) -> dict[str, tuple[str, str]]:
    """An identifier for each LEXS file by which to watch somebody in it: document, else phone."""
    wanted = (IdentifierKind.SSN, IdentifierKind.PHONE)
    found: dict[str, tuple[str, str]] = {}
    for path in paths:
        [record] = read_lexs(path, UTC)
        assert isinstance(record, Record)
        values = [i for s in record.subjects for i in s.identifiers]
        for kind in wanted:
            match = next((i for i in values if i.kind is kind), None)
            if match:
                found[path.stem] = (kind.value, match.value)
                break
    return found


def watch(label: str, kind: str, value: str) -> str:
    return (
        f'[[watch]]\nlabel = "{label}"\nlegal_basis = "test"\n[[watch.subject]]\n'
        f'identifiers = [{{kind = "{kind}", value = "{value}"}}]\n'
    )


@contextmanager
def agent(made: Town) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "silenthit", "agency", "run", *made.of("pd", "agency")]
    with (made.folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def set_up(made: Town, url: str, port: int) -> Path:
    made.add_agency("pd", "VT0040100")
    pd = made.folder / "pd"
    text_ = (pd / "agency.toml").read_text("utf-8")
    head, rest = text_.split("\n[", 1)
    more = SETTINGS.format(url=url, port=port)
    (pd / "agency.toml").write_text(f"{head}\ncanary = false\n[{rest}{more}", "utf-8")
    (pd / "token").write_text(TOKEN, "utf-8")
    (pd / "protocol.yaml").write_text(PROTOCOL, "utf-8")
    (pd / "rms.toml").write_text(MAPPING, "utf-8")
    (pd / "inquiries.toml").write_text(f'kind = "inquiry"\n{MAPPING}', "utf-8")
    for each in ("incoming", "inquiries"):
        (pd / each).mkdir()
    return pd


def drop(folder: Path, lexs: list[Path]) -> None:
    for path in lexs:
        copyfile(path, folder / path.name)
    (folder / "a.csv").write_text(f'No,Phone,Notes\nC-1,{PHONES["csv"]},"two\nlines"\n', "utf-8")
    book = Workbook()
    book.active.append(["No", "Phone", "Notes"])
    book.active.append(["X-1", int(PHONES["excel"].replace("-", "")), None])
    book.save(folder / "a.xlsx.part")
    (folder / "a.xlsx.part").rename(folder / "a.xlsx")
    (folder / "nibrs.xml").write_text(NIBRS, "utf-8")
    for kind in ("arrest", "booking"):
        (folder / f"{kind}.xml").write_text(LEXS.format(kind=kind, ssn=SSNS[kind]), "utf-8")
    (folder / "tip.eml").write_text(MAIL, "utf-8")


@pytest.mark.slow
def test_every_source_reaches_an_alert(
    tmp_path: Path,
    fresh_kafka: KafkaSettings,
    redis_url: str,
    postgres_url: str,
    outside_data: Path,
):
    lexs = sorted((outside_data / "lexs").glob("*.xml"))
    watched = identifiers_of(lexs)
    assert len(watched) == len(lexs) == 26
    assert all(NDEX in path.read_bytes() for path in lexs), "each has an N-DEx payload"
    port, engine = free_port(), create_engine(postgres_url)
    with town(tmp_path / "town", fresh_kafka, redis_url) as made, engine.connect() as db:
        db.execute(text("CREATE TABLE incident (number text, phone text, modified_at timestamp)"))
        insert = "INSERT INTO incident VALUES ('S-1', :phone, now())"
        db.execute(text(insert), {"phone": PHONES["sql"]})
        db.commit()
        pd = set_up(made, postgres_url, port)
        made.add_partner("fbi", "pd")
        made.start_worker()
        texts = [watch(label, "phone", phone) for label, phone in PHONES.items()]
        texts += [watch(label, "ssn", ssn) for label, ssn in SSNS.items()]
        texts += [watch(label, kind, value) for label, (kind, value) in watched.items()]
        made.watch("fbi", "".join(texts))
        verdicts = made.run("agency", "check", *made.of("pd", "agency"))
        for what in ("source drop", "source cad", "intake", "tips"):
            assert what in verdicts
        with agent(made), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            drop(pd / "incoming", lexs)
            log = f"No,Phone,Notes\nQ-1,{PHONES['inquiry']},\n"
            (pd / "inquiries" / "log.csv").write_text(log, "utf-8")
            wait_until(lambda: answers(client), "the intake to answer")
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            phone = {"kind": "phone", "value": PHONES["http"]}
            record = {"number": "H-1", "kind": "arrest", "subjects": [{"identifiers": [phone]}]}
            assert client.post("/records", json={"records": [record]}, headers=bearer).is_success
            form = {"text": f"a man with {PHONES['form']}", "place": "Pier 7"}
            assert client.post("/tips", data=form, headers=bearer).is_success
            expected = {*PHONES, *SSNS, *watched}
            wait_until(lambda: expected <= alerted(made), "an alert of every source", 120)
            wait_until(lambda: called(made) == [["duty"], ["duty"]], "calls about both tips")
        kinds = {each["label"]: each["kind"] for each in made.alerts("fbi")}
    engine.dispose()
    assert not list((pd / "incoming" / "failed").iterdir())
    assert len(list((pd / "incoming" / "done").iterdir())) == 26 + 6
    assert (kinds["mail"], kinds["form"], kinds["http"]) == ("tip", "tip", "arrest")
    assert (kinds["nibrs"], kinds["inquiry"]) == ("arrest", "inquiry")
    assert (kinds["arrest"], kinds["booking"]) == ("arrest", "booking")


def called(made: Town) -> list[list[str]]:
    tips = made.run("agency", "tips", "list", "--json", *made.of("pd", "agency"))
    return [each["called"] for each in json.loads(tips)]


def alerted(made: Town) -> set[str]:
    return {each["label"] for each in made.alerts("fbi")}


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
