"""What a hostile exchange, agency or key holder hands to an edge."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from consumers.opening import CannotOpenError, decoded
from schemas import codec
from schemas.codec import WireError
from schemas.inquiries import AnswerBody, AnswerStatus, SealedCard
from schemas.messages import Alert
from schemas.packing import GRANT, LOCK, MATCH, pack
from schemas.parts import AgencySignature
from schemas.topics import Role
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding import sealing
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.blinding.envelope import open_sealed, seal_to
from silenthit.blinding.epoch_document import verified_document
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.opening import Sealed, open_touch
from silenthit.bus.clients import Message
from silenthit.bus.handover import HandOver
from silenthit.errors import InputError, RefusedError, SealError, SettingsError
from silenthit.look_up.findings import as_text, findings
from silenthit.look_up.signers import read_signer, trust
from tests.fuzz.folder import file, folder
from tests.vectors.touches import HEADER, SIGNER, TRUSTED, alert_for, sealed_case, token

PHONE = token(MatchKeyKind.PHONE)
SECRETS = {PHONE.value: PHONE.secret}
CASE = sealed_case([[PHONE]])
ALERT = alert_for(CASE.touch, [(0, PHONE)])
CARD = SealedCard(
    published=False,
    header=ALERT.header,
    matches=ALERT.matches,
    locks=ALERT.locks,
    grants=ALERT.grants,
    digests=b"".join(sha256(part).digest() for part in ALERT.parts[:-1]),
    card=ALERT.parts[0],
    signature=ALERT.parts[-1],
)
CARD_ALONE = AnswerBody(status=AnswerStatus.ANSWERED, cards=(CARD,))
assert findings(CARD_ALONE, SECRETS, TRUSTED).contacts
HOLDER = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
OURS = X25519PrivateKey.from_private_bytes(b"o" * 32)


def opening(data: bytes) -> None:
    """Alerts, answers, and the papers that organisations hand each other."""
    _changed_on_the_way(data)
    _sealed_by_an_agency(data)
    _answered(data)
    _handed_over(data)


def _changed_on_the_way(data: bytes) -> None:
    """An alert of the exchange's making, and the genuine one with a column of its own."""
    value = codec.prefix(Alert) + data
    try:
        alert = decoded(Message("alerts.fbi", 0, 1, 1_000, data[:16], value, ()))
    except CannotOpenError:
        pass  # the documented refusal
    else:
        _open(Sealed(**{name: getattr(alert, name) for name in Sealed.__slots__}))
    for name in ("header", "matches", "locks", "grants"):
        if data != getattr(ALERT, name):
            assert not _open(replace(ALERT, **{name: data}))
    for number in range(len(ALERT.parts)):
        parts = (*ALERT.parts[:number], data, *ALERT.parts[number + 1 :])
        assert parts == ALERT.parts or not _open(replace(ALERT, parts=parts))


def _sealed_by_an_agency(data: bytes) -> None:
    """An agency seals, signs and grants what it should never have: the cut is at the first byte."""
    cut = data[0] if data else 0
    contents = [data[1 : 1 + cut], codec.encode(CASE.contents[1]), data[1 + cut :]]
    root, clear = bytes(32), codec.encode(HEADER)
    parts, keys = sealing._seal_parts(clear, contents)
    signature = SIGNER.key.sign(sealing.signed_digest(clear, parts))
    signed = codec.encode(AgencySignature(signer=SIGNER.key_id, signature=signature))
    parts.append(sealing._encrypt(root, signed, clear, len(parts)))
    rows = sealing._token_rows([[PHONE]], b"")
    own = next(number for number, row in enumerate(rows) if row.secret)
    matches = [(own, 0, 0, int(PHONE.kind), PHONE.value)]
    everybody = [frozenset({0})] * len(parts)
    _open(
        Sealed(
            header=clear,
            matches=pack(list[tuple[int | bytes, ...]](matches), MATCH),
            locks=pack(
                [each for each in sealing._locks(HEADER, rows, [root]) if each[2] == own], LOCK
            ),
            grants=pack(sealing._grants([root], everybody, [*keys, root]), GRANT),
            parts=tuple(parts),
        )
    )


def _open(sealed: Sealed) -> bool:
    try:
        open_touch(sealed, SECRETS, TRUSTED)
    except SealError:
        return False  # the documented refusal
    return True


def _answered(data: bytes) -> None:
    """An answer to a look-up: sealed to us, whatever is in it."""
    with suppress(SealError):
        open_sealed(OURS, data, b"about")
    public = OURS.public_key().public_bytes_raw()
    with suppress(InputError):  # of more than an answer holds
        assert open_sealed(OURS, seal_to(public, data, b"about"), b"about") == data
    for value in (data, codec.prefix(AnswerBody) + data):
        with suppress(WireError):
            as_text(findings(codec.decode(value, AnswerBody), SECRETS, TRUSTED))
    for name in ("header", "matches", "locks", "grants", "digests", "card", "signature"):
        if data != getattr(CARD, name):
            changed = CARD.model_copy(update={name: data})
            found = findings(CARD_ALONE.model_copy(update={"cards": (changed,)}), SECRETS, TRUSTED)
            assert not found.contacts, name


def _handed_over(data: bytes) -> None:
    """Papers: each is read, or refused by the error that names the file."""
    signer = HOLDER.public_key().public_bytes_raw()
    signed = {"document": data.decode("utf-8", "replace"), "signature": ""}
    signature = HOLDER.sign(b"silenthit/1/epochs" + signed["document"].encode())
    for content in (data, json.dumps(signed | {"signature": signature.hex()}).encode()):
        with suppress(RefusedError):
            verified_document(content, signer)
    path = file(data, "fuzzed.json")
    with suppress(InputError):
        DeconflictionKey.load(path)
    with suppress(InputError):
        read_signer(path)
    with suppress(InputError):
        trust(folder() / "trusted", path)
    assert {each.name for each in folder().glob("trusted/../*.json")} <= {path.name}
    with suppress(SettingsError):
        EpochSecrets.load(path)
    with suppress(InputError):
        HandOver.load(path, *Role)
