"""Open one contact card of an answer with the secrets of the tokens that asked for it.

A card opens by the same locks as the touch it is of, so only for who knows the identifier; with it
comes what is needed to verify the agency's signature, and no other part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap

from schemas import codec
from schemas.inquiries import SealedCard
from schemas.messages import TouchHeader
from schemas.packing import GRANT, rows
from schemas.parts import AgencySignature, ContactCard, Subject
from silenthit.blinding.locks import NONCE_BYTES, associated_data, digests_signed, unpad
from silenthit.blinding.opening import (
    CARD_PART,
    FIRST_SUBJECT_PART,
    Sealed,
    granted,
    open_roots,
)
from silenthit.errors import SealError, UnknownSignerError

DIGEST_BYTES = 32
PUBLISHER = "publication"  # organisation in the key id of who published; the key follows the "#"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedCard:
    """A point of contact in plaintext."""

    card: ContactCard = field(repr=False)
    header: TouchHeader = field(repr=False)
    published: bool


def open_card(
    sealed: SealedCard,
    token_secrets: Mapping[bytes, bytes],
    verify_keys: Mapping[str, Ed25519PublicKey],
) -> OpenedCard:
    """Open a card and verify who signed it.

    `token_secrets` maps token (16 bytes) to secret (32), `verify_keys` key id to public key. A
    publication names its own key: that proves that it is whole, not whose it is.
    Raises UnknownSignerError for a touch of an agency whose key is not at hand, SealError when the
    tokens open nothing, when the card is withheld from them, or when anything was changed.
    """
    try:
        return _open(sealed, token_secrets, verify_keys)
    except SealError:
        raise
    except (ValueError, KeyError, IndexError, InvalidUnwrap, InvalidTag):
        # The cause may quote plaintext, so it is not chained.
        raise SealError(
            "expected a card as its agency sealed it, got one that was changed on the way; report "
            "it to the exchange"
        ) from None


def _open(
    sealed: SealedCard,
    token_secrets: Mapping[bytes, bytes],
    verify_keys: Mapping[str, Ed25519PublicKey],
) -> OpenedCard:
    header = codec.decode(sealed.header, TouchHeader)
    last = len(sealed.digests) // DIGEST_BYTES
    keys = _keys(sealed, _roots(sealed, header, token_secrets))
    signature = _content(sealed.header, last, sealed.signature, keys)
    _verify(sealed, header, codec.decode(signature, AgencySignature), verify_keys)
    card = _content(sealed.header, CARD_PART, sealed.card, keys)
    return OpenedCard(
        card=codec.decode(card, ContactCard), header=header, published=sealed.published
    )


def open_subjects(
    sealed: SealedCard, parts: Mapping[int, bytes], token_secrets: Mapping[bytes, bytes]
) -> dict[int, Subject]:
    """Open sealed parts of subjects, by subject number, that belong to a card that was opened.

    Raises SealError for a part that is not the one that was signed, or does not open.
    """
    try:
        header = codec.decode(sealed.header, TouchHeader)
        keys = _keys(sealed, _roots(sealed, header, token_secrets))
        found = dict[int, Subject]()
        for number, part in parts.items():
            place = FIRST_SUBJECT_PART + number
            _check_digest(sealed, place, part)
            found[number] = codec.decode(_content(sealed.header, place, part, keys), Subject)
    except (ValueError, KeyError, IndexError, InvalidUnwrap, InvalidTag):
        raise SealError(
            "expected a subject as its agency sealed it, got one that was changed on the way; "
            "report it to the exchange"
        ) from None
    return found


def _roots(
    sealed: SealedCard, header: TouchHeader, token_secrets: Mapping[bytes, bytes]
) -> dict[int, bytes]:
    found = Sealed(
        header=sealed.header,
        matches=sealed.matches,
        locks=sealed.locks,
        grants=sealed.grants,
        parts=(),
    )
    return open_roots(found, header, token_secrets)


def _keys(sealed: SealedCard, roots: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return the content keys that these roots reach, by part."""
    keys: dict[int, bytes] = {}
    for row in rows(sealed.grants, GRANT):
        root = roots.get(int(row["subject"]))
        key = granted(root, int(row["part"]), row["wrapped"].tobytes()) if root else None
        if key is not None and keys.setdefault(int(row["part"]), key) != key:
            raise InvalidUnwrap
    return keys


def _content(header: bytes, part: int, box: bytes, keys: Mapping[int, bytes]) -> bytes:
    bound_to = associated_data(header, part)
    return unpad(AESGCM(keys[part]).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], bound_to))


def _verify(
    sealed: SealedCard,
    header: TouchHeader,
    signature: AgencySignature,
    verify_keys: Mapping[str, Ed25519PublicKey],
) -> None:
    organisation, _, number = signature.signer.partition("#")
    if organisation != header.sender.partition("#")[0] or sealed.published != (
        organisation == PUBLISHER
    ):
        raise SealError("expected the signature of who sent the card, got another's; report it")
    key = verify_keys.get(signature.signer)
    if sealed.published:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(number))
    if key is None:
        raise UnknownSignerError(
            "expected an agency whose key is at hand, got another; import its signer.json",
            organisation=organisation,
        )
    signed = digests_signed(sealed.header, sealed.digests)
    try:
        key.verify(signature.signature, signed)
    except InvalidSignature:
        raise SealError("expected a valid signature, got one that does not verify") from None
    _check_digest(sealed, CARD_PART, sealed.card)


def _check_digest(sealed: SealedCard, place: int, part: bytes) -> None:
    signed = sealed.digests[place * DIGEST_BYTES :][:DIGEST_BYTES]
    if sha256(part).digest() != signed:
        raise SealError("expected the part that was signed, got another; report it")
