"""Registrations: what of a watch the exchange holds, and the outbox that takes it there.

A registration is written to the vault first and sent from there until it is confirmed, so that a
crash or a broker that is away loses none. Its rows are padded and sorted: dummies look like tokens.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from consumers.exchange_key import NO_EXCHANGE, Deconflicting
from consumers.states import State
from consumers.times import to_ms
from consumers.vault import REGISTRATIONS, Rows, Values, Vault
from consumers.watch_seals import seals_for
from consumers.watches import Watch
from schemas import codec
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import MAX_TOKENS, TOKEN, TOKEN_BYTES, pack, rows
from schemas.topics import DAY_MS, WATCHES
from silenthit.blinding.cards_shown import Held, seal_card
from silenthit.blinding.dummies import dummy_tokens, places_of, token_padding
from silenthit.blinding.locks import derived
from silenthit.blinding.prf import Prf, Token
from silenthit.blinding.sealed_watches import Place, WatchSeal
from silenthit.blinding.slots import MARK_BYTES, Slot, seal_slot, slot_place
from silenthit.bus.clients import Delivered, Publisher
from silenthit.bus.publisher import CLOSE_S
from silenthit.errors import InputError, SilentHitError
from silenthit.identity.areas import asking_keys
from silenthit.identity.match_keys import MatchKey, match_keys

ID_BYTES = 16
SECRET = np.dtype([("token", f"V{TOKEN_BYTES}"), ("secret", "V32")])
MAX_SUBJECTS = 256  # a row's subject number is one byte
_AT_ONCE = 500


_SENT_COLUMNS = ("state", "epoch", "private")
_UNCONFIRMED = REGISTRATIONS.c.state.in_([State.PENDING, State.REMOVING])


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration with the token secrets that open its alerts."""

    message: WatchRegistration = field(repr=False)
    secrets: bytes = field(repr=False)  # rows of SECRET


def fresh_id() -> bytes:
    """Return a random registration id, for a watch to keep over all its epochs."""
    return secrets.token_bytes(ID_BYTES)


def tokenise(
    watches: Sequence[Watch],
    ids: Sequence[tuple[bytes, bytes]],
    partner: str,
    epoch: int,
    prf: Prf,
    *,
    deconflicting: Deconflicting = NO_EXCHANGE,
) -> list[Registration]:
    """Blind watches for one epoch, in their order, each with its ids: registration's, watch's.

    The second never leaves the vault. A watch's dummies are drawn from it, so that an edit does
    not tell them from its tokens by changing them. Each has a slot for `deconflicting`, willing or
    not.

    The PRF is asked once for all of them. Raises what it raises, and InputError for a watch with
    more identifiers than one registration holds.
    """
    keys = [_keys(watch) for watch in watches]
    tokens = iter(prf.tokens(epoch, [k for subjects in keys for each in subjects for k in each]))
    return [
        _registration(
            watch,
            own,
            partner,
            epoch,
            [[next(tokens) for _ in each] for each in subjects],
            deconflicting=deconflicting,
        )
        for watch, own, subjects in zip(watches, ids, keys, strict=True)
    ]


def _keys(watch: Watch) -> list[tuple[MatchKey, ...]]:
    """The match keys of each subject, and after them those of a place and a time."""
    keys = [match_keys(subject) for subject in watch.subjects]
    if watch.area is not None:
        keys.append(asking_keys(watch.area.plan, watch.area.distance_m))
    return keys


def _registration(
    watch: Watch,
    ids: tuple[bytes, bytes],
    partner: str,
    epoch: int,
    subjects: Sequence[Sequence[Token]],
    *,
    deconflicting: Deconflicting,
) -> Registration:
    own_id, watch_id = ids
    held = [(number, token) for number, tokens in enumerate(subjects) for token in tokens]
    if len(subjects) > MAX_SUBJECTS or len(held) + token_padding(len(held)) > MAX_TOKENS:
        raise InputError(
            f"expected at most {MAX_SUBJECTS} subjects in one watch; split it into several"
        )
    packed = _packed(held, len(subjects), _dummy_seed(watch_id, epoch))
    slot = _slot(watch, watch_id, packed, held, deconflicting)
    message = WatchRegistration(
        registration_id=own_id,
        partner=partner,
        epoch=epoch,
        tokens=packed,
        kinds=watch.kinds,
        expires_at=_whole_day(to_ms(watch.leaves_at)),
        slot=seal_slot(deconflicting.key, slot, slot_place(own_id, epoch, partner)),
    )
    opening = {token.value: token.secret for _, token in held}
    return Registration(message, pack(list(opening.items()), SECRET))


def _slot(
    watch: Watch,
    watch_id: bytes,
    packed: bytes,
    held: Sequence[tuple[int, Token]],
    deconflicting: Deconflicting,
) -> Slot | None:
    if watch.shows is None or watch.basis_at is None:
        return None
    kept = {(subject, token.value): token.secret for subject, token in held}
    own = [
        Held(number, int(row["subject"]), int(row["kind"]), secret)
        for number, row in enumerate(rows(packed, TOKEN))
        if (secret := kept.get((int(row["subject"]), row["token"].tobytes())))
    ]
    box, locks = seal_card(watch.shows, own)
    return Slot(
        counts_from=to_ms(watch.basis_at) + deconflicting.settles_ms,
        mark=derived(watch_id, b"silenthit/1/mark" + codec.encode(watch.shows))[:MARK_BYTES],
        box=box,
        locks=locks,
    )


