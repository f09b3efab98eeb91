from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consumers.expiry import warn, warnings_due
from consumers.paging import Page
from consumers.placing import (
    change_watch,
    expire_watches,
    remove_watch,
    retoken,
)
from consumers.registrations import SECRET, deliver, fresh_id, tokenise, unconfirmed
from consumers.states import State
from consumers.vault import PAGES, REGISTRATIONS
from consumers.watch_checks import check_watch, read_watch, too_little, validated
from consumers.watch_files import read_watch_file, watch_fields
from consumers.watch_list import count_watches, listed, watch_named
from consumers.watches import Watch
from schemas import codec
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, rows
from schemas.parts import Identifier, PersonName, Subject
from schemas.rule import satisfies
from schemas.vocabulary import CoarseKind, IdentifierKind
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import EpochSecrets, LocalKey
from silenthit.errors import InputError, RefusedError, RetryError
from silenthit.subject_options import read_identifier, read_subject
from tests.partner_room import NOW, PARTNER, Room, john, mary, watch_on


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


class Broker:
    """Stands where a publisher stands; refuses as long as it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes | None, bytes | None]] = []
        self.away = False
        self.then: Any = None

    def send(self, topic: str, key: bytes | None, value: bytes | None) -> Future[Any]:
        future: Future[Any] = Future()
        if self.then:
            self.then()
        if self.away:
            future.set_exception(RetryError("expected a broker, got none"))
        else:
            self.sent.append((topic, key, value))
            future.set_result(None)
        return future

    def flush(self, timeout: float) -> None:
        """Nothing waits."""


def _name_only() -> Subject:
    return Subject(names=(PersonName(surname="Doe", given="John"),))


def test_a_watch_without_a_legal_basis_is_refused_and_says_why() -> None:
    with pytest.raises(RefusedError, match=r"28 CFR 23\.20\(a\)"):
        check_watch(watch_on(legal_basis="  "), NOW)


def test_a_watch_beyond_five_years_is_refused() -> None:
    with pytest.raises(RefusedError, match="five years"):
        check_watch(watch_on(expires_at=NOW + timedelta(days=366 * 5)), NOW)


def test_a_watch_that_has_expired_already_is_refused() -> None:
    with pytest.raises(InputError, match="future"):
        check_watch(watch_on(expires_at=NOW), NOW)


@pytest.mark.parametrize(
    ("subject", "remedy"),
    [
        (_name_only(), "full date of birth"),
        (Subject(birth_dates=("1980-01-02",)), "surname and given name"),
        (Subject(), "a name with the date of birth"),
        (
            Subject(identifiers=(Identifier(kind=IdentifierKind.SSN, value="000-00-0000"),)),
            "ssn given is no usable one",
        ),
    ],
)
def test_a_subject_that_nobody_could_be_found_by_is_refused_with_what_to_add(
    subject: Subject, remedy: str
) -> None:
    assert too_little(subject)
    with pytest.raises(InputError, match=remedy) as refused:
        check_watch(watch_on(john(), subject), NOW)
    assert "subject 2" in str(refused.value)
    assert "Doe" not in str(refused.value)


def test_a_fault_in_a_watch_names_the_field_and_not_its_content() -> None:
    fields: dict[str, object] = {
        "label": "x",
        "legal_basis": "y",
        "stated_by": "z",
        "subjects": [john()],
        "kinds": ["Quillfeather"],
    }
    with pytest.raises(InputError, match=r"kinds\.0") as refused:
        read_watch(fields, NOW)
    assert "Quillfeather" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_watch_lives_ninety_days_unless_told() -> None:
    watch = read_watch(
        {"label": "x", "legal_basis": "y", "stated_by": "z", "subjects": [john()]}, NOW
    )
    assert watch.expires_at == NOW + timedelta(days=90)


def test_a_registration_holds_tokens_padded_sorted_and_no_plaintext() -> None:
    prf = LocalKey([EpochSecrets.generate(1)])
    watch = watch_on(john(), mary(), kinds=(CoarseKind.CUSTODY,))
    (found,) = tokenise([watch], [(fresh_id(), fresh_id())], PARTNER, 1, prf)
    held = rows(found.message.tokens, TOKEN)
    real = rows(found.secrets, SECRET)
    order = [(int(row["subject"]), row["token"].tobytes()) for row in held]
    assert len(held) % 8 == 0
    assert order == sorted(order)
    assert {row["token"].tobytes() for row in real} <= {token for _, token in order}
    assert len({row["token"].tobytes() for row in real}) == len(real)
    assert b"Quillfeather" not in codec.encode(found.message)
    assert found.message.kinds == (CoarseKind.CUSTODY,)
    again = tokenise([watch], [(fresh_id(), fresh_id())], PARTNER, 1, prf)[0].message
    assert again.registration_id != found.message.registration_id
    assert satisfies(again.tokens, found.message.tokens)


def test_an_edit_changes_no_dummy_and_another_watch_or_epoch_has_others() -> None:
    prf = LocalKey([EpochSecrets.generate(1), EpochSecrets.generate(2)])
    watch_id, own = fresh_id(), fresh_id()
    watch = watch_on(john())

    def dummies(watch: Watch, watch_id: bytes, epoch: int = 1) -> set[bytes]:
        (made,) = tokenise([watch], [(own, watch_id)], PARTNER, epoch, prf)
        real = {row["token"].tobytes() for row in rows(made.secrets, SECRET)}
        return {row["token"].tobytes() for row in rows(made.message.tokens, TOKEN)} - real

    first = dummies(watch, watch_id)
    edited = watch.model_copy(update={"label": "other", "kinds": (CoarseKind.CUSTODY,)})
    assert first
    assert dummies(edited, watch_id) == first
    phone = Identifier(kind=IdentifierKind.PHONE, value="203-555-0177")
    more = john().model_copy(update={"identifiers": (*john().identifiers, phone)})
    assert dummies(watch.model_copy(update={"subjects": (more,)}), watch_id) < first
    assert not first & dummies(watch, fresh_id())
    assert not first & dummies(watch, watch_id, epoch=2)


def test_a_watch_is_in_the_vault_before_anything_is_sent_and_goes_out_later(room: Room) -> None:
    room.add()
    broker = Broker()
    broker.away = True
    with pytest.raises(RetryError):
        deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert listed(room.vault)[0].state == "sending"
    broker.away = False
    assert deliver(room.vault, broker, PARTNER) == 1  # type: ignore[arg-type]
    assert listed(room.vault)[0].state == "active"
    assert unconfirmed(room.vault) == 0
    ((topic, key, value),) = broker.sent
    sent = codec.decode(value or b"", WatchRegistration)
    assert topic == "watches.fbi-ct"
    assert key == registration_key(sent.registration_id, sent.epoch)
    assert sent == room.registrations()[0]


def test_what_is_confirmed_is_not_sent_again(room: Room) -> None:
    room.add()
    broker = Broker()
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert deliver(room.vault, broker, PARTNER) == 0  # type: ignore[arg-type]
    assert len(broker.sent) == 1


def test_a_removed_watch_leaves_a_tombstone_and_no_secrets(room: Room) -> None:
    (watch_id,) = room.add()
    broker = Broker()
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    remove_watch(room.vault, watch_id, NOW)
    assert listed(room.vault, removed=True)[0].state == "removing"
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert listed(room.vault) == []
    assert listed(room.vault, removed=True)[0].state == "removed"
    assert broker.sent[-1][2] is None
    assert broker.sent[-1][1] == broker.sent[0][1]
    with room.vault.read() as found:
        (row,) = found.find(REGISTRATIONS)
    assert row["private"] is None
    assert row["private_secrets"] is None


def test_a_watch_removed_while_it_is_sent_is_still_taken_back(room: Room) -> None:
    (watch_id,) = room.add()
    broker = Broker()
    broker.then = lambda: remove_watch(room.vault, watch_id, NOW)
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    broker.then = None
    with room.vault.read() as found:
        assert [row["state"] for row in found.find(REGISTRATIONS)] == [State.REMOVING]
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert [value is None for _, _, value in broker.sent] == [False, True]


def test_an_expired_watch_leaves_by_tombstone(room: Room) -> None:
    room.add(watch_on(label="old"), watch_on(label="new", expires_at=NOW + timedelta(days=200)))
    assert expire_watches(room.vault, NOW + timedelta(days=96)) == 0
    assert expire_watches(room.vault, NOW + timedelta(days=97)) == 1
    assert [each.watch.label for each in listed(room.vault)] == ["new"]


def test_a_watch_answers_to_its_label_and_to_the_beginning_of_its_id(room: Room) -> None:
    one, _ = room.add(watch_on(label="one"), watch_on(label="two"))
    assert watch_named(room.vault, "one").watch_id == one
    assert watch_named(room.vault, one.hex()[:8]).watch.label == "one"
    with pytest.raises(InputError, match="watch list"):
        watch_named(room.vault, "three")


def test_one_faulty_watch_keeps_every_watch_of_the_call_out(room: Room) -> None:
    with pytest.raises(InputError):
        room.add(watch_on(), watch_on(_name_only()))
    assert listed(room.vault) == []


@pytest.mark.parametrize(
    ("kind", "text", "issuer", "value"),
    [
        (IdentifierKind.PLATE, "CT:AB12345", "CT", "AB12345"),
        (IdentifierKind.PLATE, "AB12345", "", "AB12345"),
        (IdentifierKind.SOCIAL_HANDLE, "instagram:red.boy", "instagram", "red.boy"),
        (IdentifierKind.SOCIAL_HANDLE, "https://x.com/red", "", "https://x.com/red"),
        (IdentifierKind.DEVICE, "aa:bb:cc:dd:ee:ff", "", "aa:bb:cc:dd:ee:ff"),
        (IdentifierKind.PHONE, "203-555-0142", "", "203-555-0142"),
    ],
)
def test_an_identifier_may_name_its_issuer_first(
    kind: IdentifierKind, text: str, issuer: str, value: str
) -> None:
    assert read_identifier(kind, text) == Identifier(kind=kind, value=value, issuer=issuer)


def test_a_watch_list_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "watches.toml"
    path.write_text(
        """
