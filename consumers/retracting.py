"""Retracting: whose signature takes back which alert, also when it comes before the alert.

What an agency takes back is its own. A retraction of an alert that is not there yet ends it only
if the alert, once it comes, is of the agency that signed; another agency's changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consumers.opened_alerts import read_opened
from consumers.opening import CannotOpenError, Reason
from consumers.vault import Values
from schemas.codec import WireError, decode
from schemas.messages import Alert, AlertStatus, TouchHeader
from silenthit.blinding.retractions import retracted_by

Retractions = dict[str, int]  # organisation: the highest revision that it took back


def organisation(key_id: str) -> str:
    """Return the ORI of a sender's or signer's key id, `<ORI>#<n>`."""
    return key_id.partition("#")[0]


def proven_by(alert: Alert, known: Values | None, keys: Mapping[str, Ed25519PublicKey]) -> str:
    """Return the trusted organisation that signed a retraction.

    Raises CannotOpenError for none, and for another than the one whose alert is known here.
    """
    signer = retracted_by(alert.proof, alert.record_id, alert.revision, keys)
    opened = read_opened(known) if known is not None else None
    if signer is None or (
        opened is not None and organisation(opened.sender) != organisation(signer)
    ):
        raise CannotOpenError(Reason.UNPROVEN_RETRACTION)
    return organisation(signer)


def retractions(known: Values | None) -> Retractions:
    """Return who took back a row of the vault; nothing for one that stands."""
    held = known["private_retractions"] if known is not None else None
    return Retractions(json.loads(held)) if held else {}


def with_retraction(known: Values | None, owner: str, revision: int) -> bytes:
    """Return the column that remembers one retraction more."""
    held = retractions(known)
    held[owner] = max(revision, held.get(owner, revision))
    return json.dumps(held, sort_keys=True).encode()


def taken_back(known: Values, alert: Alert) -> bool | None:
    """Whether its own agency took back an alert that comes now; None where nobody's word is known.

    Another retraction is always heard: it may be of the agency whose alert it is.
    """
    held = retractions(known)
    if alert.status is AlertStatus.WITHDRAWN or not held:
        return None
    if alert.status is AlertStatus.RETRACTED:
        return False
    return held.get(sent_by(alert), -1) >= alert.revision


def sent_by(alert: Alert) -> str:
    """Return the organisation that an alert's header names, which opening it proves."""
    try:
        return organisation(decode(alert.header, TouchHeader).sender)
    except WireError:
        return ""
