"""A place and a time are watched: entered, registered, compared exactly, and over by themselves."""

from __future__ import annotations

from datetime import timedelta
from math import cos, pi, radians
from pathlib import Path
from typing import Any

import pytest

from consumers.areas import WatchedArea, read_area
from consumers.associations import FollowPolicy
from consumers.exchange_key import Deconflicting
from consumers.expiry import warn
from consumers.following import plan_for, wants_following
from consumers.opened_alerts import OpenedAlert, read_opened
from consumers.placing import change_watch, expire_watches, retoken
from consumers.registrations import tokenise
from consumers.templates import public_fields
from consumers.triage import triage_place, weightier
from consumers.vault import ALERTS, PAGES
from consumers.watch_checks import new_watch, validated
from consumers.watch_files import read_watches, watch_fields
from consumers.watch_list import listed, watch_named
from consumers.watches import Watch
from key_holder.settings import ClassQuotas
from schemas import codec
from schemas.areas import AreaPlan
from schemas.messages import SubjectTouch
from schemas.packing import CARD_LOCK, TOKEN, rows
from schemas.parts import ContactCard, Subject, TouchCommon
from schemas.rule import satisfies
from schemas.vocabulary import CoarseKind, TouchKind, is_of_a_subject
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import EpochSecrets, LocalKey
from silenthit.blinding.sealing import Signer
from silenthit.blinding.slots import fresh_key, open_slot, slot_place
from silenthit.call_tree.pages import PageState
from silenthit.errors import InputError, RefusedError
from silenthit.identity.areas import COARSEST
from silenthit.identity.cells import EARTH_M
from silenthit.identity.compare import Decision
from tests.operations_room import sealed_operation
from tests.partner_room import NOW, ORI, PARTNER, Room, john, mary, watch_on

EVENING = NOW + timedelta(days=3)
BEYOND = 41.32  # 1,112 m away, where 1,100 m count


def plan(**changed: Any) -> AreaPlan:
    fields = {"lat": 41.31, "lon": -72.924, "radius_m": 300.0,
              "starts_at": EVENING, "ends_at": EVENING + timedelta(hours=6)}  # fmt: skip
    return AreaPlan.model_validate(fields | changed)


def a_place(**changed: Any) -> WatchedArea:
    return WatchedArea(plan=plan(**changed), distance_m=500)


def place_watch(**more: Any) -> Watch:
    area = more.pop("area", a_place())
    fields = {"subjects": (), "area": area, "expires_at": area.plan.ends_at}
    return watch_on().model_copy(update={**fields, **more})


def operation(room: Room, where: AreaPlan, *subjects: Subject, revision: int = 1) -> SubjectTouch:
    signer = Signer(f"{ORI}#1", room.agency)
    return sealed_operation(room.prf, signer, where, *subjects, revision=revision)


def met(room: Room, touch: SubjectTouch) -> OpenedAlert:
    """What the partner makes of an operation that the exchange finds near its one watch."""
    (registration,) = room.registrations()
    room.receive(room.alert(touch, registration))
    with room.vault.read() as found:
        (row,) = found.find(ALERTS)
        opened = read_opened(row)
    assert opened is not None
    return opened


def pages(room: Room) -> int:
    with room.vault.read() as found:
        return found.count(PAGES, PAGES.c.state == PageState.DUE)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


def test_an_operation_near_the_place_is_a_hit_that_says_when_how_near_and_whom_to_call(
    room: Room,
) -> None:
    room.add(place_watch())
    opened = met(room, operation(room, plan(lat=41.3172), mary()))
    assert opened.decision is Decision.HIT
    assert opened.near_a_place
    assert opened.verdict is not None
    window = "2026-11-25 12:00 to 2026-11-25 18:00 UTC"
    assert opened.verdict.reasons == (
        f"operation planned 201 m from the place you watch, {window}",
        f"watched {window}, up to 500 m around it",
    )
    assert opened.card is not None
    assert opened.card.phone == "860-555-0199"
    assert not opened.subjects  # its policy shows none but to who watches them
    assert public_fields(b"", opened)["why"] == "operation planned near the place you watch"
    assert pages(room) == 1


