"""An agency's look-up: never unseen, never without a case, and in the agency's own record."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from producers import agency as wiring
from producers.enrolment import create
from producers.look_up import Request, look_up, open_book
from producers.records import Contact
from producers.settings import AgencySettings
from producers.sharing import SharingPolicy
from schemas.inquiries import Purpose
from schemas.parts import PersonName, Subject
from schemas.vocabulary import SubjectRole, TouchKind
from silenthit.blinding.prf import EpochSecrets
from silenthit.errors import InputError, RefusedError, SettingsError

OFFICER = Contact(name="Det. Lee", phone="802-555-0199", unit="Vice")
JOHN = Subject(
    names=(PersonName(surname="Quillfeather", given="John"),), birth_dates=("1980-01-02",)
)


@pytest.fixture
def settings(tmp_path: Path) -> AgencySettings:
    key = tmp_path / "epoch1.json"
    EpochSecrets.generate(epoch=1).save(key)
    made = create(
        tmp_path / "pd",
        ori="VT0040100",
        name="Burlington PD",
        bootstrap="127.0.0.1:1",
        local_key=key,
    )
    return wiring.load(made.config)


def request(**more: Any) -> Request:
    fields: dict[str, Any] = {
        "subject": JOHN,
        "purpose": Purpose.VICTIM_SAFETY,
        "case_number": "26-7",
        "officer": OFFICER,
    }
    return Request(**fields | more)


def lines(settings: AgencySettings) -> list[dict[str, Any]]:
    with closing(open_book(settings)) as book:
        return list(book.lines())


@pytest.mark.parametrize(
    "policy",
    [
        SharingPolicy(kinds=frozenset(TouchKind) - {TouchKind.INQUIRY}),
        SharingPolicy(never_units=frozenset({"Vice"})),
    ],
    ids=["kind", "unit"],
)
def test_a_policy_that_keeps_look_ups_back_refuses_them_and_that_is_recorded(
    settings: AgencySettings, policy: SharingPolicy
) -> None:
    hiding = settings.model_copy(update={"sharing": policy})
    with pytest.raises(RefusedError, match="nobody looks up unseen"):
        look_up(hiding, request(), 1)
    (line,) = lines(settings)
    assert (line["officer"], line["purpose"], line["status"]) == (
        "Det. Lee",
        "victim_safety",
        "RefusedError",
    )


def test_a_withheld_role_does_not_hide_who_asks(settings: AgencySettings) -> None:
    policy = SharingPolicy(withheld_roles=frozenset({SubjectRole.UNKNOWN}))
    with pytest.raises((InputError, RefusedError)):
        look_up(settings.model_copy(update={"sharing": policy}), request(), 1)


@pytest.mark.parametrize(
    "more",
    [
        {"case_number": " "},
        {"officer": Contact(name="Det. Lee")},
        {"officer": Contact(phone="802-555-0199")},
        {"subject": Subject(birth_dates=("1980-01-02",))},
    ],
    ids=["no-case", "no-number", "no-name", "too-little"],
)
def test_without_a_case_somebody_to_call_or_enough_to_ask_by_nothing_is_asked_or_recorded(
    settings: AgencySettings, more: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        look_up(settings, request(**more), 1)
    assert lines(settings) == []


def test_the_record_opens_with_the_agencys_key_alone(settings: AgencySettings) -> None:
    with closing(open_book(settings)) as book:
        book.asked(b"i" * 16, {"officer": "Det. Lee", "subject": "Quillfeather"})
        book.ended(b"i" * 16, "answered", 2)
    (line,) = lines(settings)
    assert (line["subject"], line["status"], line["contacts"]) == ("Quillfeather", "answered", 2)
    assert b"Quillfeather" not in settings.outbox.read_bytes()
    (settings.outbox.parent / "keys" / "outbox.key").write_text("00" * 32, "ascii")
    with pytest.raises(SettingsError, match=r"outbox\.key"):
        lines(settings)


def test_the_touch_of_a_look_up_says_who_asked_and_why_and_is_an_inquiry() -> None:
    record = request().record(b"i" * 16)
    assert (record.kind, record.contact.name, record.contact.case_number) == (
        TouchKind.INQUIRY,
        "Det. Lee",
        "26-7",
    )
    assert "victim safety" in record.narrative
    assert "Quillfeather" not in record.number
