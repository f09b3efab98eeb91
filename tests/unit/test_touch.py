from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from producers.records import Contact, Record, Rejection
from producers.sharing import Narrative, SharingPolicy
from producers.touch import Draft, Entry, Sealer, drafted, expiry_month, record_id
from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import MATCH, TOKEN, pack, rows
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import CoarseKind, IdentifierKind, MatchKeyKind, SubjectRole, TouchKind
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.opening import Opened, Sealed, open_touch
from silenthit.blinding.prf import LocalKey, Token
from silenthit.blinding.sealing import Signer
from silenthit.identity.match_keys import MatchKey

KEY = Ed25519PrivateKey.generate()
PRF = LocalKey([EpochSecrets.generate(epoch=3)])


class CountingPrf:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def tokens(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
        self.asked.append(len(keys))
        return PRF.tokens(epoch, keys)


def sealer(policy: SharingPolicy | None = None, prf: object = PRF) -> Sealer:
    return Sealer(
        prf=prf,
        current_epoch=lambda: 3,
        sender="VT0040100#1",
        signer=Signer("VT0040100#1", KEY),
        ori="VT0040100",
        agency="Burlington PD",
        policy=policy or SharingPolicy(),
    )


def subject(phone: str, role: SubjectRole = SubjectRole.SUSPECT, **more: object) -> Subject:
    return Subject(
        role=role, identifiers=(Identifier(kind=IdentifierKind.PHONE, value=phone),), **more
    )


def record(*subjects: Subject, **more: object) -> Record:
    return Record(number="R-1", kind=TouchKind.ARREST, subjects=subjects, **more)


def sealed(of: Record, policy: SharingPolicy | None = None) -> SubjectTouch:
    draft = drafted(of)
    assert isinstance(draft, Draft)
    [touch] = sealer(policy).seal([Entry(b"r" * 16, 2, "2031-05", draft)], 3)
    return touch


def opened(touch: SubjectTouch, phone: str) -> Opened:
    """Open with what a watch on one phone knows."""
    [token] = PRF.tokens(3, [MatchKey(MatchKeyKind.PHONE, phone)])
    matches = [
        (index, int(row["subject"]), 0, int(row["kind"]), token.value)
        for index, row in enumerate(rows(touch.tokens, TOKEN))
        if row["token"].tobytes() == token.value
    ]
    alert = Sealed(
        header=touch.header,
        matches=pack(matches, MATCH),
        locks=touch.locks,
        grants=touch.grants,
        parts=touch.parts,
    )
    return open_touch(alert, {token.value: token.secret}, {"VT0040100#1": KEY.public_key()})


def phone_key(written: str) -> str:
    draft = drafted(record(subject(written)))
    assert isinstance(draft, Draft)
    return draft.keys[0][0][1]


def test_a_record_id_names_a_record_and_says_nothing():
    assert record_id(b"a" * 32, "R-1") == record_id(b"a" * 32, "R-1")
    assert record_id(b"a" * 32, "R-1") != record_id(b"b" * 32, "R-1")
    assert record_id(b"a" * 32, "R-1") != record_id(b"a" * 32, "R-2")
    assert len(record_id(b"a" * 32, "R-1")) == 16


def test_the_records_schedule_counts_from_acceptance():
    assert expiry_month(date(2026, 3, 31), 5) == "2031-03"


def test_the_header_says_what_the_exchange_may_know():
    header = codec.decode(sealed(record(subject("802-555-0100"))).header, TouchHeader)
    assert header == TouchHeader(
        record_id=b"r" * 16,
        revision=2,
        sender="VT0040100#1",
        epoch=3,
        expiry_month="2031-05",
        kind=CoarseKind.CUSTODY,
    )


def test_whoever_watches_a_subject_reads_card_common_and_subjects():
    touch = sealed(
        record(
            subject("802-555-0100"),
            subject("802-555-0101", SubjectRole.WITNESS),
            place="1 Main St",
            narrative="seen at the motel",
            contact=Contact(name="Ofc. Lee", phone="802-555-0199"),
        )
    )
    view = opened(touch, phone_key("802-555-0101"))
    assert view.matched == {1}
    assert set(view.subjects) == {0, 1}
    assert (view.card.ori, view.card.agency) == ("VT0040100", "Burlington PD")
    assert (view.card.name, view.card.case_number) == ("Ofc. Lee", "R-1")
    assert (view.common.place, view.common.narrative) == ("1 Main St", "seen at the motel")


@pytest.mark.parametrize(
    "protected",
    [
        subject("802-555-0101", SubjectRole.VICTIM),
        subject("802-555-0101", SubjectRole.WITNESS, minor=True),
    ],
)
def test_a_victims_or_a_minors_part_is_reached_by_their_own_root_alone(protected):
    touch = sealed(record(subject("802-555-0100"), protected, narrative="names her"))
    other = opened(touch, phone_key("802-555-0100"))
    assert set(other.subjects) == {0}
    assert other.common.narrative == ""
    own = opened(touch, phone_key("802-555-0101"))
    assert set(own.subjects) == {0, 1}


def test_the_policy_can_protect_nobody_and_share_every_narrative():
    policy = SharingPolicy(
        protected_roles=frozenset(), protect_minors=False, narrative=Narrative.SHARED
    )
    victim = subject("802-555-0101", SubjectRole.VICTIM, minor=True)
    touch = sealed(record(subject("802-555-0100"), victim, narrative="all of it"), policy)
    view = opened(touch, phone_key("802-555-0100"))
    assert set(view.subjects) == {0, 1}
    assert view.common.narrative == "all of it"


def test_who_is_only_mentioned_in_a_narrative_that_is_kept_is_reached_by_their_own_root_alone():
    victim = subject("802-555-0101", SubjectRole.VICTIM)
    mentioned = subject("802-555-0102", SubjectRole.UNKNOWN, mentioned=True)
    touch = sealed(record(subject("802-555-0100"), victim, mentioned))
    assert set(opened(touch, phone_key("802-555-0100")).subjects) == {0}
    assert set(opened(touch, phone_key("802-555-0102")).subjects) == {0, 2}
    open_text = sealed(record(subject("802-555-0100"), mentioned))
    assert set(opened(open_text, phone_key("802-555-0100")).subjects) == {0, 1}


def test_what_only_the_narrative_mentions_gives_match_keys_where_the_agency_wants_it():
    written = record(subject("802-555-0100"), narrative="Passenger gave cell 802-555-0155.")
    values = {value for keys in drafted(written, narratives=True).keys for _, value in keys}
    assert phone_key("802-555-0155") in values
    values = {value for keys in drafted(written).keys for _, value in keys}
    assert phone_key("802-555-0155") not in values


def test_the_policy_can_withhold_every_narrative():
    policy = SharingPolicy(narrative=Narrative.WITHHELD)
    touch = sealed(record(subject("802-555-0100"), narrative="all of it"), policy)
    assert opened(touch, phone_key("802-555-0100")).common.narrative == ""


def test_an_item_tied_to_nobody_opens_the_touch_by_each_subject():
    car = Identifier(kind=IdentifierKind.PHONE, value="802-555-0177")
    touch = sealed(record(subject("802-555-0100"), subject("802-555-0101"), items=(car,)))
    assert opened(touch, phone_key("802-555-0177")).matched == {0, 1}


def test_items_without_a_subject_get_an_unknown_one():
    phone = Identifier(kind=IdentifierKind.PHONE, value="802-555-0100")
    draft = drafted(record(items=(phone,)))
    assert [each.role for each in draft.record.subjects] == [SubjectRole.UNKNOWN]
    assert len(draft.keys) == 1


@pytest.mark.parametrize(
    "nobody",
    [
        record(),
        record(Subject(role=SubjectRole.VICTIM)),
        record(Subject(names=(PersonName(given="Ana"),))),
        record(Subject(identifiers=(Identifier(kind=IdentifierKind.OTHER, value="B-17"),))),
    ],
)
def test_a_record_that_nobody_could_match_is_rejected_with_the_remedy(nobody):
    rejection = drafted(nobody.model_copy(update={"read_from": "x.csv, line 4"}))
    assert isinstance(rejection, Rejection)
    assert str(rejection).startswith("x.csv, line 4: expected a record with")


def test_more_subjects_than_a_touch_can_number_are_rejected():
    crowd = [subject(f"802-555-{n:04}") for n in range(201)]
    assert "200 subjects" in str(drafted(record(*crowd)))


def test_a_batch_asks_the_key_holder_once_and_for_each_match_key_once():
    prf = CountingPrf()
    drafts = [
        drafted(record(subject("802-555-0100"), subject(f"802-555-01{n}"))) for n in range(10, 20)
    ]
    entries = [Entry(bytes([n]) * 16, 1, "2031-05", draft) for n, draft in enumerate(drafts)]
    assert len(sealer(prf=prf).seal(entries, 3)) == 10
    assert prf.asked == [11]


def test_neither_record_nor_draft_shows_content_in_its_repr():
    draft = drafted(record(subject("802-555-0100"), narrative="secret words"))
    for text in (repr(draft), str(draft), repr(draft.record), repr(Entry(b"r" * 16, 1, "", draft))):
        assert "secret" not in text
        assert "0100" not in text


def test_a_pointer_gives_the_contact_card_alone():
    policy = SharingPolicy(pointer_only=frozenset({TouchKind.ARREST}))
    written = record(subject("802-555-0100"), place="1 Main St", narrative="all of it")
    touch = sealed(written, policy)
    view = opened(touch, phone_key("802-555-0100"))
    assert view.card.case_number == "R-1"
    assert view.common is None
    assert view.subjects == {}


def test_withheld_roles_are_left_out_and_so_is_free_text_that_may_name_them():
    policy = SharingPolicy(withheld_roles=frozenset({SubjectRole.VICTIM}))
    victim = subject("802-555-0101", SubjectRole.VICTIM)
    kept = policy.without_withheld(record(subject("802-555-0100"), victim, narrative="names her"))
    assert [each.role for each in kept.subjects] == [SubjectRole.SUSPECT]
    assert kept.narrative == ""
    shared = policy.model_copy(update={"narrative": Narrative.SHARED})
    assert shared.without_withheld(record(victim, narrative="names her")).narrative == "names her"


def test_kinds_and_units_that_the_agency_keeps_are_not_shared():
    policy = SharingPolicy(kinds=frozenset({TouchKind.ARREST}), never_units=frozenset({"IA"}))
    assert policy.shares(record(subject("802-555-0100")))
    assert not policy.shares(record(subject("802-555-0100"), contact=Contact(unit="IA")))
    tip = record(subject("802-555-0100")).model_copy(update={"kind": TouchKind.TIP})
    assert not policy.shares(tip)


def test_of_a_very_long_narrative_only_the_beginning_is_read_and_all_is_kept():
    long = "Cell 802-555-0155. " + "and so on. " * 3_000 + "Cell 802-555-0156."
    draft = drafted(record(subject("802-555-0100"), narrative=long), narratives=True)
    values = {value for keys in draft.keys for _, value in keys}
    assert phone_key("802-555-0155") in values
    assert phone_key("802-555-0156") not in values
    assert draft.record.narrative == long
