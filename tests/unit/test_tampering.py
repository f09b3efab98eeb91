"""Who forges, replays, edits or cuts off is caught; what is genuine passes, each time beside it.

With `test_opening` and `test_sealed_watches`, which change every byte there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consumers.inbox import Outcome
from consumers.opening import Reason as Unopened
from schemas import codec
from schemas.inquiries import Inquiry, Purpose
from schemas.messages import Alert, AlertStatus, alert_id, registration_key
from schemas.operations import PlannedOperation
from schemas.packing import LOCK, MATCH, NO_TOKEN, TOKEN, pack, rows
from schemas.topics import DISCLOSURES, TOUCHES, WATCHES
from silenthit.blinding.envelope import fresh_key
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, sender_headers
from stream_processors.admission import Reason, Refused, admit_touch, admit_watch
from stream_processors.batch_admission import BatchAdmission
from stream_processors.conflict_admission import admit_operation
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosures import Chain
from stream_processors.disclosures_verify import Verifier, load_heads, save_heads
from stream_processors.look_up_admission import admit_inquiry
from stream_processors.outgoing import Outgoing
from tests.exchange_room import (
    EPOCHS,
    FAR,
    HARBOR,
    MILLBROOK,
    Room,
    identified,
    ssn,
    touch_of,
)
from tests.partner_room import Room as PartnerRoom

KEYS = {key.key_id: key for key in (HARBOR, MILLBROOK)}
NOBODY = SenderKey("MA0130100#2", b"x" * 32)  # a key that Harbor never agreed
IMPOSTOR = SenderKey(HARBOR.key_id, MILLBROOK.secret)  # another's name, one's own secret
TOKENS = pack([(0, int(ssn("1").kind), ssn("1").value)], TOKEN)
Admit = Callable[[Message], object]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What Harbor may send, and through what it is let in."""

    topic: str
    value: bytes | None
    admit: Admit
    revision: int | None = None

    def sent_by(self, key: SenderKey | None) -> object:
        own = (identified("r"), self.value, self.revision)
        headers = sender_headers(key, *own) if key else ()
        return self.admit(Message(self.topic, 0, 1, 1_000, identified("r"), self.value, headers))


def in_a_batch(message: Message) -> object:
    return BatchAdmission(few=0).admit([message], KEYS, EPOCHS.accepts_touch)[0]


def alone(message: Message) -> object:
    return admit_touch(message, KEYS, EPOCHS.accepts_touch)


INQUIRY = Inquiry(
    inquiry_id=identified("r"),
    purpose=Purpose.INVESTIGATION,
    tokens=TOKENS,
    reply_key=fresh_key()[1],
)
OPERATION = PlannedOperation(
    record_id=identified("r"),
    revision=1,
    expires_at=FAR,
    touch=codec.encode(touch_of("r", [ssn("1")])),
    asks=TOKENS,
    reply_key=fresh_key()[1],
)
CLAIMS = {
    "touch": Claim(topic=TOUCHES.name, value=codec.encode(touch_of("r", [ssn("1")])), admit=alone),
    "touch in a batch": Claim(
        topic=TOUCHES.name, value=codec.encode(touch_of("r", [ssn("1")])), admit=in_a_batch
    ),
    "retraction": Claim(topic=TOUCHES.name, value=None, admit=alone, revision=2),
    "inquiry": Claim(
        topic="inquiries.ma0130100",
        value=codec.encode(INQUIRY),
        admit=lambda message: admit_inquiry(message, KEYS, ["fbi"]),
    ),
    "operation": Claim(
        topic="operations.ma0130100",
        value=codec.encode(OPERATION),
        admit=lambda message: admit_operation(message, KEYS, EPOCHS.accepts_touch),
    ),
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS.keys())
def test_an_agency_that_forges_anothers_identity_is_caught(claim: Claim) -> None:
    assert not isinstance(claim.sent_by(HARBOR), Refused)
    own_name = () if claim.value is None else (MILLBROOK,)  # of its own record it may retract
    for forger in (IMPOSTOR, NOBODY, *own_name, None):
        refused = claim.sent_by(forger)
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.FORGED_SENDER