@pytest.mark.parametrize(
    "moved",
    [
        {"lat": BEYOND},
        {"starts_at": EVENING - timedelta(hours=3), "ends_at": EVENING + timedelta(minutes=1)},
    ],
)
def test_of_what_the_blind_rule_brings_only_what_meets_exactly_pages_anybody(
    room: Room, moved: dict[str, Any]
) -> None:
    late = EVENING + timedelta(minutes=1)
    room.add(place_watch(area=a_place(starts_at=late)))
    assert met(room, operation(room, plan(**moved))).decision is Decision.DISCARDED
    assert pages(room) == 0


@pytest.mark.parametrize("moved", [{"lat": 41.4}, {"ends_at": EVENING + timedelta(hours=1)}])
def test_what_meets_in_place_or_in_time_alone_is_not_found_at_all(
    room: Room, moved: dict[str, Any]
) -> None:
    room.add(place_watch(area=a_place(starts_at=EVENING + timedelta(hours=3))))
    (registration,) = room.registrations()
    assert not satisfies(operation(room, plan(**moved)).tokens, registration.tokens)


def test_a_moved_operation_updates_the_alert_and_takes_back_its_page(room: Room) -> None:
    room.add(place_watch())
    assert met(room, operation(room, plan())).decision is Decision.HIT
    away = met(room, operation(room, plan(lat=BEYOND), revision=2))
    assert away.decision is Decision.DISCARDED
    assert pages(room) == 0
    assert met(room, operation(room, plan(), revision=3)).decision is Decision.HIT


def test_a_watch_of_somebody_and_of_a_place_is_told_for_either(room: Room) -> None:
    room.add(watch_on(area=a_place()))
    opened = met(room, operation(room, plan(lat=42.0), john()))
    assert opened.decision is Decision.HIT
    assert not opened.near_a_place
    assert set(opened.subjects) == {0}


def test_where_one_comparison_is_withheld_and_the_other_says_no_it_stays_possible() -> None:
    area, common = a_place(), TouchCommon(record_number="1", kind=TouchKind.PLANNED_OPERATION)
    away = common.model_copy(update={"area": plan(lat=42.0)})
    there = common.model_copy(update={"area": plan()})
    assert triage_place(area, None, (0, 0)) is triage_place(area, common, (0, 0)) is None
    assert weightier(None, triage_place(area, away, (0, 0))) is None
    near = triage_place(area, there, (0, 0))
    assert weightier(None, near) is near is not None


def test_a_registration_asks_by_a_subject_of_its_own_after_the_watch_s_and_fills_with_like(
    room: Room,
) -> None:
    room.add(watch_on(john(), mary(), area=a_place()))
    (registration,) = room.registrations()
    found = rows(registration.tokens, TOKEN)
    assert len(found) % 8 == 0
    assert set(found["subject"].tolist()) == {0, 1, 2}
    for row in found:
        assert is_of_a_subject(int(row["kind"])) == (row["subject"] < 2)


def test_partners_who_agree_are_told_for_the_subject_and_never_for_the_place(room: Room) -> None:
    private, public = fresh_key()
    card = ContactCard(ori="", agency="fbi", phone="203-555-0100")

    def locks(watch: Watch) -> int:
        willing = watch.model_copy(update={"basis_at": NOW, "shows": card})
        ids, to = [(b"r" * 16, b"w" * 16)], Deconflicting(public)
        (made,) = tokenise([willing], ids, PARTNER, 1, room.prf, deconflicting=to)
        slot = open_slot(private, made.message.slot, slot_place(b"r" * 16, 1, PARTNER))
        assert slot is not None
        return len(rows(slot.locks, CARD_LOCK))

    assert locks(watch_on(area=a_place())) == locks(watch_on()) > 0
    assert locks(place_watch()) == 0


