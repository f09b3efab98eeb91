"""The exchange's keys in the vault: what willingness and registrations are sealed to."""

from __future__ import annotations

from dataclasses import dataclass

from consumers.states import State
from consumers.vault import REGISTRATIONS, SETTINGS, Rows, Vault
from schemas.topics import DAY_MS
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.errors import InputError

_ID = b"exchange/deconfliction"


@dataclass(frozen=True, slots=True)
class Deconflicting:
    """To whom slots are sealed, and how long a ground is to be stated before that counts."""

    key: bytes | None = None  # the exchange's; none: it handed none over
    settles_ms: int = DAY_MS


NO_EXCHANGE = Deconflicting()


def trust_exchange(into: Rows, found: DeconflictionKey) -> int:
    """Take keys in place of earlier ones; what is sent from now on is sealed to them.

    With another watch key every registration that stands is sent again, so that none stays sealed
    to the old one, or plain; nothing may be on its way meanwhile (`Vault.alone`). Returns how many.
    Raises InputError for a file without a watch key after one that had it.
    """
    before = watch_key(into)
    if before is not None and found.watches is None:
        raise InputError(
            "expected a watch key as in the file before, got none: watches would go unsealed; ask "
            "the exchange's operator for what `silenthit exchange deconflict-key` prints now"
        )
    into.put(SETTINGS, _ID, {"private": found.model_dump_json().encode()})
    if watch_key(into) in {before, None}:
        return 0
    stands = REGISTRATIONS.c.state == State.PLACED
    return into.change(REGISTRATIONS, stands, values={"state": State.PENDING})


def watch_key(rows: Rows) -> bytes | None:
    """Return what registrations are sealed to; none where the exchange handed no such key over."""
    found = _kept(rows)
    return bytes.fromhex(found.watches) if found and found.watches else None


def deconflicting(vault: Vault) -> Deconflicting:
    """Return to whom slots are sealed; to nobody where the exchange handed no key over."""
    with vault.read() as rows:
        found = _kept(rows)
    if found is None:
        return NO_EXCHANGE
    return Deconflicting(bytes.fromhex(found.key), found.settles_s * 1000)


def _kept(rows: Rows) -> DeconflictionKey | None:
    row = rows.get(SETTINGS, _ID)
    return None if row is None else DeconflictionKey.model_validate_json(row["private"])