async def test_an_agency_that_revises_or_retracts_anothers_record_is_caught() -> None:
    room = await watched_room()
    await room.touched("r", [ssn("1")])
    theirs = touch_of("r", [ssn("2")], revision=2, sender=MILLBROOK)
    for forged in (
        room.message(theirs, "r", sender=MILLBROOK),
        room.message(None, "r", sender=MILLBROOK, revision=3),
    ):
        await room.worker.take_touches([forged])
    assert room.reasons() == ["foreign_record", "foreign_record"]
    assert len(room.alerts()) == 1
    await room.worker.take_touches([room.message(None, "r", revision=2)])
    assert room.alerts()[-1].status is AlertStatus.RETRACTED


@pytest.mark.parametrize("seal", [False, True], ids=["plain", "sealed"])
def test_a_partner_that_forges_anothers_identity_is_caught(seal: bool) -> None:
    room = Room()
    opener = room.worker._opener
    genuine = room.registration("w", [ssn("1")], seal=seal)
    assert not isinstance(admit_watch(genuine, EPOCHS, opener), Refused)
    found = admit_watch(genuine._replace(topic=WATCHES.of("hsi")), EPOCHS, opener)
    assert isinstance(found, Refused)
    assert found.reason is (Reason.NOT_OPENED if seal else Reason.WRONG_PARTNER)


def test_an_agency_that_signs_in_anothers_name_is_caught_by_the_partner(tmp_path: Path) -> None:
    room = partner_room(tmp_path)
    registration = room.registrations()[0]
    genuine = room.alert(room.touch(), registration)
    other = replace(room, agency=Ed25519PrivateKey.generate())
    found = room.receive(room.alert(other.touch(record="H-2"), registration))
    assert found is not None
    assert found.reason is Unopened.BROKEN_SEAL
    assert room.receive(genuine).outcome is Outcome.NEW  # type: ignore[union-attr]


async def test_an_agency_that_replays_anothers_touch_as_its_own_is_caught() -> None:
    room = await watched_room()
    touch = touch_of("r", [ssn("1")])
    await room.worker.take_touches([room.message(touch, "r", sender=MILLBROOK)])
    await room.worker.take_touches([room.message(touch, "another record")])
    assert room.reasons() == ["forged_sender", "wrong_key"]
    assert room.alerts() == []
    await room.worker.take_touches([room.message(touch, "r")])
    assert len(room.alerts()) == 1


async def test_a_touch_replayed_gives_no_second_alert_and_after_its_retraction_none() -> None:
    room = await watched_room()
    stored = room.message(touch_of("r", [ssn("1")]), "r")
    await room.worker.take_touches([stored])
    await room.worker.take_touches([stored._replace(offset=90)])
    assert len({alert.alert_id for alert in room.alerts()}) == 1
    await room.worker.take_touches([room.message(None, "r", revision=2)])
    told = len(room.alerts())
    await room.worker.take_touches([stored._replace(offset=91)])
    assert len(room.alerts()) == told
    assert room.alerts()[-1].status is AlertStatus.RETRACTED


async def test_a_touch_replayed_after_a_retraction_that_nobody_saw_is_dropped() -> None:
    room = Room()
    stored = room.message(touch_of("r", [ssn("1")]), "r")
    await room.worker.take_touches([stored])
    await room.worker.take_touches([room.message(None, "r", revision=2)])
    await room.worker.take_watches([room.registration("w", [ssn("1")])])
    await room.worker.take_touches([stored._replace(offset=90)])
    assert room.alerts() == []


def test_an_alert_replayed_to_the_partner_pages_once_and_under_another_id_is_caught(
    tmp_path: Path,
) -> None:
    room = partner_room(tmp_path)
    registration = room.registrations()[0]
    alert = room.alert(room.touch(), registration)
    record = identified("a record that was never sealed")
    elsewhere = alert.model_copy(
        update={
            "record_id": record,
            "alert_id": alert_id(record, registration.registration_id),
        }
    )
    assert room.receive(alert).outcome is Outcome.NEW  # type: ignore[union-attr]
    assert room.receive(alert).outcome is Outcome.UNCHANGED  # type: ignore[union-attr]
    assert room.receive(elsewhere).reason is Unopened.WRONG_HEADER  # type: ignore[union-attr]


def test_a_stored_touch_that_is_edited_anywhere_is_caught() -> None:
    stored = Room().message(touch_of("r", [ssn("1")]), "r")
    assert not isinstance(alone(stored), Refused)
    for at in range(len(stored.value or b"")):
        edited = stored._replace(value=flipped(stored.value or b"", at))
        for found in (alone(edited), in_a_batch(edited)):
            assert isinstance(found, Refused)
            assert found.reason is Reason.FORGED_SENDER