def test_a_new_epoch_derives_the_place_anew(room: Room) -> None:
    room.add(place_watch())
    prf = LocalKey([EpochSecrets.generate(1), EpochSecrets.generate(2)])
    states = {1: EpochState.DRAINING, 2: EpochState.CURRENT}
    assert retoken(room.vault, partner=PARTNER, epochs=Epochs(states), prf=prf) == 1
    first, second = (set(rows(r.tokens, TOKEN)["token"].tolist()) for r in room.registrations())
    assert not first & second


def test_an_edit_asks_for_the_new_place_under_the_same_registration(room: Room) -> None:
    (watch_id,) = room.add(place_watch())
    before = watch_named(room.vault, watch_id.hex())
    moved = place_watch(area=a_place(lat=42.0))
    change_watch(room.vault, before, moved, partner=PARTNER, prf=room.prf, now=NOW)
    (after,) = room.registrations()
    assert after.registration_id == before.registration_id
    assert satisfies(operation(room, plan(lat=42.0)).tokens, after.tokens)
    assert not satisfies(operation(room, plan()).tokens, after.tokens)


def test_a_place_alone_is_over_with_its_time_and_nobody_is_asked_to_renew_it(room: Room) -> None:
    room.add(place_watch())
    (registration,) = room.registrations()
    over = EVENING + timedelta(hours=6)
    assert registration.expires_at >= over.timestamp() * 1000
    assert registration.expires_at < (over + timedelta(days=1)).timestamp() * 1000
    with room.vault.write() as into:
        warn(into, ("desk",), over - timedelta(hours=1))
    assert pages(room) == 0
    assert expire_watches(room.vault, over - timedelta(seconds=1)) == 0
    assert expire_watches(room.vault, over) == 1
    assert [each.watch_expired for each in listed(room.vault, removed=True)] == [True]


def test_its_end_is_that_of_its_time_however_it_is_entered_and_renewed() -> None:
    fields = place_watch().model_dump(exclude={"expires_at"})
    watch = new_watch(fields, NOW)
    assert watch.expires_at == EVENING + timedelta(hours=6)
    assert validated(watch, NOW, days=30).expires_at == watch.expires_at
    with pytest.raises(RefusedError, match="own end has come"):
        validated(watch, EVENING + timedelta(hours=6))
    far = new_watch(fields | {"area": a_place(ends_at=EVENING + timedelta(days=31))}, NOW)
    assert far.leaves_at == EVENING + timedelta(days=31)


def test_one_whose_time_is_far_away_is_validated_like_any_other_until_then(room: Room) -> None:
    fields = place_watch().model_dump(exclude={"expires_at"})
    later = a_place(starts_at=NOW + timedelta(days=100), ends_at=NOW + timedelta(days=101))
    watch = new_watch(fields | {"area": later}, NOW)
    assert watch.expires_at == NOW + timedelta(days=90)
    room.add(watch)
    with room.vault.write() as into:
        warn(into, ("desk",), NOW + timedelta(days=88))
    assert pages(room) == 1
    assert expire_watches(room.vault, NOW + timedelta(days=96)) == 0
    renewed = validated(watch, NOW + timedelta(days=91))
    assert renewed.expires_at == renewed.leaves_at == NOW + timedelta(days=101)


@pytest.mark.parametrize(
    ("changed", "error", "remedy"),
    [
        ({"area": a_place(radius_m=5001)}, RefusedError, "smaller place"),
        ({"area": WatchedArea(plan=plan(), distance_m=5001)}, RefusedError, "smaller place"),
        ({"area": a_place(ends_at=EVENING + timedelta(days=32))}, RefusedError, "31 days"),
        ({"area": a_place(starts_at=NOW - timedelta(hours=2), ends_at=NOW)}, InputError, "over"),
        ({"kinds": (CoarseKind.CUSTODY,)}, InputError, "--kind operation"),
        ({"area": None}, InputError, "subject or a place"),
    ],
)
def test_what_may_not_be_watched_is_refused_with_the_remedy(
    changed: dict[str, Any], error: type[Exception], remedy: str
) -> None:
    fields = watch_on(area=a_place()).model_dump(exclude={"expires_at"})
    if changed.get("area", ...) is None:
        fields["subjects"] = ()
    with pytest.raises(error, match=remedy):
        new_watch(fields | changed, NOW)


