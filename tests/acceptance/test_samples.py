"""The alerts worked out by hand, held against the reference rule on plaintext match keys."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from producers.records import Record
from producers.sources.files import read
from producers.sources.mapping import ColumnMapping
from schemas.packing import TOKEN, pack
from schemas.parts import Identifier, PersonName, Subject
from schemas.rule import satisfies
from schemas.vocabulary import COARSE_KIND, NameKind
from silenthit.identity.match_keys import match_keys
from silenthit.settings import load_toml

SAMPLES = Path(__file__).parents[2] / "samples"
ZONE = ZoneInfo("America/New_York")


def tokens(subjects, items=()):
    """Tokens of an open PRF: what counts here is only which match keys are equal."""
    return pack(
        [
            (number, key.kind, hashlib.sha256(f"{key.kind}|{key.value}".encode()).digest()[:16])
            for number, subject in enumerate(subjects)
            for key in match_keys(subject, items=items)
        ],
        TOKEN,
    )


def all_records():
    for path in sorted([*SAMPLES.glob("*/lexs/*.xml"), *SAMPLES.glob("*/*.csv")]):
        mapping = path.with_suffix(".toml")
        columns = load_toml(mapping, ColumnMapping) if mapping.exists() else ColumnMapping()
        yield from read(path, columns, ZONE)


@pytest.fixture(scope="module")
def records():
    return list(all_records())


def watched_subject(each):
    names = [PersonName(full=alias, kind=NameKind.ALIAS) for alias in each.get("aliases", [])]
    names += [PersonName(full=n, kind=NameKind.STREET_NAME) for n in each.get("street_names", [])]
    parts = {part: each[part] for part in ("surname", "given", "middle") if part in each}
    return Subject(
        names=(*([PersonName(**parts)] if parts else []), *names),
        birth_dates=tuple(each.get("birth_dates", ())),
        identifiers=tuple(Identifier(**found) for found in each.get("identifiers", ())),
    )


def listed(kind):
    entries = tomllib.loads((SAMPLES / "expected_alerts.toml").read_text())[kind]
    return {(each["partner"], each["label"], each["record_number"]): each for each in entries}


def test_every_record_is_taken(records):
    assert [str(each) for each in records if not isinstance(each, Record)] == []
    assert len({each.number for each in records}) == len(records) >= 60


def test_the_match_rule_gives_the_alerts_worked_out_by_hand_and_no_near_miss(records):
    found = set()
    for file in SAMPLES.glob("watches/*.toml"):
        for watch in tomllib.loads(file.read_text())["watch"]:
            watched = tokens([watched_subject(each) for each in watch["subject"]])
            found |= {
                (file.stem, watch["label"], record.number)
                for record in records
                if not watch.get("kinds") or COARSE_KIND[record.kind] in watch["kinds"]
                if satisfies(tokens(record.subjects or (Subject(),), record.items), watched)
            }
    assert found == set(listed("alert"))
    assert found.isdisjoint(listed("near_miss"))


def test_every_near_miss_names_a_record_and_a_watch_that_are_there(records):
    numbers = {each.number for each in records}
    labels = {
        (file.stem, watch["label"])
        for file in SAMPLES.glob("watches/*.toml")
        for watch in tomllib.loads(file.read_text())["watch"]
    }
    for kind in ("alert", "near_miss"):
        for (partner, label, number), entry in listed(kind).items():
            assert number in numbers
            assert (partner, label) in labels
            assert entry["reason"]


def test_phone_numbers_are_of_the_block_kept_for_fiction(records):
    for record in records:
        everyone = [i for subject in record.subjects for i in subject.identifiers]
        for each in (*everyone, *record.items):
            if each.kind == "phone":
                assert "55501" in "".join(filter(str.isdigit, each.value))
            if each.kind == "ssn":
                assert each.value.startswith("899-")
