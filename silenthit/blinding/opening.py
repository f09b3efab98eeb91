"""Open an alert with the token secrets of one's own watch, and check the agency's signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from schemas import codec
from schemas.messages import TouchHeader
from schemas.packing import GRANT, LOCK, MATCH, NO_TOKEN, rows
from schemas.parts import AgencySignature, ContactCard, Subject, TouchCommon
from silenthit.blinding.locks import (
    NONCE_BYTES,
    associated_data,
    grant_key,
    lock_key,
    signed_digest,
    unpad,
)
from silenthit.errors import SealError, UnknownSignerError

CARD_PART, COMMON_PART, FIRST_SUBJECT_PART = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """What of an alert (or of a whole touch) an opener needs, as packed on the wire."""

    header: bytes
    matches: bytes = field(repr=False)  # tokens in common: in a log they would tell who is watched
    locks: bytes = field(repr=False)
    grants: bytes = field(repr=False)
    parts: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A touch in plaintext, as far as the agency's sharing policy lets this opener see."""

    header: TouchHeader
    signer: str
    matched: frozenset[int]  # numbers of the subjects whose root was opened
    card: ContactCard | None = field(repr=False)
    common: TouchCommon | None = field(repr=False)
    subjects: dict[int, Subject] = field(repr=False)


def open_touch(
    sealed: Sealed,
    token_secrets: Mapping[bytes, bytes],
    verify_keys: Mapping[str, Ed25519PublicKey],
) -> Opened:
    """Open what the secrets of one's own tokens open, and verify who sealed it.

    `token_secrets` maps token (16 bytes) to secret (32), `verify_keys` key id to public key.
    Raises SealError when a matched token is not one's own or opens nothing (it was attached
    falsely), when a part that should open does not, when grants of a matched subject are missing,
    or when the signature is missing, unknown or wrong.
    """
    try:
        header = codec.decode(sealed.header, TouchHeader)
        roots = open_roots(sealed, header, token_secrets)
        parts = _open_parts(sealed, roots)
        signer = _verify(sealed, header, parts, verify_keys)
        return _opened(header, signer, frozenset(roots), parts, len(sealed.parts))
    except SealError:
        raise
    except (ValueError, KeyError, IndexError, InvalidUnwrap, InvalidTag):
        # The cause may quote plaintext, so it is not chained.
        raise SealError(
            "expected a touch as its agency sealed it, got one that was changed on the way; "
            "report the alert id to the exchange and to the agency"
        ) from None


def open_roots(
    sealed: Sealed, header: TouchHeader, token_secrets: Mapping[bytes, bytes]
) -> dict[int, bytes]:
    """Unwrap the root of every subject for which one lock's tokens are all one's own.

    Every match must be of an own token and take part in a lock of its subject that opens, and all
    locks of a subject must hold one root.
    """
    matches = rows(sealed.matches, MATCH)
    known = {int(row["index"]): token_secrets[row["token"].tobytes()] for row in matches}
    roots: dict[int, set[bytes]] = {}
    used: set[tuple[int, int]] = set()
    for row in rows(sealed.locks, LOCK):
        subject = int(row["subject"])
        needed = [i for i in (int(row["first"]), int(row["second"])) if i != NO_TOKEN]
        if not needed or any(i not in known for i in needed):
            continue
        key = lock_key(header, int(row["position"]), [known[i] for i in needed])
        roots.setdefault(subject, set()).add(aes_key_unwrap(key, row["wrapped"].tobytes()))
        used.update((i, subject) for i in needed)
    matched = {(int(row["index"]), int(row["touch_subject"])) for row in matches}
    if not matched or matched != used or any(len(found) > 1 for found in roots.values()):
        raise SealError(
            "expected a lock that the matched tokens open, got none; the exchange attached tokens "
            "falsely or the locks were changed: report the alert id"
        )
    return {subject: found.pop() for subject, found in roots.items()}


def _open_parts(sealed: Sealed, roots: Mapping[int, bytes]) -> dict[int, bytes]:
    keys: dict[int, bytes] = {}
    grants = rows(sealed.grants, GRANT)
    for subject, root in roots.items():
        own = grants[grants["subject"] == subject]
        if own["part"].tolist() != list(range(len(sealed.parts))):
            raise KeyError(subject)  # a subject has a row for every part
        for part, wrapped in enumerate(own["wrapped"]):
            key = granted(root, part, wrapped.tobytes())
            if key is not None and keys.setdefault(part, key) != key:
                raise InvalidUnwrap
    return {part: _decrypt(sealed, part, key) for part, key in keys.items()}


def granted(root: bytes, part: int, wrapped: bytes) -> bytes | None:
    """Return a part's content key, None when it is withheld. Raises InvalidUnwrap when changed."""
    try:
        return aes_key_unwrap(grant_key(root, part), wrapped)
    except InvalidUnwrap:
        aes_key_unwrap(grant_key(root, part, withheld=True), wrapped)
        return None


def _decrypt(sealed: Sealed, part: int, key: bytes) -> bytes:
    box, bound_to = sealed.parts[part], associated_data(sealed.header, part)
    return unpad(AESGCM(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], bound_to))


def _verify(
    sealed: Sealed,
    header: TouchHeader,
    parts: Mapping[int, bytes],
    verify_keys: Mapping[str, Ed25519PublicKey],
) -> str:
    """Return the signer's key id once its signature over header and sealed parts is verified."""
    last = len(sealed.parts) - 1
    signature = codec.decode(parts[last], AgencySignature)
    key = verify_keys.get(signature.signer)
    if key is None or _organisation(signature.signer) != _organisation(header.sender):
        raise UnknownSignerError(
            "expected the signature of the agency that sent the touch, got another's or an unknown "
            "one; import the agency's public key with `silenthit partner trust`"
        )
    try:
        key.verify(signature.signature, signed_digest(sealed.header, sealed.parts[:last]))
    except InvalidSignature:
        raise SealError(
            "expected a valid signature of the agency, got one that does not verify; report the "
            "alert id to the exchange and to the agency"
        ) from None
    return signature.signer


def _organisation(key_id: str) -> str:
    return key_id.partition("#")[0]


def _opened(
    header: TouchHeader,
    signer: str,
    matched: frozenset[int],
    parts: Mapping[int, bytes],
    count: int,
) -> Opened:
    subject_parts: Sequence[int] = range(FIRST_SUBJECT_PART, count - 1)
    return Opened(
        header=header,
        signer=signer,
        matched=matched,
        card=codec.decode(parts[CARD_PART], ContactCard) if CARD_PART in parts else None,
        common=codec.decode(parts[COMMON_PART], TouchCommon) if COMMON_PART in parts else None,
        subjects={
            number - FIRST_SUBJECT_PART: codec.decode(parts[number], Subject)
            for number in subject_parts
            if number in parts
        },
    )
