"""From two vaults through the exchange's process and back: what each partner keeps and hears."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from consumers.exchange_key import deconflicting, trust_exchange
from consumers.inbox import Outcome
from consumers.meeting_rows import listed, named
from consumers.meetings import receive_meeting
from consumers.news import Recipients
from consumers.placing import add_watches, approve_watches, change_watch, remove_watch, retoken
from consumers.roles import Role
from consumers.vault import CASES, PAGES, REGISTRATIONS, Vault
from consumers.vault.guard import Actor
from consumers.vault_keys import generate_key, load_key
from consumers.watch_list import watch_named
from consumers.watches import Watch
from schemas import codec
from schemas.deconfliction import Meeting
from schemas.messages import WatchRegistration
from schemas.parts import ContactCard
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import EpochSecrets, LocalKey
from silenthit.blinding.slots import fresh_key, open_slot, slot_place
from silenthit.bus.clients import Message
from silenthit.call_tree.pages import Page
from silenthit.call_tree.protocol import parse_protocol
from silenthit.errors import InputError, RefusedError
from stream_processors.deconfliction import Deconfliction, Encounter
from stream_processors.deconfliction_settings import DeconflictionSettings
from tests.partner_room import NOW, NOW_MS, john, mary, watch_on

DAY = timedelta(days=1)
DAY_MS = 86_400_000
PRF = LocalKey([EpochSecrets.generate(1), EpochSecrets.generate(2)])


@dataclass
class Desk:
    """A partner with its vault."""

    name: str
    vault: Vault

    def watch(self, watch: Watch, **more: Any) -> str:
        fixed = {"partner": self.name, "epochs": (1,), "prf": PRF, "now": NOW, **more}
        return add_watches(self.vault, [watch], **fixed)[0].hex()

    def edit(self, watch_id: str, *, at: Any = NOW, **fields: Any) -> None:
        before = watch_named(self.vault, watch_id)
        after = before.watch.model_copy(update=fields)
        change_watch(self.vault, before, after, partner=self.name, prf=PRF, now=at)

    def show(self, watch_id: str, **more: Any) -> None:
        self.edit(watch_id, shows=card_of(self.name), **more)

    def registrations(self) -> list[WatchRegistration]:
        with self.vault.read() as rows:
            found = [row["private"] for row in rows.find(REGISTRATIONS) if row["private"]]
        return [codec.decode(each, WatchRegistration) for each in found]

    def receive(self, message: Meeting, to: Recipients = Recipients(("desk",))) -> Any:  # noqa: B008 frozen
        sent = Message("t", 0, 0, NOW_MS, message.meeting_id, codec.encode(message))
        with self.vault.write() as into:
            return receive_meeting(into, sent, to, NOW_MS)

    def met(self) -> list[dict[str, Any]]:
        with self.vault.read() as rows:
            return listed(rows)

    def pages(self) -> list[Page]:
        with self.vault.read() as rows:
            return [Page.model_validate_json(row["private"]) for row in rows.find(PAGES)]


@dataclass
class Two:
    fbi: Desk
    hsi: Desk
    private: X25519PrivateKey

    def exchange(self, **rules: Any) -> Deconfliction:
        """The process, having read what both vaults would send."""
        state = Deconfliction(DeconflictionSettings(settles_s=0, **rules))
        for each in (*self.fbi.registrations(), *self.hsi.registrations()):
            state.see(each, NOW_MS)
            place = slot_place(each.registration_id, each.epoch, each.partner)
            state.take(each, open_slot(self.private, each.slot, place))
        return state

    def told(self, at: int = NOW_MS + DAY_MS) -> dict[str, Meeting]:
        (found,) = self.exchange().due(at)
        assert isinstance(found, Encounter)
        return dict(found.messages)


def card_of(name: str) -> ContactCard:
    return ContactCard(ori="", agency=f"cover of {name}", name="SA Reyes", phone="203-555-0100",
                       case_number="Blue Heron")  # fmt: skip


@pytest.fixture
def two(tmp_path: Path) -> Two:
    private, public = fresh_key()
    desks = []
    for name in ("fbi", "hsi"):
        (tmp_path / name).mkdir()
        generate_key(tmp_path / name / "vault.key")
        key = load_key(tmp_path / name / "vault.key")
        vault = Vault.open(tmp_path / name / "vault.sqlite", key, create=True)
        with vault.write() as into:
            trust_exchange(into, DeconflictionKey(key=public.hex()))
        desks.append(Desk(name, vault))
    return Two(*desks, private)


def both_willing(two: Two) -> tuple[str, str]:
    ours = two.fbi.watch(watch_on(mary(), john(), owner="reyes"))
    theirs = two.hsi.watch(watch_on(john()))
    two.fbi.show(ours)
    two.hsi.show(theirs)
    return ours, theirs


def test_each_reads_the_others_card_and_which_of_its_own_subjects_it_is(two: Two) -> None:
    ours, _ = both_willing(two)
    told = two.told()
    assert two.fbi.receive(told["fbi"]).outcome is Outcome.MEETING
    assert two.hsi.receive(told["hsi"]).outcome is Outcome.MEETING
    (found,) = two.fbi.met()
    assert (found["shown_as"], found["phone"]) == ("cover of hsi", "203-555-0100")
    assert (found["watch_id"], found["subjects"]) == (ours, [2])
    assert two.hsi.met()[0]["shown_as"] == "cover of fbi"
    with two.fbi.vault.read() as rows:
        assert named(rows, found["meeting_id"][:6]) == found
        with pytest.raises(InputError):
            named(rows, "beef")


def test_it_counts_from_a_day_after_the_ground_was_stated_and_not_before(two: Two) -> None:
    both_willing(two)
    state = two.exchange()
    assert not list(state.due(NOW_MS + DAY_MS - 1))
    assert list(state.due(NOW_MS + DAY_MS))


@pytest.mark.parametrize("change", [{"legal_basis": "another"}, {"subjects": (john(), mary())}])
def test_another_ground_or_other_subjects_begin_the_day_anew(two: Two, change: Any) -> None:
    ours, _ = both_willing(two)
    two.fbi.edit(ours, at=NOW + 2 * DAY, **change)
    state = two.exchange()
    assert not list(state.due(NOW_MS + 3 * DAY_MS - 1))
    assert list(state.due(NOW_MS + 3 * DAY_MS))


def test_another_label_or_a_later_yes_leave_it_where_it_was(two: Two) -> None:
    ours, _ = both_willing(two)
    two.fbi.edit(ours, at=NOW + 2 * DAY, label="Grey Heron")
    two.fbi.edit(ours, at=NOW + 2 * DAY, shows=None)
    two.fbi.show(ours, at=NOW + 2 * DAY)
    assert list(two.exchange().due(NOW_MS + DAY_MS))


def test_a_watch_that_is_entered_shows_nothing_whatever_its_file_says(two: Two) -> None:
    said = watch_on(shows=card_of("fbi"), basis_at=NOW - 9 * DAY)
    found = watch_named(two.fbi.vault, two.fbi.watch(said)).watch
    assert (found.shows, found.basis_at) == (None, NOW)


def test_every_epoch_has_its_slot_and_the_pair_is_told_once(two: Two) -> None:
    both_willing(two)
    later = Epochs({1: EpochState.DRAINING, 2: EpochState.CURRENT})
    for desk in (two.fbi, two.hsi):
        assert retoken(desk.vault, partner=desk.name, epochs=later, prf=PRF) == 1
    state = two.exchange()
    (found,) = state.due(NOW_MS + DAY_MS)
    assert {message.epoch for _, message in found.messages} == {2}
    state.remember(found.told.meeting_id, found.told)
    assert not list(state.due(NOW_MS + DAY_MS))


def test_what_waits_for_approval_is_shown_to_nobody_until_it_stands(two: Two) -> None:
    entering = two.fbi.vault.as_actor(Actor("nu", Role.REGISTRAR))
    waiting = Desk("fbi", entering).watch(watch_on())
    with pytest.raises(RefusedError):
        Desk("fbi", entering).show(waiting)
    two.fbi.show(waiting)
    theirs = two.hsi.watch(watch_on(john()))
    two.hsi.show(theirs)
    assert not list(two.exchange().due(NOW_MS + DAY_MS))
    approve_watches(two.fbi.vault, [bytes.fromhex(waiting)], NOW)
    current = Epochs({1: EpochState.CURRENT})
    retoken(two.fbi.vault, partner="fbi", epochs=current, prf=PRF)
    assert set(two.told()) == {"fbi", "hsi"}


def test_a_meeting_pages_the_watchs_channels_with_nothing_of_the_subject(two: Two) -> None:
    both_willing(two)
    two.fbi.receive(two.told()["fbi"])
    (page,) = two.fbi.pages()
    assert page.channels == ("desk",)
    said = " ".join(page.fields.values())
    assert "Blue Heron 1" in said
    for word in ("Quillfeather", "John", "203-555", "cover of"):
        assert word not in said


def test_the_call_tree_calls_the_watchs_owner(two: Two) -> None:
    protocol = parse_protocol(
        {
            "timezone": "UTC",
            "people": {"reyes": {"channels": ["r"]}, "duty": {"channels": ["d"]}},
            "branches": [{"name": "all", "levels": [{"call": ["duty"], "within": "1h"}]}],
            "last_resort": {"call": ["duty"], "every": "30m", "times": 2},
        }
    )
    both_willing(two)
    two.fbi.receive(two.told()["fbi"], Recipients((), protocol))
    with two.fbi.vault.read() as rows:
        (case,) = rows.find(CASES)
    assert case["stage"] == "climbing"
    assert b"reyes" in case["private"]


def test_what_comes_again_is_nothing_new_and_another_card_is(two: Two) -> None:
    _, theirs = both_willing(two)
    told = two.told()["fbi"]
    two.fbi.receive(told)
    assert two.fbi.receive(told).outcome is Outcome.UNCHANGED
    assert len(two.fbi.pages()) == 1
    two.hsi.edit(theirs, shows=card_of("hsi").model_copy(update={"phone": "860-555-0111"}))
    assert two.fbi.receive(two.told()["fbi"]).outcome is Outcome.MEETING
    assert [each["phone"] for each in two.fbi.met()] == ["860-555-0111"]


def test_a_card_that_does_not_open_is_told_as_such(two: Two) -> None:
    both_willing(two)
    told = two.told()["fbi"]
    two.fbi.receive(told.model_copy(update={"card": bytes(len(told.card))}))
    (found,) = two.fbi.met()
    assert (found["opened"], found["shown_as"], found["label"]) == (False, "", "Blue Heron 1")
    assert len(two.fbi.pages()) == 1


def test_a_meeting_of_a_watch_that_was_removed_says_nothing(two: Two) -> None:
    ours, _ = both_willing(two)
    told = two.told()["fbi"]
    remove_watch(two.fbi.vault, bytes.fromhex(ours), NOW)
    with two.fbi.vault.write() as into:
        for row in list(into.find(REGISTRATIONS)):
            gone = {"state": "removed", "private": None, "private_secrets": None}
            into.put(REGISTRATIONS, row["id"], gone)
    assert two.fbi.receive(told) is None
    assert not two.fbi.met()


def test_without_the_exchanges_key_slots_are_sealed_to_nobody(two: Two, tmp_path: Path) -> None:
    generate_key(tmp_path / "alone.key")
    alone = Desk("dea", Vault.open(tmp_path / "v.sqlite", load_key(tmp_path / "alone.key"),
                                   create=True))  # fmt: skip
    assert deconflicting(alone.vault).key is None
    alone.show(alone.watch(watch_on()))
    (found,) = alone.registrations()
    assert len(found.slot) == len(two.fbi.registrations()[0].slot if two.fbi.registrations()
                                  else found.slot)  # fmt: skip
    place = slot_place(found.registration_id, 1, "dea")
    assert open_slot(two.private, found.slot, place) is None


def test_who_may_not_view_alerts_may_not_view_meetings(two: Two) -> None:
    both_willing(two)
    two.fbi.receive(two.told()["fbi"])
    for role, may in ((Role.ANALYST, True), (Role.REGISTRAR, False), (Role.AUDITOR, False)):
        theirs = Desk("fbi", two.fbi.vault.as_actor(Actor("who", role)))
        if may:
            assert len(theirs.met()) == 1
        else:
            with pytest.raises(RefusedError):
                theirs.met()
