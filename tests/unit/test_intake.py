from __future__ import annotations

import pytest

from producers.intake import Intake, Tally
from producers.outbox import Outbox
from producers.records import Place, Record, Rejection, Withdrawal
from producers.sharing import SharingPolicy
from producers.touch import record_id
from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind, TouchKind

SECRET = b"r" * 32


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


@pytest.fixture
def rejected() -> list[Rejection]:
    return []


def intake(outbox: Outbox, **more: object) -> Intake:
    fields = {"record_secret": SECRET, "area_code": "", "retention_years": 5, **more}
    return Intake(outbox=outbox, **fields)


def record(number: str = "R-1", phone: str = "802-555-0100", **more: object) -> Record:
    subject = Subject(identifiers=(Identifier(kind=IdentifierKind.PHONE, value=phone),))
    fields = {"kind": TouchKind.ARREST, "subjects": (subject,), **more}
    return Record(number=number, **fields)


def test_each_outcome_is_counted_and_the_bad_ones_are_told(outbox, rejected):
    bad = Rejection(Place("x.csv", "line 3"), "a date", "correct it")
    empty = record("R-3").model_copy(update={"subjects": ()})
    outcomes = [record(), record(), record(phone="802-555-0199"), bad, empty]
    tally = intake(outbox).take(outcomes, rejected.append)
    assert tally == Tally(new=1, unchanged=1, corrected=1, rejected=2)
    assert tally.accepted == 3
    assert rejected[0] is bad


def test_a_withdrawal_keeps_its_place_among_the_records(outbox, rejected):
    outcomes = [record(), Withdrawal(number="R-1"), Withdrawal(number="R-9")]
    assert intake(outbox).take(outcomes, rejected.append) == Tally(new=1, withdrawn=1)
    assert outbox.drafts(10) == []
    assert not rejected


def test_more_records_than_one_batch_are_all_taken_and_progress_adds_up(outbox, rejected):
    steps: list[int] = []
    many = (record(f"R-{n}", f"802-555-{n:04}") for n in range(600))
    assert intake(outbox).take(many, rejected.append, steps.append).new == 600
    assert sum(steps) == 600
    assert len(steps) > 1


def test_what_the_policy_keeps_is_withheld_and_what_left_before_comes_back(outbox, rejected):
    intake(outbox).take([record()], rejected.append)
    policy = SharingPolicy(kinds=frozenset({TouchKind.TIP}))
    assert intake(outbox, policy=policy).take([record()], rejected.append) == Tally(
        withheld=1, withdrawn=1
    )
    assert [each.touch for _, each in outbox.outgoing(10)] == [None]
    assert not rejected


def test_a_retracted_record_is_told_unless_it_is_reinstated(outbox, rejected):
    intake(outbox).take([record()], rejected.append)
    outbox.retract(record_id(SECRET, "R-1"))
    assert intake(outbox).take([record()], rejected.append) == Tally(rejected=1)
    assert "--reinstate" in str(rejected[0])
    again = intake(outbox, reinstate=True).take([record()], rejected.append)
    assert again == Tally(corrected=1)