def _dummy_seed(watch_id: bytes, epoch: int) -> bytes:
    return derived(watch_id, b"silenthit/1/watch-dummies" + epoch.to_bytes(4, "big"))


def _packed(held: Iterable[tuple[int, Token]], subjects: int, seed: bytes) -> bytes:
    found: set[tuple[int, int, bytes]] = {(n, int(token.kind), token.value) for n, token in held}
    padding, places = token_padding(len(found)), places_of((n, kind) for n, kind, _ in found)
    for subject, kind, value in dummy_tokens(seed, padding, subjects, places=places):
        found.add((subject, int(kind), value))
    ordered = sorted(found, key=lambda row: (row[0], row[2]))
    return pack(list[tuple[int | bytes, ...]](ordered), TOKEN)


def columns(watch_id: bytes, registration: Registration) -> tuple[bytes, Values]:
    """Return key and columns of a registration that is to be sent."""
    message = registration.message
    return registration_key(message.registration_id, message.epoch), {
        "watch_id": watch_id,
        "epoch": message.epoch,
        "state": State.PENDING,
        "private": codec.encode(message),
        "private_secrets": registration.secrets,
    }


def _whole_day(at: int) -> int:
    """Round up to midnight UTC: to the millisecond, it would tell which watches came together."""
    return -(-at // DAY_MS) * DAY_MS


def store(into: Rows, watch_id: bytes, registration: Registration) -> None:
    """Write a registration to the vault, to be sent; in place of an earlier one of its epoch."""
    into.put(REGISTRATIONS, *columns(watch_id, registration))


def withdraw(into: Rows, watch_id: bytes) -> None:
    """Mark every registration of a watch to be taken back."""
    of_watch = REGISTRATIONS.c.watch_id == watch_id
    for row in into.find(REGISTRATIONS, of_watch, columns=("state",)):
        if row["state"] != State.REMOVED:
            into.put(REGISTRATIONS, row["id"], {"state": State.REMOVING})


def forget_epochs(into: Rows, epochs: Sequence[int]) -> None:
    """Mark what was registered in these epochs to be taken back, its token secrets with it."""
    theirs = (REGISTRATIONS.c.epoch.in_(epochs), REGISTRATIONS.c.state != State.REMOVED)
    for row in into.find(REGISTRATIONS, *theirs, columns=("state",)):
        into.put(REGISTRATIONS, row["id"], {"state": State.REMOVING})


def token_secrets(packed: bytes) -> dict[bytes, bytes]:
    """Unpack rows of SECRET: token to secret."""
    return {row["token"].tobytes(): row["secret"].tobytes() for row in rows(packed, SECRET)}


def unconfirmed(vault: Vault) -> int:
    """How many registrations and removals the exchange has not confirmed."""
    with vault.read() as found:
        return found.count(REGISTRATIONS, _UNCONFIRMED)


def deliver(vault: Vault, publisher: Publisher, partner: str, patience_s: float = CLOSE_S) -> int:
    """Send what is unconfirmed, wait for the broker's word, and return how many it confirmed.

    One process at a time: a registration sent again must not overtake its own tombstone.
    Raises the first failure after writing down what was confirmed.
    """
    confirmed, failed = 0, None
    with vault.alone():
        with vault.read() as found:
            due = list(found.find(REGISTRATIONS, _UNCONFIRMED, columns=_SENT_COLUMNS))
        placing = Counter(row["epoch"] for row in due if row["state"] == State.PENDING)
        seals = seals_for(vault, partner, placing) if placing else {}
        for start in range(0, len(due), _AT_ONCE):
            batch = due[start : start + _AT_ONCE]
            sent = [(row, _send(publisher, partner, row, seals)) for row in batch]
            publisher.flush(patience_s)
            done = [row for row, future in sent if future.exception() is None]
            with vault.write() as into:
                _confirm(into, done)
            confirmed += len(done)
            failed = failed or next((f.exception() for _, f in sent if f.exception()), None)
    if isinstance(failed, SilentHitError):
        raise failed
    return confirmed


def _send(
    publisher: Publisher, partner: str, row: Values, seals: Mapping[int, WatchSeal]
) -> Future[Delivered]:
    place = Place(WATCHES.of(partner), row["id"], partner)
    value = row["private"] if row["state"] == State.PENDING else None
    if value is not None and (seal := seals.get(row["epoch"])):
        value = codec.encode(seal.message(value, place))
    return publisher.send(place.topic, place.key, value)


def _confirm(into: Rows, sent: Sequence[Values]) -> None:
    """Write down that the exchange has it, unless it was removed or changed in the meantime."""
    placed = {row["id"]: row["private"] for row in sent if row["state"] == State.PENDING}
    gone = [row["id"] for row in sent if row["state"] == State.REMOVING]
    still = REGISTRATIONS.c.id.in_(placed), REGISTRATIONS.c.state == State.PENDING
    unchanged = [
        key for key, now in into.cells(REGISTRATIONS, "private", *still) if now == placed[key]
    ]
    into.change(REGISTRATIONS, REGISTRATIONS.c.id.in_(unchanged), values={"state": State.PLACED})
    into.change(
        REGISTRATIONS,
        REGISTRATIONS.c.id.in_(gone),
        values={"state": State.REMOVED, "private": None, "private_secrets": None},
    )