def test_a_file_has_a_place_as_a_table_of_a_watch(tmp_path: Path) -> None:
    path = tmp_path / "watches.toml"
    path.write_text(
        '[[watch]]\nlabel = "Heron"\nlegal_basis = "order"\nstated_by = "SA"\n'
        '[watch.area]\nplace = "41.3100N 72.9240W"\nradius_m = 300\ndistance_m = 500\n'
        "starts_at = 2026-11-25T07:00:00-05:00\nends_at = 2026-11-25T18:00:00\n",
        "utf-8",
    )
    (written,) = read_watches(path)
    watch = new_watch(watch_fields(written.content), NOW)
    assert watch.area == a_place()
    table = tmp_path / "watches.csv"
    table.write_text("label,area\nHeron,here\n", "utf-8")
    with pytest.raises(InputError, match="columns"):
        read_watches(table)


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"place": "Seaview Motel"}, "no address is looked up"),
        ({"place": None}, "place"),
        ({"radius": 5}, "radius"),
        ({"radius_m": "wide"}, "radius_m"),
        ({"starts_at": "at noon"}, "starts_at"),
        ({"ends_at": "2026-11-25T07:00"}, "ends after it starts"),
        ({"distance_m": -1}, "distance_m"),
    ],
)
def test_what_is_no_place_and_time_is_refused_and_not_quoted(
    changed: dict[str, Any], remedy: str
) -> None:
    fields = {"place": "41.31, -72.924", "radius_m": 300, "starts_at": "2026-11-25T12:00",
              "ends_at": "2026-11-25T18:00+00:00"}  # fmt: skip
    assert read_area(fields).plan == plan()
    with pytest.raises(InputError, match=remedy) as refused:
        read_area(fields | changed)
    assert "41.31, -72.924" not in str(refused.value)


def test_nobody_in_an_operation_near_a_place_is_followed(room: Room) -> None:
    room.add(place_watch())
    opened = met(room, operation(room, plan(), john()))
    assert not wants_following(place_watch(follow=FollowPolicy()), opened)
    with room.vault.read() as found:
        (row,) = found.find(ALERTS)
        with pytest.raises(RefusedError, match="near a place"):
            plan_for(found, row, None)


def test_a_watch_written_before_there_were_places_is_read() -> None:
    before = watch_on().model_dump_json(exclude={"area"})
    assert Watch.model_validate_json(before).area is None


def test_a_touch_of_before_there_were_places_is_still_read() -> None:
    now = TouchCommon(record_number="1", kind=TouchKind.ARREST)
    (before,) = codec.earlier(TouchCommon)
    written = before + codec.encode(now)[codec.PREFIX_BYTES : -1]  # no area is one byte
    assert codec.decode(written, TouchCommon) == now


def test_a_country_is_not_searched_for_a_place_in_a_day() -> None:
    """By default; and what else may be asked in a day is of other secrets."""
    cell = (360 / 2**COARSEST) ** 2 * cos(radians(38))  # square degrees of latitude's length
    states = 8_080_000 / (2 * pi * EARTH_M / 1000 / 360) ** 2  # square kilometres, contiguous
    assert ClassQuotas().place_time.per_day < states / cell
    assert ClassQuotas().place_time.per_minute == 6_000


def test_an_area_is_silent_in_logs() -> None:
    assert "41.3" not in repr(place_watch()) + repr(a_place()) + str(plan())
