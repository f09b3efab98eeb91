"""The agency's command, run as a clerk runs it, against the embedded broker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.topics import TOUCHES
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from silenthit.bus.sender import SenderKey, verified_sender

CSV = """record_number,kind,occurred_at,surname,given,birth_date,phone
A-1,arrest,2026-01-02T10:00:00,Quimby,Ana,1990-02-03,802-555-0100
A-2,tip,2026-01-02T10:00:00,Xylander,Bo,1990-02-31,802-555-0101
A-3,tip,2026-01-02T10:00:00,,,,
A-4,tip,,Zeppo,Cy,,802-555-0103
"""
MAPPED = "Report No,Last\nB-1,Quimby\n"
MAPPING = '[columns]\nrecord_number = "Report No"\nsurname = "Last Name"\n'
BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


class Agency:
    """An agency set up in a folder, and its command."""

    def __init__(self, folder: Path, bus: KafkaSettings) -> None:
        self.folder, self.bus = folder, bus
        run("keyholder", "generate", str(folder / "epoch.json"), "--epoch", "1")
        run(
            "agency", "init", str(folder / "pd"), "--ori", "VT0040100", "--name", "Burlington PD",
            "--bootstrap", bus.bootstrap_servers, "--local-key", str(folder / "epoch.json"),
        )  # fmt: skip
        self.config = folder / "pd" / "agency.toml"

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return run("agency", *words, "--config", str(self.config), code=code)

    def file(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return str(path)

    def topic(self) -> list[Message]:
        """Everything on the topic by now, oldest first."""
        reader = TopicReader(self.bus, [TOUCHES.name], client_id="test")
        messages: list[Message] = []
        while not reader.caught_up():
            messages += reader.read(1000, 0.5)
        reader.close()
        return messages


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "silenthit", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def agency(tmp_path: Path, embedded_broker: KafkaSettings) -> Iterator[Agency]:
    return Agency(tmp_path, embedded_broker)


def header(message: Message) -> TouchHeader:
    assert message.value is not None
    return codec.decode(codec.decode(message.value, SubjectTouch).header, TouchHeader)


def test_good_records_go_through_and_each_bad_one_is_told_with_place_and_remedy(agency):
    done = agency(
        "publish",
        agency.file("a.csv", CSV),
        agency.file("open.xml", "<a>\n<b></a>"),
        agency.file("bomb.xml", BOMB),
        agency.file("external.xml", EXTERNAL),
        agency.file("other.pdf", "x"),
        code=2,
    )
    told = done.stderr.splitlines()
    assert len(told) == 6
    for place in (
        "a.csv, line 3, column 'birth_date'",
        "a.csv, line 4",
        "open.xml, line 2",
        "bomb.xml, line 1",
        "external.xml, line 1",
        "other.pdf",
    ):
        [line] = [each for each in told if f"not taken: {place}:" in each]
        assert "expected" in line
        assert "; " in line
    for content in ("Xylander", "1990-02-31", "555-0101", "root:"):
        assert content not in done.stderr + done.stdout
    assert "2 accepted" in done.stdout
    assert "6 not taken" in done.stdout
    assert len(agency.topic()) == 2


def test_a_missing_mapped_column_is_named_and_nothing_is_published(agency):
    done = agency(
        "publish", agency.file("b.csv", MAPPED), "--mapping", agency.file("m.toml", MAPPING), code=2
    )
    assert "b.csv, line 1: expected the column 'Last Name'" in done.stderr


def test_a_mapping_with_a_field_that_does_not_exist_is_refused_by_name(agency):
    mapping = agency.file("m.toml", '[columns]\nshoe_size = "S"\n')
    done = agency("publish", agency.file("b.csv", MAPPED), "--mapping", mapping, code=3)
    assert "shoe_size" in done.stderr


def test_the_same_file_twice_is_published_once_and_a_correction_once_more(agency):
    clean = "\n".join(CSV.splitlines()[:2])
    agency("publish", agency.file("a.csv", clean))
    again = json.loads(agency("publish", agency.file("a.csv", clean), "--json").stdout)
    assert (again["unchanged"], again["published"]) == (1, 0)
    corrected = clean.replace("0100", "0199")
    summary = json.loads(agency("publish", agency.file("a.csv", corrected), "--json").stdout)
    assert (summary["corrected"], summary["published"]) == (1, 1)
    messages = agency.topic()
    assert [header(each).revision for each in messages] == [1, 2]
    assert len({each.key for each in messages}) == 1


def test_a_retraction_is_a_tombstone_signed_by_the_agency(agency):
    clean = "\n".join(CSV.splitlines()[:2])
    agency("publish", agency.file("a.csv", clean))
    agency("retract", "A-1")
    last = agency.topic()[-1]
    hand_over = json.loads((agency.config.parent / "sender.json").read_text("utf-8"))
    key = SenderKey(hand_over["key_id"], bytes.fromhex(hand_over["secret"]))
    assert last.value is None
    assert verified_sender({key.key_id: key}, last.key or b"", None, last.headers) == key
    done = agency("publish", agency.file("a.csv", clean), code=2)
    assert "--reinstate" in done.stderr


def test_retracting_what_was_never_accepted_says_which_without_quoting_it(agency):
    done = agency("retract", "NEVER-SEEN", code=2)
    assert "record number 1 of 1" in done.stderr
    assert "NEVER-SEEN" not in done.stderr


def test_what_is_on_the_topic_shows_nothing_of_the_record(agency):
    agency("publish", agency.file("a.csv", "\n".join(CSV.splitlines()[:2])))
    [message] = agency.topic()
    everything = (message.value or b"") + (message.key or b"") + repr(message.headers).encode()
    for said in (b"A-1", b"Quimby", b"QUIMBY", b"quimby", b"1990", b"5550100", b"Burlington"):
        assert said not in everything


def test_while_the_broker_is_away_records_are_kept_and_go_out_later(agency):
    config = agency.config.read_text("utf-8")
    away = config.replace(agency.bus.bootstrap_servers, "127.0.0.1:1")
    agency.config.write_text(away, encoding="utf-8")
    clean = agency.file("a.csv", "\n".join(CSV.splitlines()[:2]))
    done = agency("publish", clean, "--wait", "1", code=4)
    assert "kept" in done.stderr
    status = json.loads(agency("status", "--json").stdout)
    assert status["records"]["sealed"] == 1
    [waiting] = json.loads(agency("waiting", "--json").stdout)
    assert (waiting["revision"], waiting["state"]) == (1, "sealed")
    agency.config.write_text(config, encoding="utf-8")
    assert json.loads(agency("publish", "--json").stdout)["published"] == 1
    assert len(agency.topic()) == 1


def test_check_says_of_each_thing_whether_it_works(agency):
    (agency.config.parent / "incoming").mkdir()
    text = agency.config.read_text("utf-8")
    text += '\n[[sources]]\nname = "rms"\ntype = "folder"\npath = "incoming"\n'
    text += '[[sources]]\nname = "gone"\ntype = "folder"\npath = "nowhere"\n'
    agency.config.write_text(text, encoding="utf-8")
    agency("publish", agency.file("a.csv", "\n".join(CSV.splitlines()[:2])))
    found = {each["what"]: each for each in json.loads(agency("check", "--json", code=3).stdout)}
    works = {what for what, each in found.items() if each["works"]}
    assert works == {"keys", "outbox", "key holder", "broker", "source rms"}
    assert "nowhere" in found["source gone"]["text"]
    away = text.replace(agency.bus.bootstrap_servers, "127.0.0.1:1")
    agency.config.write_text(away, encoding="utf-8")
    assert "FAILS  broker" in agency("check", code=3).stdout


def test_a_planned_operation_is_published_moved_and_cancelled(agency):
    plan = """number = "OP-1"
