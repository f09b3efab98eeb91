"""The agency's canary: one record whose revision rises each hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from producers.canary import Canary, canary_id, canary_record
from producers.intake import Intake
from producers.outbox import Outbox
from producers.sharing import SharingPolicy
from producers.touch import Entry, Sealer, drafted
from schemas.parts import TouchCommon
from schemas.vocabulary import TouchKind
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.prf import LocalKey
from silenthit.blinding.sealing import Signer
from silenthit.canary import canary_subject
from silenthit.identity.match_keys import match_keys

ORI = "VT0040100"
NOON = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


def intake(outbox: Outbox) -> Intake:
    return Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)


def test_an_hour_has_one_canary_and_the_next_hour_is_its_next_revision(outbox):
    found = []
    for minutes in (0, 1, 54, 55, 60):
        at = NOON + timedelta(minutes=minutes)
        canary = Canary(intake=intake(outbox), ori=ORI, now=lambda at=at: at)
        tally = canary.poll(canary.intake.take, lambda: False)
        found.append((tally.new, tally.corrected, tally.unchanged))
    assert found == [(1, 0, 0), (0, 0, 1), (0, 0, 1), (0, 1, 0), (0, 0, 1)]
    [entry] = outbox.drafts(10)
    assert (entry.record_id, entry.revision) == (canary_id(b"r" * 32), 2)


def test_a_watch_for_the_canary_meets_it_by_one_match_key_that_no_other_agency_has():
    draft = drafted(canary_record(ORI, NOON))
    mine = {(int(key.kind), key.value) for key in match_keys(canary_subject(ORI))}
    other = {(int(key.kind), key.value) for key in match_keys(canary_subject("MA0139900"))}
    assert {key for keys in draft.keys for key in keys} == mine
    assert len(mine) == 1
    assert not mine & other


def test_no_sharing_policy_hides_that_it_is_a_canary():
    hiding = SharingPolicy(pointer_only=frozenset(TouchKind), kinds=frozenset())
    sealer = Sealer(
        prf=LocalKey([EpochSecrets.generate(epoch=1)]),
        current_epoch=lambda: 1,
        sender=f"{ORI}#1",
        signer=Signer(f"{ORI}#1", Ed25519PrivateKey.generate()),
        ori=ORI,
        agency="PD",
        policy=hiding,
    )
    entry = Entry(b"i" * 16, 1, "2031-03", drafted(canary_record(ORI, NOON)))
    common = sealer.parts(entry)[1]
    assert isinstance(common.content, TouchCommon)
    assert common.content.canary
    assert common.reached_by == {0}


def test_history_is_said_inside_the_seal_even_of_pointer_only_records():
    draft = drafted(canary_record(ORI, NOON).model_copy(update={"canary": False}))
    sealer = Sealer(
        prf=LocalKey([EpochSecrets.generate(epoch=1)]),
        current_epoch=lambda: 1,
        sender=f"{ORI}#1",
        signer=Signer(f"{ORI}#1", Ed25519PrivateKey.generate()),
        ori=ORI,
        agency="PD",
        policy=SharingPolicy(),
    )
    hidden = replace(sealer, policy=SharingPolicy(pointer_only=frozenset(TouchKind)))
    for each in (sealer, hidden):
        for history in (False, True):
            common = each.parts(Entry(b"i" * 16, 1, "2031-03", draft, history))[1]
            assert isinstance(common.content, TouchCommon)
            assert common.content.history is history
            assert common.reached_by == ({0} if history or each is sealer else set())
