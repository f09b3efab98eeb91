"""Publications: what a partner chose to let look-ups find, under a cover name if it wishes.

Always by a command of its own, never by a watch: a watch says nothing to anybody. Written to the
vault first and sent from there; each expires, and its tombstone goes out by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consumers.states import State
from consumers.times import from_ms, iso, to_ms
from consumers.vault import PUBLICATIONS, Rows, Values, Vault
from schemas import codec
from schemas.inquiries import Publication
from schemas.messages import SubjectTouch, TouchHeader, registration_key
from schemas.parts import ContactCard, Frozen, Subject
from schemas.rule import can_satisfy
from schemas.topics import DAY_MS
from schemas.topics import PUBLICATIONS as TOPIC
from schemas.vocabulary import CoarseKind
from silenthit.blinding.cards import PUBLISHER
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import Prf
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.bus.clients import Publisher
from silenthit.errors import InputError, SilentHitError
from silenthit.identity.match_keys import match_keys

ID_BYTES = 16
DEFAULT_DAYS = 30
LONGEST = timedelta(days=366)
_SHORTEST_PREFIX = 4
_UNSENT = PUBLICATIONS.c.state.in_([State.PENDING, State.REMOVING])
_STANDING = PUBLICATIONS.c.state.in_([State.PENDING, State.PLACED])


class Published(Frozen):
    """A publication in plaintext: about whom, and what others read."""

    subject: Subject
    card: ContactCard
    expires_at: datetime


def publish(
    into: Rows, published: Published, *, epochs: Sequence[int], prf: Prf, now: datetime
) -> bytes:
    """Check, blind and store a publication, to be sent; return its id.

    Raises InputError for a subject that nobody could be found by, for a card without a way to
    call, and for an expiry that has passed or lies more than a year ahead.
    """
    _check(published, now)
    publication_id = secrets.token_bytes(ID_BYTES)
    for epoch in epochs:
        _store(into, publication_id, published, epoch=epoch, prf=prf, now=now)
    return publication_id


def _check(published: Published, now: datetime) -> None:
    if not can_satisfy([key.kind for key in match_keys(published.subject)]):
        raise InputError(
            "expected enough of a subject to be found by, got too little; add a birth date and "
            "the full name, or an identifier: phone, plate, document, e-mail, social handle …"
        )
    if not (published.card.phone or published.card.email):
        raise InputError("expected a way to reach you, got none; give --call or --write")
    if not now < published.expires_at <= now + LONGEST:
        raise InputError("expected an expiry within a year; give other --days, and publish again")


def _store(
    into: Rows,
    publication_id: bytes,
    published: Published,
    *,
    epoch: int,
    prf: Prf,
    now: datetime,
) -> None:
    message = _message(publication_id, published, epoch, prf)
    into.put(
        PUBLICATIONS,
        registration_key(publication_id, epoch),
        {
            "publication_id": publication_id,
            "epoch": epoch,
            "state": State.PENDING,
            "created_at": to_ms(now),
            "expires_at": message.expires_at,
            "private": published.model_dump_json().encode(),
            "private_message": codec.encode(message),
        },
    )


def _message(publication_id: bytes, published: Published, epoch: int, prf: Prf) -> Publication:
    expires_at = -(-to_ms(published.expires_at) // DAY_MS) * DAY_MS
    sealed = _sealed(publication_id, published, epoch, prf)
    return Publication(
        publication_id=publication_id, expires_at=expires_at, sealed=codec.encode(sealed)
    )


def _sealed(publication_id: bytes, published: Published, epoch: int, prf: Prf) -> SubjectTouch:
    """Seal the card for who knows the subject.

    A key of its own signs it, so that no two publications can be told to be one partner's.
    """
    key = Ed25519PrivateKey.generate()
    key_id = f"{PUBLISHER}#{key.public_key().public_bytes_raw().hex()}"
    header = TouchHeader(
        record_id=publication_id,
        revision=1,
        sender=key_id,
        epoch=epoch,
        expiry_month=f"{published.expires_at:%Y-%m}",
        kind=CoarseKind.CONTACT,
    )
    tokens = prf.tokens(epoch, match_keys(published.subject))
    return seal(header, [tokens], [Part(published.card, frozenset({0}))], Signer(key_id, key))


def republish(vault: Vault, *, epochs: Epochs, prf: Prf, now: datetime) -> int:
    """Publish what stands in each epoch that is watchable now; return how many were added.

    What stands in a destroyed epoch is taken back.
    """
    added = 0
    with vault.write() as into:
        standing = list(into.find(PUBLICATIONS, _STANDING))
        there = {(row["publication_id"], row["epoch"]) for row in standing}
        newest = {row["publication_id"]: row for row in standing}
        for publication_id, row in newest.items():
            published = Published.model_validate_json(row["private"])
            for epoch in epochs.watchable:
                if (publication_id, epoch) not in there:
                    _store(into, publication_id, published, epoch=epoch, prf=prf, now=now)
                    added += 1
        for row in standing:
            if epochs.states.get(row["epoch"]) is EpochState.DESTROYED:
                _remove(into, row["id"])
    return added


def withdraw(into: Rows, name: str) -> bytes:
    """Take back the publication whose id (hex) begins like this, four digits or more.

    Raises InputError when none or several do.
    """
    found = {
        row["publication_id"]
        for row in into.find(PUBLICATIONS, _STANDING, columns=("publication_id",))
        if row["publication_id"].hex().startswith(name.lower())
    }
    if len(found) != 1 or len(name) < _SHORTEST_PREFIX:
        raise InputError(
            f"expected the beginning of the id of one publication, got one of {len(found)}; see "
            "`silenthit publish list`"
        )
    publication_id: bytes = found.pop()
    theirs = PUBLICATIONS.c.publication_id == publication_id
    for row in into.find(PUBLICATIONS, theirs, _STANDING, columns=("state",)):
        _remove(into, row["id"])
    return publication_id


def expire(vault: Vault, now: datetime) -> int:
    """Take back what has expired; return how many."""
    due = (_STANDING, PUBLICATIONS.c.expires_at <= to_ms(now))
    with vault.write() as into:
        expired = list(into.find(PUBLICATIONS, *due, columns=("state",)))
        for row in expired:
            _remove(into, row["id"])
    return len(expired)


def _remove(into: Rows, row: bytes) -> None:
    into.put(PUBLICATIONS, row, {"state": State.REMOVING})


def unsent(vault: Vault) -> int:
    """How many publications and withdrawals the exchange has not confirmed."""
    with vault.read() as rows:
        return rows.count(PUBLICATIONS, _UNSENT)


def send(vault: Vault, publisher: Publisher, partner: str) -> None:
    """Send what is unsent and write down what the broker confirmed. Raises the first failure."""
    with vault.alone():
        with vault.read() as rows:
            due = list(rows.find(PUBLICATIONS, _UNSENT, columns=("state", "private_message")))
        topic = TOPIC.of(partner)
        sent = [(row, publisher.send(topic, row["id"], _value(row))) for row in due]
        publisher.flush()
        with vault.write() as into:
            _confirm(into, (row for row, future in sent if future.exception() is None))
    for _, future in sent:
        if isinstance(failed := future.exception(), SilentHitError):
            raise failed


def _value(row: Values) -> bytes | None:
    message: bytes = row["private_message"]
    return message if row["state"] == State.PENDING else None


def _confirm(into: Rows, sent: Iterable[Values]) -> None:
    for row in sent:
        same = PUBLICATIONS.c.id == row["id"], PUBLICATIONS.c.state == row["state"]
        done = State.PLACED if row["state"] == State.PENDING else State.REMOVED
        into.change(PUBLICATIONS, *same, values={"state": done})


def listed(rows: Rows) -> list[dict[str, Any]]:
    """Return what others can find now, the newest first."""
    found: dict[bytes, Values] = {}
    for row in rows.find(PUBLICATIONS, _STANDING):
        found.setdefault(row["publication_id"], row)
    newest = sorted(found.values(), key=lambda row: int(row["created_at"]), reverse=True)
    return [_shown(row) for row in newest]


def _shown(row: Values) -> dict[str, Any]:
    published = Published.model_validate_json(row["private"])
    return {
        "publication_id": row["publication_id"].hex(),
        "shown_as": published.card.agency,
        "name": published.card.name,
        "phone": published.card.phone,
        "email": published.card.email,
        "case_label": published.card.case_number,
        "subject": published.subject.model_dump(mode="json", exclude_defaults=True),
        "expires_at": iso(from_ms(row["expires_at"])),
        "sent": row["state"] == State.PLACED,
    }