[[watch]]
label = "one"
legal_basis = "b"
stated_by = "SA Reyes"
kinds = ["custody"]
[[watch.subject]]
surname = "Doe"
given = "John"
aliases = ["Johnny Roe"]
street_names = ["Red"]
birth_dates = [1980-01-02]
identifiers = [{kind = "plate", value = "AB12345", issuer = "CT"}]
[[watch.subject]]
phone = ["203-555-0142", "203-555-0143"]
""",
        "utf-8",
    )
    (written,) = read_watch_file(path)
    watch = read_watch(watch_fields(written), NOW)
    first, second = watch.subjects
    assert [name.kind.value for name in first.names] == ["legal", "alias", "street_name"]
    assert first.birth_dates == ("1980-01-02",)
    assert len(second.identifiers) == 2


@pytest.mark.parametrize("text", ["label = 1", "[[watch", "[watch]\nlabel='x'", ""])
def test_a_file_that_is_no_watch_list_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "watches.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"watches\.toml"):
        read_watch_file(path)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(InputError, match="surename"):
        read_subject({"surename": "Doe"})
    with pytest.raises(InputError, match="lable"):
        watch_fields({"lable": "x", "subject": []})


def test_a_new_epoch_gets_every_standing_watch_and_a_destroyed_one_loses_its_secrets(
    room: Room,
) -> None:
    prf = LocalKey([EpochSecrets.generate(1), EpochSecrets.generate(2)])
    room.prf = prf
    kept, gone = room.add(watch_on(label="kept"), watch_on(label="gone"))
    broker = Broker()
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    remove_watch(room.vault, gone, NOW)
    both = Epochs({1: EpochState.DRAINING, 2: EpochState.CURRENT})
    assert retoken(room.vault, partner=PARTNER, epochs=both, prf=prf) == 1
    assert retoken(room.vault, partner=PARTNER, epochs=both, prf=prf) == 0
    assert [(each.watch_id, sorted(each.epochs)) for each in listed(room.vault)] == [(kept, [1, 2])]
    later = Epochs({1: EpochState.DESTROYED, 2: EpochState.CURRENT})
    assert retoken(room.vault, partner=PARTNER, epochs=later, prf=prf) == 0
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    with room.vault.read() as found:
        left = {
            (row["watch_id"], row["epoch"]): row["private_secrets"] is not None
            for row in found.find(REGISTRATIONS)
        }
    assert left == {(kept, 1): False, (kept, 2): True, (gone, 1): False}


def test_a_watch_is_warned_of_in_time_and_once_for_each_warning(room: Room) -> None:
    (watch_id,) = room.add(watch_on(label="Blue Heron 1"))
    told = []
    for day in range(100):
        at = NOW + timedelta(days=day)
        with room.vault.write() as into:
            due = warnings_due(into, at)
            if warn(into, ("desk",), at):
                told.append(day)
            assert due == (day in told)
            assert not warnings_due(into, at)
    assert told == [60, 76, 87, 90]
    with room.vault.read() as rows:
        pages = [Page.model_validate_json(row["private"]) for row in rows.find(PAGES)]
    assert {page.fields["label"] for page in pages} == {"Blue Heron 1"}
    assert all(f"watch renew {watch_id.hex()[:8]}" in page.fields["why"] for page in pages)


def test_a_renewed_watch_goes_out_again_under_its_registration_id(room: Room) -> None:
    room.add()
    broker = Broker()
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    (before,) = listed(room.vault)
    longer = watch_on(expires_at=NOW + timedelta(days=300))
    change_watch(room.vault, before, longer, partner=PARTNER, prf=room.prf, now=NOW)
    assert listed(room.vault)[0].state == "sending"
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    first, second = (codec.decode(value or b"", WatchRegistration) for _, _, value in broker.sent)
    assert first.registration_id == second.registration_id
    assert second.expires_at - first.expires_at == 210 * 86_400_000
    assert satisfies(first.tokens, second.tokens)


def test_a_watch_changed_while_it_is_sent_is_sent_again(room: Room) -> None:
    room.add()
    broker = Broker()
    (before,) = listed(room.vault)

    def change() -> None:
        broker.then = None
        other = watch_on(mary())
        change_watch(room.vault, before, other, partner=PARTNER, prf=room.prf, now=NOW)

    broker.then = change
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert listed(room.vault)[0].state == "sending"
    deliver(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert listed(room.vault)[0].state == "active"
    last = codec.decode(broker.sent[-1][2] or b"", WatchRegistration)
    assert last == room.registrations()[0]


def test_a_list_is_searched_by_label_and_case_number_and_limited(room: Room) -> None:
    many = [watch_on(label=f"Heron {n}", case_number=f"50A-{n}") for n in range(12)]
    room.add(*many)
    assert {each.watch.label for each in listed(room.vault, search="hERON 1")} == {
        "Heron 1",
        "Heron 10",
        "Heron 11",
    }
    assert [each.watch.label for each in listed(room.vault, search="50a-7")] == ["Heron 7"]
    assert len(listed(room.vault, limit=5)) == 5
    assert count_watches(room.vault) == 12


def test_a_renewed_watch_is_warned_of_anew_and_one_found_late_once(room: Room) -> None:
    room.add(watch_on(label="Blue Heron 1"))
    with room.vault.write() as into:
        assert warn(into, (), NOW + timedelta(days=88)) == 1  # two days left: not three warnings
        assert warn(into, (), NOW + timedelta(days=89)) == 0
    (before,) = listed(room.vault)
    renewed = validated(before.watch, NOW + timedelta(days=89))
    at = NOW + timedelta(days=89)
    change_watch(room.vault, before, renewed, partner=PARTNER, prf=room.prf, now=at)
    told = []
    for day in range(89, 89 + 400):
        with room.vault.write() as into:
            if warn(into, (), NOW + timedelta(days=day)):
                told.append(89 + 365 - day)
    assert told == [30, 14, 3, 0]