def test_a_stored_registration_that_is_edited_anywhere_is_caught() -> None:
    room = Room()
    stored = room.registration("w", [ssn("1")], seal=True)
    assert not isinstance(admit_watch(stored, EPOCHS, room.worker._opener), Refused)
    reasons = set()
    for at in range(len(stored.value or b"")):
        edited = stored._replace(value=flipped(stored.value or b"", at))
        found = admit_watch(edited, EPOCHS, room.worker._opener)
        assert isinstance(found, Refused)
        reasons.add(found.reason)
    assert Reason.NOT_OPENED in reasons
    moved = stored._replace(key=registration_key(identified("v"), 1))
    assert isinstance(admit_watch(moved, EPOCHS, room.worker._opener), Refused)


@pytest.mark.parametrize("column", ["header", "matches", "locks", "grants", "parts"])
def test_a_stored_alert_whose_sealed_side_is_edited_is_caught(tmp_path: Path, column: str) -> None:
    room = partner_room(tmp_path)
    alert = of_its_own_locks(room.alert(room.touch(), room.registrations()[0]))
    content = getattr(alert, column)
    parts = content if isinstance(content, tuple) else (content,)
    for number, part in enumerate(parts):
        changed = (*parts[:number], flipped(part, len(part) // 2), *parts[number + 1 :])
        value = changed if isinstance(content, tuple) else changed[0]
        found = room.receive(alert.model_copy(update={column: value}))
        assert found is not None
        assert found.outcome is Outcome.UNOPENED
    assert room.receive(alert).outcome is Outcome.NEW  # type: ignore[union-attr]


@dataclass
class Told:
    """A process that tells of meetings, and what it left on the topic."""

    folder: Path
    links: list[Outgoing] = field(default_factory=list)

    def meetings(self, count: int) -> list[Outgoing]:
        """By a process that starts anew, with the same folder."""
        chain, links = Chain(DisclosureSettings(), process="w1", heads=self.folder), []
        for number in range(count):
            links += (new := chain.meeting(bytes([number]) * 16, [("fbi", bytes(16))]))
            chain.confirmed(new)
        self.links += links
        return links


def judged(links: Sequence[Outgoing], verifier: Verifier | None = None) -> list[tuple[int, str]]:
    verifier = verifier or Verifier()
    verifier.take(
        Message(DISCLOSURES.name, 0, number, 0, link.key, link.value, ())
        for number, link in enumerate(links)
    )
    return [(fault.number, fault.what.split(":", maxsplit=1)[0]) for fault in verifier.faults()]


@pytest.mark.parametrize("left", range(5))
def test_a_chain_of_disclosures_cut_off_is_caught_by_the_heads_noted(
    tmp_path: Path, left: int
) -> None:
    links, auditor = Told(tmp_path).meetings(4), Verifier()
    assert judged(links, auditor) == []
    save_heads(tmp_path / "heads.json", auditor.heads())
    noted = load_heads(tmp_path / "heads.json")
    assert judged([*links, *Told(tmp_path).meetings(1)], Verifier(noted)) == []
    assert judged(links[:left], Verifier(noted)) == [(4, "cut off")]


@pytest.mark.parametrize("taken", range(1, 5))
def test_a_chain_of_disclosures_cut_off_at_its_start_is_caught_without_any(
    tmp_path: Path, taken: int
) -> None:
    assert judged(Told(tmp_path).meetings(4)[taken:]) == [(0, "missing")]


def test_a_chain_of_disclosures_cut_off_is_caught_at_the_next_start_of_its_process(
    tmp_path: Path,
) -> None:
    process = Told(tmp_path)
    first, second = process.meetings(4), process.meetings(1)
    assert judged(process.links) == []
    assert judged([*first[:4], *second]) == [(4, "cut off")]
    assert judged(second) == [(4, "cut off")]


async def watched_room() -> Room:
    room = Room()
    await room.worker.take_watches([room.registration("w", [ssn("1")])])
    return room


def partner_room(folder: Path) -> PartnerRoom:
    room = PartnerRoom.make(folder)
    room.add()
    return room


def of_its_own_locks(alert: Alert) -> Alert:
    """As a worker sends it: without the locks that the matched tokens can't open."""
    own = {*(int(row["index"]) for row in rows(alert.matches, MATCH)), NO_TOKEN}
    locks = [
        row for row in rows(alert.locks, LOCK) if {int(row["first"]), int(row["second"])} <= own
    ]
    return alert.model_copy(update={"locks": b"".join(row.tobytes() for row in locks)})


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
