"""The registry of client certificates: which were issued to whom, and which are revoked."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from key_holder import log
from key_holder.peer import Peer
from key_holder.quotas import Refusal
from silenthit.blinding.batches import Cause
from silenthit.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """One certificate on record; times in epoch seconds."""

    serial: str
    organisation: str
    not_after: float
    revoked_at: float | None


def register(book: sqlite3.Connection, peer: Peer, now: float) -> None:
    """Put a certificate on record. Call it within a transaction."""
    book.execute(
        "INSERT INTO certificates VALUES (?, ?, ?, ?, NULL)",
        (peer.serial, peer.organisation, now, peer.not_after),
    )
    log.append(book, now, "certified", organisation=peer.organisation, serial=peer.serial)


def issued(book: sqlite3.Connection) -> list[Issued]:
    """Return every certificate on record, by organisation."""
    found = book.execute(
        "SELECT serial, organisation, not_after, revoked_at FROM certificates"
        " ORDER BY organisation, issued_at"
    )
    return [Issued(serial=a, organisation=b, not_after=c, revoked_at=d) for a, b, c, d in found]


def revoke(book: sqlite3.Connection, name: str, now: float) -> list[str]:
    """Revoke one serial, or every certificate of an organisation. Call it within a transaction.

    Returns the serials. Raises InputError when there is nothing to revoke.
    """
    found = book.execute(
        "UPDATE certificates SET revoked_at = ? WHERE (serial = ? OR organisation = ?)"
        " AND revoked_at IS NULL RETURNING serial",
        (now, name, name),
    ).fetchall()
    serials = sorted(each[0] for each in found)
    if not serials:
        raise InputError(
            "expected the serial or organisation of a certificate in force, got none such; "
            "`silenthit keyholder certificates` lists them"
        )
    log.append(book, now, "revoked", serials=serials)
    return serials


def refuse_peer(book: sqlite3.Connection, peer: Peer, now: float) -> Refusal | None:
    """Say why this certificate may not ask, or None when it may.

    The handshake verified chain and dates; a connection may outlive both the dates and the trust.
    """
    row = book.execute(
        "SELECT organisation, revoked_at FROM certificates WHERE serial = ?", (peer.serial,)
    ).fetchone()
    if row is None or row[0] != peer.organisation:
        return Refusal(
            cause=Cause.CERTIFICATE_UNKNOWN,
            message="expected a certificate on this key holder's record, got another; ask for one",
        )
    if row[1] is not None:
        return Refusal(
            cause=Cause.CERTIFICATE_REVOKED,
            message="the client certificate is revoked; ask the key holder for another",
        )
    if peer.not_after <= now:
        return Refusal(
            cause=Cause.CERTIFICATE_EXPIRED,
            message="the client certificate has expired; ask the key holder for another",
        )
    return None
