"""A question says nothing but tokens; its findings are grouped for a person who calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.inquiries import AnswerBody, AnswerStatus, Purpose
from schemas.messages import TouchHeader
from schemas.packing import TOKEN, rows
from schemas.parts import ContactCard, Identifier, PersonName, Subject, TouchCommon
from schemas.vocabulary import CoarseKind, IdentifierKind, TouchKind
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import EpochSecrets, LocalKey
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.errors import InputError, QuotaError
from silenthit.identity.match_keys import match_keys
from silenthit.look_up.asking import checked
from silenthit.look_up.findings import as_json, as_text, findings
from silenthit.look_up.question import question
from silenthit.look_up.signers import trust, trusted
from stream_processors.look_up_cards import sealed_card

PRF = LocalKey([EpochSecrets.generate(epoch) for epoch in (1, 2, 3)])
EPOCHS = Epochs({1: EpochState.READING, 2: EpochState.CURRENT, 3: EpochState.PREPARED})
JOHN = Subject(
    names=(PersonName(surname="Quillfeather", given="John"),), birth_dates=("1980-01-02",)
)
SIGNER = Signer("VT0040100#1", Ed25519PrivateKey.generate())


def asked(subject: Subject = JOHN):
    return question(subject, purpose=Purpose.INVESTIGATION, prf=PRF, epochs=EPOCHS)


def test_tokens_of_every_epoch_that_a_touch_may_be_in_and_dummies_to_whole_eights() -> None:
    made = asked()
    sent = {row.tobytes() for row in rows(made.inquiry.tokens, TOKEN)["token"]}
    wanted = {t.value for epoch in (1, 2) for t in PRF.tokens(epoch, match_keys(JOHN))}
    prepared = {t.value for t in PRF.tokens(3, match_keys(JOHN))}
    assert wanted <= sent
    assert not prepared & sent
    assert len(sent) % 8 == 0
    assert set(made.token_secrets) == wanted
    assert asked().inquiry.reply_key != made.inquiry.reply_key


def test_too_little_is_refused_with_what_to_add_and_without_a_word_of_what_was_given() -> None:
    bare = Subject(names=(PersonName(surname="Quillfeather", given="John"),))
    with pytest.raises(InputError, match="birth date") as error:
        asked(bare)
    assert "Quill" not in str(error.value)


def test_hundreds_of_identifiers_at_once_are_refused() -> None:
    phones = tuple(
        Identifier(kind=IdentifierKind.PHONE, value=f"802-555-{n:04}") for n in range(1_100)
    )
    with pytest.raises(InputError, match="fewer"):
        asked(Subject(identifiers=phones))


def card_for(number: str, month: str, officer: str):
    header = TouchHeader(
        record_id=number.encode().ljust(16),
        revision=1,
        sender="VT0040100#2",
        epoch=2,
        expiry_month="2031-12",
        kind=CoarseKind.CUSTODY,
    )
    card = ContactCard(
        ori="VT0040100",
        agency="Springfield PD",
        name=officer,
        phone="802-555-0100",
        case_number=number,
        kind=TouchKind.ARREST,
        month=month,
    )
    common = TouchCommon(record_number=number, kind=TouchKind.ARREST)
    parts = [Part(each, frozenset({0})) for each in (card, common, JOHN)]
    touch = seal(header, [PRF.tokens(2, match_keys(JOHN))], parts, SIGNER)
    made = sealed_card(touch, asked().inquiry.tokens)
    assert made is not None
    return made


def test_findings_are_grouped_by_whom_to_call_the_most_recent_first() -> None:
    cards = tuple(
        card_for(*each)
        for each in (("7", "2026-01", "Ames"), ("8", "2026-06", "Roe"), ("9", "2026-03", "Ames"))
    )
    body = AnswerBody(status=AnswerStatus.ANSWERED, cards=cards, more=True)
    keys = {SIGNER.key_id: SIGNER.key.public_key()}
    found = findings(body, asked().token_secrets, keys)
    assert [(c.name, [t["month"] for t in c.touches]) for c in found.contacts] == [
        ("Roe", ["2026-06"]),
        ("Ames", ["2026-03", "2026-01"]),
    ]
    text = as_text(found)
    assert text.index("Roe") < text.index("Ames")
    assert "2026-03  arrest  9" in text
    assert "Older touches" in text
    assert as_json(found)["contacts"][0]["touches"][0]["case_number"] == "8"


def test_what_cannot_be_verified_is_counted_by_agency_and_what_does_not_open_is_counted() -> None:
    good = card_for("7", "2026-01", "Ames")
    broken = good.model_copy(update={"locks": good.locks[:-1] + b"x"})
    body = AnswerBody(status=AnswerStatus.ANSWERED, cards=(good, broken))
    found = findings(body, asked().token_secrets, {})
    assert (found.contacts, found.unknown_signers, found.unopened) == ((), {"VT0040100": 1}, 1)
    assert "Ames" not in as_text(found)
    assert "signer.json" in as_text(found)
    assert "report it" in as_text(found)


def test_a_spent_quota_says_when_to_come_back_and_a_refused_form_is_an_error() -> None:
    for wait_s, said in ((90, "90 s"), (3_000, "50 minutes")):
        with pytest.raises(QuotaError, match=said) as error:
            checked(AnswerBody(status=AnswerStatus.QUOTA_SPENT, after_s=wait_s))
        assert error.value.after_s == wait_s
    with pytest.raises(InputError):
        checked(AnswerBody(status=AnswerStatus.MALFORMED))
    body = AnswerBody(status=AnswerStatus.ANSWERED)
    assert checked(body) is body


def test_hand_over_files_are_kept_by_key_id_and_others_refused(tmp_path: Path) -> None:
    key = SIGNER.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    given = tmp_path / "signer.json"
    given.write_text(f'{{"key_id": "VT0040100#1", "name": "Springfield", "public_key": "{key}"}}')
    assert trust(tmp_path / "signers", given) == "VT0040100#1"
    assert trusted(tmp_path / "signers").keys() == {"VT0040100#1"}
    given.write_text('{"key_id": "VT0040100#1"}')
    with pytest.raises(InputError):
        trust(tmp_path / "signers", given)


@pytest.mark.parametrize("key_id", ["../../agency#1", "/etc/agency#1", "a/b#1", "..", "VT#", ""])
def test_a_signer_can_not_choose_where_its_file_is_kept(tmp_path: Path, key_id: str) -> None:
    key = SIGNER.key.public_key().public_bytes_raw().hex()
    given = tmp_path / "handed" / "over" / "signer.json"
    given.parent.mkdir(parents=True)
    given.write_text(json.dumps({"key_id": key_id, "name": "PD", "public_key": key}))
    with pytest.raises(InputError, match=r"signer\.json"):
        trust(tmp_path / "keys" / "signers", given)
    assert list(tmp_path.rglob("*.json")) == [given]
