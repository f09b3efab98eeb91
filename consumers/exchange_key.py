"""The exchange's key in the vault: what registrations seal willingness to."""

from __future__ import annotations

from consumers.registrations import NO_EXCHANGE, Deconflicting
from consumers.vault import SETTINGS, Rows, Vault
from silenthit.blinding.deconfliction_key import DeconflictionKey

_ID = b"exchange/deconfliction"


def trust_exchange(into: Rows, found: DeconflictionKey) -> None:
    """Take a key in place of an earlier one; registrations made from now on are sealed to it."""
    into.put(SETTINGS, _ID, {"private": found.model_dump_json().encode()})


def deconflicting(vault: Vault) -> Deconflicting:
    """Return to whom slots are sealed; to nobody where the exchange handed no key over."""
    with vault.read() as rows:
        row = rows.get(SETTINGS, _ID)
    if row is None:
        return NO_EXCHANGE
    found = DeconflictionKey.model_validate_json(row["private"])
    return Deconflicting(bytes.fromhex(found.key), found.settles_s * 1000)