starts_at = 2026-03-01T05:00:00-05:00
ends_at = 2026-03-01T09:00:00-05:00
contact = { name = "Sgt. Lee", phone = "802-555-0199" }
[[subject]]
surname = "Quimby"
given = "Ana"
birth_dates = ["1990-02-03"]
"""
    agency("operation", "add", agency.file("op.toml", plan))
    later = plan.replace("T09:", "T10:")
    summary = json.loads(agency("operation", "add", agency.file("op.toml", later), "--json").stdout)
    assert summary["corrected"] == 1
    agency("operation", "cancel", "OP-1")
    agency("operation", "add", agency.file("op.toml", plan))
    messages = agency.topic()
    assert [each.value is None for each in messages] == [False, False, True, False]
    assert header(messages[0]).kind.value == "operation"
    backwards = plan.replace("T09:", "T04:").replace("1990-02-03", "1990-02-31")
    done = agency("operation", "add", agency.file("op.toml", backwards), code=3)
    assert "birth_dates" in done.stderr
    assert "1990-02-31" not in done.stderr


def test_explain_shows_match_keys_and_what_the_exchange_sees_and_publishes_nothing(agency):
    clean = agency.file("a.csv", "\n".join(CSV.splitlines()[:2]))
    view = json.loads(agency("explain", "A-1", clean, "--json").stdout)
    keys = {key["kind"]: key["value"] for key in view["subjects"][0]["match_keys"]}
    assert keys["phone"] == "+18025550100"
    seen = json.dumps(view["exchange_sees"])
    assert view["exchange_sees"]["kind"] == "custody"
    for said in ("A-1", "Quimby", "1990", "5550100"):
        assert said not in seen
    assert "what the exchange will see" in agency("explain", "A-1", clean).stdout
    assert json.loads(agency("status", "--json").stdout)["records"]["accepted"] == 0
    assert "that number" in agency("explain", "NEVER-SEEN", clean, code=2).stderr


def test_secrets_are_for_their_owner_alone_and_an_agency_is_not_set_up_twice(agency):
    folder = agency.config.parent
    for path in (*(folder / "keys").iterdir(), folder / "sender.json"):
        assert path.stat().st_mode & 0o077 == 0, path.name
    again = run(
        "agency", "init", str(folder), "--ori", "VT0040100", "--name", "X", "--bootstrap", "h:1",
        "--local-key", str(agency.folder / "epoch.json"), code=2,
    )  # fmt: skip
    assert "expected no agency" in again.stderr


@pytest.mark.parametrize(
    "command", ["init", "publish", "retract", "status", "explain", "check", "run", "map", "waiting"]
)
def test_every_command_has_help_with_an_example(command):
    assert "Example" in run("agency", command, "--help").stdout


def test_a_lost_record_goes_again_as_its_next_revision_from_its_copy_or_its_file(agency):
    file = agency.file("a.csv", "record_number,name,phone\nR-1,Ana Ro,802-555-0100\n")
    agency("publish", file)
    agency("publish", "--again", "R-1")
    agency("publish", "--again", "R-1", file)
    agency("publish", "--again", "R-9", code=2)
    agency("retract", "R-1")
    agency("publish", "--again", "R-1")
    found = agency.topic()
    assert len({each.key for each in found}) == 1
    assert [header(each).revision for each in found if each.value is not None] == [1, 2, 3]
    gone = [dict(each.headers) for each in found if each.value is None]
    assert [each["revision"] for each in gone] == [b"4", b"5"]
    assert all(each["proof"] for each in gone)


def test_history_goes_through_the_slow_lane_and_waits_behind_live_records(agency):
    rows = "".join(f"H-{n},Ana{n} Ro{n},802-555-{n:04}\n" for n in range(30))
    old = agency.file("old.csv", f"record_number,name,phone\n{rows}")
    agency("publish", "--history", old)
    status = json.loads(agency("status", "--json").stdout)
    assert (status["history_waiting"], status["records"]["published"]) == (0, 30)
    assert json.loads(agency("publish", old, "--json").stdout)["unchanged"] == 30
    assert len(agency.topic()) == 30
