"""Following: what a hit leads to is watched, within its ceilings, and called what it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consumers import following
from consumers.alert_list import alerts_listed
from consumers.associations import FollowPolicy
from consumers.history import history
from consumers.inbox import Outcome
from consumers.placing import change_watch, expire_watches, remove_watch, retoken
from consumers.vault import ALERTS, REGISTRATIONS
from consumers.watch_list import listed, watch_named
from consumers.watch_tree import tree
from consumers.watches import Watch
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, SubjectRole
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import EpochSecrets, LocalKey
from silenthit.errors import RefusedError
from tests.following_room import FollowingRoom
from tests.partner_room import NOW, PARTNER, watch_on

PLATE = Identifier(kind=IdentifierKind.PLATE, value="AB12345", issuer="CT")


def phone(number: int) -> Identifier:
    return Identifier(kind=IdentifierKind.PHONE, value=f"203-555-{number:04d}")


def person(surname: str, *identifiers: Identifier, **more: Any) -> Subject:
    return Subject(
        role=more.pop("role", SubjectRole.SUSPECT),
        names=(PersonName(surname=surname, given="Robin"),),
        birth_dates=(f"19{60 + len(surname)}-03-{10 + len(surname)}",),
        identifiers=identifiers,
        **more,
    )


@pytest.fixture
async def room(tmp_path: Path) -> FollowingRoom:
    return await FollowingRoom.make(tmp_path)


def watched(room: FollowingRoom, policy: FollowPolicy | None = None, **more: Any) -> bytes:
    (watch_id,) = room.partner.add(watch_on(person("Quillfeather"), follow=policy, **more))
    return watch_id


def by_hand(room: FollowingRoom, policy: FollowPolicy | None = None, record: str = "H-1") -> Any:
    found = [a for a in alerts_listed(room.partner.vault) if a["record_number"] == record]
    (alert,) = [a for a in found if a["association"] is None] or found
    fixed = {"partner": PARTNER, "epochs": (1,), "prf": room.partner.prf, "now": NOW}
    return following.follow(room.partner.vault, bytes.fromhex(alert["alert_id"]), policy, **fixed)


def children(room: FollowingRoom, watch_id: bytes) -> list[Watch]:
    with room.partner.vault.read() as rows:
        return [each.watch for each in list(tree(rows, watch_id))[1:] if each.stands]


def alerts(room: FollowingRoom) -> dict[str, dict[str, Any]]:
    """By record; of several on one, that of the watch that somebody placed."""
    found = sorted(alerts_listed(room.partner.vault), key=lambda a: a["association"] is None)
    return {each["record_number"]: each for each in found}


async def test_a_phone_seen_with_the_subject_finds_who_carries_it_before_and_after(
    room: FollowingRoom,
) -> None:
    root = watched(room)
    await room.publish("B-1", person("Earlier", phone(1)))
    await room.publish("H-1", person("Quillfeather", phone(1), PLATE), at=NOW - timedelta(days=20))
    await room.settle()
    assert set(alerts(room)) == {"H-1"}
    plan, ids = by_hand(room)
    assert [each.refused for each in plan.leads] == ["", ""]
    assert len(ids) == 2
    await room.settle()
    await room.publish("A-1", person("Later", PLATE))
    await room.settle()
    found = alerts(room)
    assert found["B-1"]["earlier"]
    assert not found["A-1"]["earlier"]
    assert found["B-1"]["decision"] == found["A-1"]["decision"] == "possible"
    said = "by association: the phone first seen with the subject on 2026-11-02, in touch H-1"
    assert found["B-1"]["association"] == said
    assert "by association (plate 2)" in found["A-1"]["label"]
    assert found["H-1"]["association"] is None
    for child in children(room, root):
        assert child.legal_basis
        assert child.association is not None
        assert (child.association.step, child.association.root) == (1, root.hex())
        assert child.expires_at == NOW + timedelta(days=30)


async def test_only_a_hit_is_followed_by_hand(room: FollowingRoom) -> None:
    room.partner.add(watch_on(person("Quillfeather", phone(1))))
    await room.publish("H-1", person("Stranger", phone(1), PLATE))
    await room.settle()
    assert alerts(room)["H-1"]["decision"] == "possible"
    with pytest.raises(RefusedError, match="calls a hit"):
        by_hand(room)


async def test_even_a_child_with_the_persons_own_name_is_no_hit(room: FollowingRoom) -> None:
    root = watched(room)
    await room.publish("H-1", person("Quillfeather", phone(1)))
    await room.settle()
    by_hand(room)
    await room.settle()
    (child,) = (each for each in listed(room.partner.vault) if each.watch_id != root)
    named = child.watch.model_copy(update={"subjects": (person("Quillfeather", phone(1)),)})
    fixed = {"partner": PARTNER, "prf": room.partner.prf, "now": NOW}
    change_watch(room.partner.vault, child, named, **fixed)
    remove_watch(room.partner.vault, watch_named(room.partner.vault, "Blue Heron 1").watch_id, NOW)
    # What is in flight for a watch that was removed is still opened, and still no hit.
    await room.publish("H-2", person("Quillfeather", phone(1)))
    await room.settle()
    by_child = [e for e in alerts_listed(room.partner.vault) if e["association"] is not None]
    assert by_child
    assert {each["decision"] for each in by_child} == {"possible"}


async def test_a_policy_follows_by_itself_as_many_steps_as_it_says(room: FollowingRoom) -> None:
    root = watched(room, FollowPolicy(steps=2))
    await room.publish("H-1", person("Quillfeather", phone(1)))
    await room.publish("H-2", person("First", phone(1), phone(2)))
    await room.publish("H-3", person("Second", phone(2), phone(3)))
    await room.publish("H-4", person("Third", phone(3)))
    await room.settle()
    assert set(alerts(room)) == {"H-1", "H-2", "H-3"}
    steps = [each.association.step for each in children(room, root) if each.association]
    assert steps == [1, 2]
    assert "2 steps from the subject" in alerts(room)["H-3"]["association"]
    with pytest.raises(RefusedError, match="at most 2 steps"):
        by_hand(room, record="H-3")


async def test_what_too_many_carry_is_let_go_and_none_of_it_opened(room: FollowingRoom) -> None:
    root = watched(room, FollowPolicy(steps=2, carried_by_most=8))
    for n in range(40):
        await room.publish(f"S-{n}", person(f"Stranger{n:02d}", phone(7)))
    await room.publish("H-1", person("Quillfeather", phone(7), PLATE))
    await room.settle()
    assert set(alerts(room)) == {"H-1"}
    assert Outcome.LET_GO in room.outcomes
    (plate,) = children(room, root)
    assert plate.subjects[0].identifiers == (PLATE,)
    plan, added = by_hand(room)
    why = {each.identifier.kind.value: each.refused for each in plan.leads}
    assert why["phone"] == "32 to 63 records carry it, where 8 may"
    assert why["plate"] == "it is watched already"
    assert added == []
    await room.publish("S-41", person("Another", phone(7)))
    await room.settle()
    assert set(alerts(room)) == {"H-1"}


async def test_a_ceiling_holds_and_says_so(room: FollowingRoom) -> None:
    root = watched(room)
    await room.publish("H-1", person("Quillfeather", *(phone(n) for n in range(1, 6))))
    await room.settle()
    plan, ids = by_hand(room, FollowPolicy(most=3))
    assert len(ids) == 3
    assert [each.refused for each in plan.leads[3:]] == [
        "the tree has as many watches as it may have"
    ] * 2
    assert len(by_hand(room, FollowPolicy(most=3))[1]) == 0
    assert len(children(room, root)) == 3


async def test_a_child_ends_with_its_parent_at_the_latest(room: FollowingRoom) -> None:
    root = watched(room, expires_at=NOW + timedelta(days=12))
    await room.publish("H-1", person("Quillfeather", phone(1), PLATE))
    await room.settle()
    by_hand(room, FollowPolicy(days=30))
    vault = room.partner.vault
    assert {each.expires_at for each in children(room, root)} == {NOW + timedelta(days=12)}
    before = watch_named(vault, root.hex())
    (child, *_) = (each for each in listed(vault) if each.watch_id != root)
    fixed = {"partner": PARTNER, "prf": room.partner.prf, "now": NOW}
    longer = child.watch.model_copy(update={"expires_at": NOW + timedelta(days=13)})
    with pytest.raises(RefusedError, match="from at the latest"):
        change_watch(vault, child, longer, **fixed)
    sooner = before.watch.model_copy(update={"expires_at": NOW + timedelta(days=5)})
    change_watch(vault, before, sooner, **fixed)
    assert {each.expires_at for each in children(room, root)} == {NOW + timedelta(days=5)}
    ends = {each.expires_at for each in room.partner.registrations()}
    days = sorted(round((end / 1000 - NOW.timestamp()) / 86400) for end in ends)
    assert days[0] <= 6 < days[-1]  # the parent has its grace, the children none
    expire_watches(vault, NOW + timedelta(days=5))
    assert children(room, root) == []
    assert len(listed(vault)) == 1


async def test_removing_the_parent_removes_what_was_followed_from_it(room: FollowingRoom) -> None:
    root = watched(room, FollowPolicy(steps=3))
    await room.publish("H-1", person("Quillfeather", phone(1)))
    await room.publish("H-2", person("First", phone(1), phone(2)))
    await room.settle()
    assert len(children(room, root)) == 2
    remove_watch(room.partner.vault, root, NOW)
    await room.settle()
    assert children(room, root) == []
    assert len(room.exchange.worker.index) == 0
    with room.partner.vault.read() as rows:
        left = [row for row in rows.find(REGISTRATIONS) if row["private"] is not None]
        (_, one, *_) = tree(rows, root)
        assert "so was the watch" in history(rows, one.row["id"])[-1]["text"]
    assert left == []


async def test_a_record_that_is_taken_back_takes_what_was_followed_from_it(
    room: FollowingRoom,
) -> None:
    root = watched(room, FollowPolicy())
    await room.publish("H-1", person("Quillfeather", phone(1), PLATE))
    await room.publish("H-2", person("Quillfeather", PLATE))
    await room.settle()
    assert len(children(room, root)) == 2
    await room.retract("H-1", 2)
    await room.settle()
    (again,) = children(room, root)
    assert again.subjects[0].identifiers == (PLATE,)
    assert again.association is not None
    assert again.association.record_number == "H-2"
    with room.partner.vault.read() as rows:
        purged = [each.watch for each in tree(rows, root) if not each.stands]
    held = "".join(each.model_dump_json() for each in purged)
    assert phone(1).value not in held
    assert PLATE.value not in held
    assert listed(room.partner.vault, search="555-0001", removed=True) == []


async def test_a_corrected_record_lets_go_what_it_no_longer_shows(room: FollowingRoom) -> None:
    root = watched(room, FollowPolicy())
    await room.publish("H-1", person("Quillfeather", phone(1)))
    await room.settle()
    await room.publish("H-1", person("Quillfeather", phone(2)), revision=2)
    await room.settle()
    assert [each.subjects[0].identifiers for each in children(room, root)] == [(phone(2),)]


async def test_others_in_the_touch_are_followed_only_if_asked_and_victims_never(
    room: FollowingRoom,
) -> None:
    root = watched(room)
    await room.publish(
        "H-1",
        person("Quillfeather"),
        person("Driver", phone(1)),
        person("Hurt", phone(2), role=SubjectRole.VICTIM),
        person("Child", phone(3), minor=True),
        person("Saw", phone(4), role=SubjectRole.WITNESS),
    )
    await room.settle()
    assert by_hand(room)[1] == []
    plan, _ = by_hand(room, FollowPolicy(companions=True))
    assert [each.identifier for each in plan.leads] == [phone(1)]
    assert len(children(room, root)) == 1


async def test_an_address_alone_is_refused_with_the_reason(room: FollowingRoom) -> None:
    watched(room)
    home = Identifier(kind=IdentifierKind.ADDRESS, value="12 Elm St, Hartford CT 06103")
    await room.publish("H-1", person("Quillfeather", home))
    await room.settle()
    (lead,) = by_hand(room)[0].leads
    assert "finds nobody" in lead.refused


async def test_followed_watches_move_to_the_next_epoch(room: FollowingRoom) -> None:
    watched(room)
    await room.publish("H-1", person("Quillfeather", phone(1)))
    await room.settle()
    by_hand(room)
    prf = LocalKey([EpochSecrets.generate(1), EpochSecrets.generate(2)])
    both = Epochs({1: EpochState.CURRENT, 2: EpochState.PREPARED})
    assert retoken(room.partner.vault, partner=PARTNER, epochs=both, prf=prf) == 2
    with room.partner.vault.read() as rows:
        assert rows.count(REGISTRATIONS, REGISTRATIONS.c.epoch == 2) == 2


async def test_it_is_followed_once_and_written_down(room: FollowingRoom) -> None:
    root = watched(room, FollowPolicy())
    await room.publish("H-1", person("Quillfeather", phone(1)))
    await room.settle()
    await room.publish("H-2", person("Quillfeather", phone(1)))
    await room.settle()
    assert len(children(room, root)) == 1
    with room.partner.vault.read() as rows:
        assert rows.count(ALERTS, ALERTS.c.to_follow.is_(True)) == 0
        (_, one) = tree(rows, root)
        (first, *_) = history(rows, one.row["id"])
    assert first["action"] == "followed"
    assert first["text"].startswith("from alert ")
