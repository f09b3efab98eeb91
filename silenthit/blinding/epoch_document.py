"""The epoch document: what a key holder declares of its epochs, signed, and the signer pinned.

A JSON object of two strings: `document` (itself JSON) and `signature`, Ed25519 (RFC 8032) in hex
over the label "silenthit/1/epochs" and the document's exact bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.vocabulary import TokenClass
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.errors import RefusedError

_LABEL = b"silenthit/1/epochs"


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochEntry:
    """One epoch: its state, and while it has secrets the public key (32 bytes) of each class."""

    state: EpochState
    public_keys: Mapping[TokenClass, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochDocument:
    """Every epoch of one key holder; `version` rises by one with each change."""

    holder: str
    version: int
    issued_at: datetime
    epochs: Mapping[int, EpochEntry]


def signed_document(document: EpochDocument, key: Ed25519PrivateKey) -> bytes:
    """Return the document as it is served and kept."""
    text = json.dumps(
        {
            "holder": document.holder,
            "version": document.version,
            "issued_at": document.issued_at.isoformat(),
            "epochs": {
                str(epoch): {
                    "state": entry.state.value,
                    "public_keys": {
                        each.name.lower(): value.hex() for each, value in entry.public_keys.items()
                    },
                }
                for epoch, entry in sorted(document.epochs.items())
            },
        }
    )
    signature = key.sign(_LABEL + text.encode())
    return json.dumps({"document": text, "signature": signature.hex()}).encode()


def verified_document(content: bytes, signer: bytes) -> EpochDocument:
    """Return the document that the pinned signer (32 bytes) signed.

    Raises RefusedError when anything else signed it, or it was changed.
    """
    try:
        outer = json.loads(content)
        text = outer["document"].encode()
        public = Ed25519PublicKey.from_public_bytes(signer)
        public.verify(bytes.fromhex(outer["signature"]), _LABEL + text)
        return _parsed(json.loads(text))
    except InvalidSignature:
        raise RefusedError(
            "expected an epoch document signed by the pinned signer, got another's signature; "
            "ask the key holder for its signer's public key by another way than this connection"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RefusedError(
            "expected a signed epoch document, got something else; check the key holder's address"
        ) from None


def _parsed(fields: dict[str, object]) -> EpochDocument:
    epochs = fields["epochs"]
    version, holder, issued_at = fields["version"], fields["holder"], fields["issued_at"]
    if not (isinstance(epochs, dict) and isinstance(version, int)):
        raise TypeError
    return EpochDocument(
        holder=str(holder),
        version=version,
        issued_at=datetime.fromisoformat(str(issued_at)),
        epochs={
            int(epoch): EpochEntry(
                state=EpochState(entry["state"]),
                public_keys={
                    TokenClass[name.upper()]: bytes.fromhex(value)
                    for name, value in entry["public_keys"].items()
                },
            )
            for epoch, entry in epochs.items()
        },
    )


def agreed_epochs(documents: Sequence[EpochDocument]) -> Epochs:
    """Return the epochs as the first key holder declares them, as far as the others can follow.

    An epoch that another holder has destroyed is destroyed; one that another does not know yet is
    left out. So holders turn their epochs one after the other: the first one named turns last.
    """
    first, *others = documents
    states: dict[int, EpochState] = {}
    for epoch, entry in first.epochs.items():
        if any(epoch not in each.epochs for each in others):
            continue
        gone = any(each.epochs[epoch].state is EpochState.DESTROYED for each in others)
        states[epoch] = EpochState.DESTROYED if gone else entry.state
    return Epochs(states)
