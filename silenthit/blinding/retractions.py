"""Proof that it is the agency who took a record back: a partner purges on nothing less.

    proof = retraction_proof(signer, record_id, revision)
    retracted_by(proof, record_id, revision, {"VT0040100#1": public_key})      "VT0040100#1" or None

A tombstone has no sealed part to carry a signature, so this one travels beside it, in a header, and
in the notice that the exchange makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas import codec
from schemas.codec import WireError
from schemas.parts import AgencySignature
from silenthit.blinding.sealing import Signer


def retraction_proof(signer: Signer, record_id: bytes, revision: int) -> bytes:
    """Return the encoded AgencySignature of a record's retraction at this revision."""
    signature = signer.key.sign(_signed(record_id, revision))
    return codec.encode(AgencySignature(signer=signer.key_id, signature=signature))


def retracted_by(
    proof: bytes, record_id: bytes, revision: int, verify_keys: Mapping[str, Ed25519PublicKey]
) -> str | None:
    """Return the key id that signed, None unless it is one of these keys and the proof is whole."""
    try:
        stated = codec.decode(proof, AgencySignature)
        verify_keys[stated.signer].verify(stated.signature, _signed(record_id, revision))
    except (WireError, KeyError, InvalidSignature):
        return None
    return stated.signer


def _signed(record_id: bytes, revision: int) -> bytes:
    return b"silenthit/1/retracted" + record_id + revision.to_bytes(4, "big")
