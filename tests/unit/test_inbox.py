from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consumers import opening
from consumers.alert_list import alerts_listed, changes
from consumers.cases import cases_in
from consumers.inbox import Outcome
from consumers.opening import Reason
from consumers.registrations import store, tokenise, withdraw
from consumers.signers import TrustedSigner, trust
from consumers.states import State
from consumers.times import from_ms
from consumers.vault import ALERTS, PAGES, REGISTRATIONS, SIGNERS, UNOPENED, Values
from consumers.watch_list import listed
from schemas.messages import AlertStatus, alert_id, registration_key
from schemas.packing import MATCH, TOKEN, rows
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind
from silenthit.blinding.retractions import retraction_proof
from silenthit.blinding.sealing import Signer
from silenthit.call_tree.pages import PageState
from silenthit.identity.compare import Comparison, Decision
from tests.partner_room import NOW_MS, Room, as_message, john, mary, watch_on


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room.make(tmp_path)
    made.add()
    return made


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """What triage will decide, one alert after the other."""
    waiting: list[Decision] = []
    real = opening.triage

    def triage(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        assert found is not None
        return found.model_copy(update={"decision": waiting.pop(0)}) if waiting else found

    monkeypatch.setattr(opening, "triage", triage)
    return waiting


def _only(room: Room) -> dict[str, Any]:
    (found,) = alerts_listed(room.vault)
    return found


def _pages(room: Room) -> list[Values]:
    with room.vault.read() as found:
        return list(found.find(PAGES, PAGES.c.state == PageState.DUE))


def test_an_alert_is_opened_compared_and_listed(room: Room) -> None:
    received = room.receive(room.alert(room.touch(), room.registrations()[0]))
    assert received is not None
    assert received.outcome is Outcome.NEW
    assert received.paged
    found = _only(room)
    assert found["label"] == "Blue Heron 1"
    assert found["record_number"] == "H-1"
    assert found["agency"] == "Hartford PD"
    assert found["kind"] == "traffic_stop"
    assert found["decision"] == "hit"
    assert found["status"] == "active"
    assert found["alert_id"] == received.alert_id.hex()


def test_the_same_revision_again_changes_nothing(room: Room) -> None:
    alert = room.alert(room.touch(), room.registrations()[0])
    room.receive(alert)
    before = _only(room)
    again = room.receive(room.alert(room.touch(), room.registrations()[0]), now=NOW_MS + 1000)
    assert again is not None
    assert again.outcome is Outcome.UNCHANGED
    assert _only(room) == before
    assert len(_pages(room)) == 1


def test_a_lower_revision_is_ignored(room: Room) -> None:
    registration = room.registrations()[0]
    room.receive(room.alert(room.touch(revision=3), registration))
    late = room.receive(room.alert(room.touch(revision=2), registration))
    assert late is not None
    assert late.outcome is Outcome.UNCHANGED
    assert _only(room)["revision"] == 3


def test_a_worse_decision_pages_again_and_a_better_one_does_not(
    room: Room, decisions: list[Decision]
) -> None:
    registration = room.registrations()[0]
    decisions += [Decision.POSSIBLE, Decision.HIT, Decision.POSSIBLE, Decision.HIT]
    paged = []
    for revision in (1, 2, 3, 4):
        received = room.receive(room.alert(room.touch(revision=revision), registration))
        _post_everything(room)
        paged.append(received is not None and received.paged)
    assert paged == [True, True, False, False]
    assert _only(room)["revision"] == 4


def _post_everything(room: Room) -> None:
    with room.vault.write() as into:
        for row in into.find(PAGES, PAGES.c.state == PageState.DUE):
            into.put(PAGES, row["id"], {"state": PageState.POSTED})


def test_a_page_that_nobody_had_yet_gives_way_to_the_newer_one(
    room: Room, decisions: list[Decision]
) -> None:
    registration = room.registrations()[0]
    decisions += [Decision.HIT, Decision.POSSIBLE]
    room.receive(room.alert(room.touch(revision=1), registration))
    room.receive(room.alert(room.touch(revision=2), registration))
    (page,) = _pages(room)
    assert page["decision"] == "possible"


def test_a_discarded_alert_is_listed_but_pages_nobody(
    room: Room, decisions: list[Decision]
) -> None:
    decisions += [Decision.DISCARDED]
    room.receive(room.alert(room.touch(), room.registrations()[0]))
    assert _only(room)["decision"] == "discarded"
    assert _pages(room) == []


def test_a_withdrawal_marks_and_a_retraction_purges(room: Room) -> None:
    registration = room.registrations()[0]
    room.receive(room.alert(room.touch(), registration))
    room.receive(room.notice(registration, AlertStatus.WITHDRAWN, revision=2))
    assert _only(room)["status"] == "withdrawn"
    assert _only(room)["record_number"] == "H-1"
    room.receive(room.notice(registration, AlertStatus.RETRACTED, revision=3))
    found = _only(room)
    assert found["status"] == "retracted"
    assert found["record_number"] is None
    assert found["label"] == "Blue Heron 1", "the watch is the partner's own"
    with room.vault.read() as kept:
        assert [row["private"] for row in kept.find(ALERTS)] == [None]
    assert _pages(room) == []


@pytest.mark.parametrize("proof", ["none", "another_agency", "another_record", "another_revision"])
def test_a_retraction_that_the_agency_did_not_sign_purges_nothing_and_is_kept(
    room: Room, proof: str
) -> None:
    registration = room.registrations()[0]
    room.receive(room.alert(room.touch(), registration))
    forged = room.notice(registration, AlertStatus.RETRACTED, revision=2)
    other = Signer("MA0139900#1", Ed25519PrivateKey.generate())
    public = other.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    with room.vault.write() as into:
        trust(into, TrustedSigner(key_id=other.key_id, name="PD", public_key=public.hex()))
    proofs = {
        "none": b"",
        "another_agency": retraction_proof(other, forged.record_id, 2),
        "another_record": room.notice(
            registration, AlertStatus.RETRACTED, revision=2, record="H-2"
        ).proof,
        "another_revision": room.notice(registration, AlertStatus.RETRACTED, revision=3).proof,
    }
    received = room.receive(forged.model_copy(update={"proof": proofs[proof]}))
    assert received is not None
    assert received.reason is Reason.UNPROVEN_RETRACTION
    with room.vault.read() as kept:
        [alert] = kept.find(ALERTS)
        assert (alert["status"], alert["private"] is None) == ("active", False)
        assert [row["reason"] for row in kept.find(UNOPENED)] == ["unproven_retraction"]
    assert room.receive(forged).outcome is Outcome.CLOSED
    assert _only(room)["record_number"] is None


def test_a_retraction_that_comes_first_keeps_the_alert_out(room: Room) -> None:
    registration = room.registrations()[0]
    room.receive(room.notice(registration, AlertStatus.RETRACTED, revision=1))
    late = room.receive(room.alert(room.touch(), registration))
    assert late is not None
    assert late.outcome is Outcome.UNCHANGED
    assert _only(room)["record_number"] is None
    assert _pages(room) == []


@pytest.mark.parametrize("own", [False, True], ids=["only_the_other", "then_its_own"])
def test_a_retraction_of_another_agency_that_comes_first_changes_nothing(
    room: Room, own: bool
) -> None:
    registration = room.registrations()[0]
    alert, retraction = (
        room.alert(room.touch(), registration),
        room.notice(registration, AlertStatus.RETRACTED, revision=2),
    )
    assert room.receive(_by_another(room, retraction, revision=9)).outcome is Outcome.CLOSED
    if own:
        assert room.receive(retraction).outcome is Outcome.CLOSED
        assert room.receive(retraction).outcome is Outcome.UNCHANGED
    late = room.receive(alert)
    assert late is not None
    if own:
        assert late.outcome is Outcome.UNCHANGED
        assert (_only(room)["status"], _pages(room)) == ("retracted", [])
        return
    assert late.paged
    assert (_only(room)["status"], _only(room)["record_number"]) == ("active", "H-1")
    again = room.receive(_by_another(room, retraction, revision=9))
    assert again is not None
    assert again.reason is Reason.UNPROVEN_RETRACTION
    assert room.receive(retraction).outcome is Outcome.CLOSED


def test_a_retraction_of_another_agency_keeps_no_later_revision_out(room: Room) -> None:
    registration = room.registrations()[0]
    room.receive(room.alert(room.touch(), registration))
    retraction = room.notice(registration, AlertStatus.RETRACTED, revision=2)
    room.receive(retraction)
    room.receive(_by_another(room, retraction, revision=9))
    assert _only(room)["status"] == "retracted"
    room.receive(room.alert(room.touch(revision=3), registration))
    assert (_only(room)["status"], _only(room)["revision"]) == ("active", 3)


def test_a_retraction_of_another_agency_drops_nothing_that_waits_for_its_key(room: Room) -> None:
    registration = room.registrations()[0]
    alert = room.alert(room.touch(), registration)
    with room.vault.write() as into:
        key = next(iter(into.find(SIGNERS)))
        into.drop(SIGNERS, key["id"])
    assert room.receive(alert).reason is Reason.UNKNOWN_SIGNER
    retraction = room.notice(registration, AlertStatus.RETRACTED, revision=9)
    room.receive(_by_another(room, retraction, revision=9))
    with room.vault.write() as into:
        assert [row["reason"] for row in into.find(UNOPENED)] == ["unknown_signer"]
        into.put(SIGNERS, key["id"], {"private": key["private"]})
    assert room.receive(alert).outcome is not Outcome.UNCHANGED
    assert _only(room)["status"] == "active"


def _by_another(room: Room, retraction: Any, *, revision: int) -> Any:
    """The same retraction, signed by another agency that is trusted."""
    other = Signer("MA0139900#1", Ed25519PrivateKey.generate())
    public = other.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    with room.vault.write() as into:
        trust(into, TrustedSigner(key_id=other.key_id, name="PD", public_key=public.hex()))
    proof = retraction_proof(other, retraction.record_id, revision)
    return retraction.model_copy(update={"proof": proof, "revision": revision})


def test_a_record_published_again_after_its_retraction_is_an_alert_again(room: Room) -> None:
    registration = room.registrations()[0]
    room.receive(room.notice(registration, AlertStatus.RETRACTED, revision=1))
    room.receive(room.alert(room.touch(revision=2), registration))
    assert _only(room)["status"] == "active"
    assert _only(room)["record_number"] == "H-1"


def test_the_end_is_the_same_in_whatever_order_messages_come(tmp_path: Path) -> None:
    first = Room.make(tmp_path)
    first.add()
    registration = first.registrations()[0]
    messages = [
        first.alert(first.touch(revision=1), registration),
        first.alert(first.touch(revision=2), registration),
        first.notice(registration, AlertStatus.WITHDRAWN, revision=3),
        first.alert(first.touch(revision=4), registration, earlier=True),
    ]
    ends = set()
    for order in itertools.permutations([*messages, messages[0]], 5):
        _forget_alerts(first)
        for message in order:
            first.receive(message)
        found = _only(first)
        ends.add((found["revision"], found["status"], found["record_number"]))
    assert ends == {(4, "active", "H-1")}


def _forget_alerts(room: Room) -> None:
    with room.vault.write() as into:
        for table in (ALERTS, PAGES, UNOPENED):
            for row in into.find(table):
                into.drop(table, row["id"])


def _other_alert(room: Room) -> Any:
    """An alert to this registration of a touch that has nobody of it."""
    touch = room.touch(mary())
    alert = room.alert(touch, room.registrations()[0])
    claimed = np.zeros(1, dtype=MATCH)
    claimed["kind"] = rows(touch.tokens, TOKEN)["kind"][0]
    claimed["token"] = rows(touch.tokens, TOKEN)["token"][0]
    return alert.model_copy(update={"matches": claimed.tobytes()})


def test_tokens_attached_falsely_are_reported(room: Room) -> None:
    received = room.receive(_other_alert(room))
    assert received is not None
    assert received.reason is Reason.FALSE_MATCHES


def test_own_tokens_attached_to_a_strangers_touch_open_nothing(room: Room) -> None:
    registration = room.registrations()[0]
    ours, theirs = room.touch(john()), room.touch(mary())
    alert = room.alert(ours, registration)
    forged = alert.model_copy(
        update={"locks": theirs.locks, "grants": theirs.grants, "parts": theirs.parts}
    )
    received = room.receive(forged)
    assert received is not None
    assert received.reason is Reason.BROKEN_SEAL


@pytest.mark.parametrize("column", ["header", "locks", "grants", "matches"])
def test_a_cut_column_is_kept_unopened_with_its_reason(room: Room, column: str) -> None:
    alert = room.alert(room.touch(), room.registrations()[0])
    broken = alert.model_copy(update={column: getattr(alert, column)[:-1]})
    received = room.receive(broken)
    assert received is not None
    assert received.outcome is Outcome.UNOPENED
    assert received.reason in {Reason.BROKEN_SEAL, Reason.FALSE_MATCHES, Reason.UNDECODABLE}
    assert _only(room)["status"] == "unopened"
    assert _only(room)["reason"] == received.reason.value


def test_another_records_touch_under_this_ones_id_is_reported(room: Room) -> None:
    registration = room.registrations()[0]
    alert = room.alert(room.touch(record="H-1"), registration)
    other = room.alert(room.touch(record="H-2"), registration)
    swapped = other.model_copy(update={"record_id": alert.record_id, "alert_id": alert.alert_id})
    received = room.receive(swapped)
    assert received is not None
    assert received.reason is Reason.WRONG_HEADER


def test_an_alert_id_of_the_exchanges_own_making_is_reported(room: Room) -> None:
    alert = room.alert(room.touch(), room.registrations()[0])
    received = room.receive(alert.model_copy(update={"alert_id": b"x" * 16}))
    assert received is not None
    assert received.reason is Reason.WRONG_KEY


def test_an_unknown_registration_is_reported(room: Room) -> None:
    registration = room.registrations()[0]
    alert = room.alert(room.touch(), registration)
    stray = alert.model_copy(
        update={"registration_id": b"r" * 16, "alert_id": alert_id(alert.record_id, b"r" * 16)}
    )
    received = room.receive(stray)
    assert received is not None
    assert received.reason is Reason.UNKNOWN_REGISTRATION


def test_an_alert_after_the_watch_is_gone_is_kept_unopened(room: Room) -> None:
    registration = room.registrations()[0]
    alert = room.alert(room.touch(), registration)
    with room.vault.write() as into:
        gone = {"state": State.REMOVED, "private": None, "private_secrets": None}
        into.put(REGISTRATIONS, registration_key(registration.registration_id, 1), gone)
    received = room.receive(alert)
    assert received is not None
    assert received.reason is Reason.WATCH_REMOVED


def test_an_alert_still_opens_while_its_watch_is_being_removed(room: Room) -> None:
    registration = room.registrations()[0]
    with room.vault.write() as into:
        (row,) = into.find(REGISTRATIONS)
        withdraw(into, row["watch_id"])
    received = room.receive(room.alert(room.touch(), registration))
    assert received is not None
    assert received.outcome is Outcome.NEW


@pytest.mark.parametrize("value", [b"", b"\xc3\x01", b"nonsense", b"\xc3\x01" + bytes(30)])
def test_bytes_that_are_no_alert_are_kept_and_the_stream_goes_on(room: Room, value: bytes) -> None:
    received = room.receive(value)
    assert received is not None
    assert received.reason in {Reason.UNDECODABLE, Reason.UNKNOWN_SCHEMA}
    room.receive(value)
    room.receive(room.alert(room.touch(), room.registrations()[0]))
    assert sorted(each["status"] for each in alerts_listed(room.vault)) == ["active", "unopened"]


def test_a_tombstone_of_the_broker_says_nothing(room: Room) -> None:
    alert = room.alert(room.touch(), room.registrations()[0])
    room.receive(alert)
    message = as_message(alert)
    gone = type(message)(message.topic, 0, 1, NOW_MS, message.key, None)
    assert room.receive_message(gone) is None
    assert _only(room)["status"] == "active"


def test_a_touch_signed_with_another_key_than_the_agencys_is_reported(room: Room) -> None:
    forger = Room(room.vault, room.prf)
    received = room.receive(forger.alert(forger.touch(), room.registrations()[0]))
    assert received is not None
    assert received.reason is Reason.BROKEN_SEAL
    assert _pages(room) == []


def test_an_alert_of_an_agency_not_yet_trusted_waits_for_its_key(room: Room) -> None:
    with room.vault.write() as into:
        into.drop(SIGNERS, b"CT0006400#1")
    alert = room.alert(room.touch(), room.registrations()[0])
    received = room.receive(alert)
    assert received is not None
    assert received.reason is Reason.UNKNOWN_SIGNER
    room.trust_agency()
    again = room.receive(alert)
    assert again is not None
    assert again.outcome is Outcome.NEW
    assert _only(room)["status"] == "active"


def test_an_unopened_higher_revision_leaves_the_opened_one_and_no_gap(room: Room) -> None:
    registration = room.registrations()[0]
    room.receive(room.alert(room.touch(revision=1), registration))
    broken = room.alert(room.touch(revision=9), registration)
    room.receive(broken.model_copy(update={"parts": (b"",)}))
    room.receive(room.alert(room.touch(revision=2), registration))
    found = {each["status"]: each["revision"] for each in alerts_listed(room.vault)}
    assert found == {"active": 2, "unopened": 9}
    room.receive(room.alert(room.touch(revision=10), registration))
    assert _only(room)["revision"] == 10


def test_a_fault_of_triage_keeps_the_alert_and_says_nothing_of_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Comparison:
        raise ZeroDivisionError("Quillfeather")

    monkeypatch.setattr("consumers.triage.compare_prepared", broken)
    received = room.receive(room.alert(room.touch(), room.registrations()[0]))
    assert received is not None
    assert received.reason is Reason.OWN_ERROR


def test_a_phone_in_common_alone_is_never_a_hit(tmp_path: Path) -> None:
    room = Room.make(tmp_path)
    phone = Identifier(kind=IdentifierKind.PHONE, value="203-555-0142")
    room.add(watch_on(john()))
    other = Subject(names=(PersonName(surname="Oakes", given="Ann"),), identifiers=(phone,))
    room.receive(room.alert(room.touch(other), room.registrations()[0]))
    assert _only(room)["decision"] in {"possible", "discarded"}


def test_a_record_corrected_in_the_next_epoch_pages_nobody_again(room: Room) -> None:
    first = room.registrations()[0]
    room.receive(room.alert(room.touch(), first))
    _post_everything(room)
    with room.vault.write() as into:
        (watch,) = listed(room.vault)
        own = [(watch.registration_id, watch.watch_id)]
        (again,) = tokenise([watch.watch], own, "fbi-ct", 1, room.prf)
        store(into, watch.watch_id, again)
    received = room.receive(room.alert(room.touch(revision=2), again.message))
    assert received is not None
    assert received.outcome is Outcome.UPDATED
    assert not received.paged


def test_an_alert_that_stands_again_after_its_withdrawal_is_heard_of_again(room: Room) -> None:
    registration = room.registrations()[0]
    room.receive(room.alert(room.touch(), registration))
    _post_everything(room)
    room.receive(room.notice(registration, AlertStatus.WITHDRAWN, revision=2))
    again = room.receive(room.alert(room.touch(revision=3), registration))
    assert again is not None
    assert again.paged


def test_following_shows_each_change_once(room: Room) -> None:
    registration = room.registrations()[0]
    following = changes(room.vault, 0)
    assert next(following) == []
    alert = room.alert(room.touch(), registration)
    room.receive(alert)
    assert [each["status"] for each in next(following)] == ["active"]
    assert next(following) == []
    with room.vault.write() as into:
        cases_in(into, None, from_ms(NOW_MS + 5000)).claim(alert.alert_id, "reyes")
    assert [each["owner"] for each in next(following)] == ["reyes"]
    assert next(following) == []
