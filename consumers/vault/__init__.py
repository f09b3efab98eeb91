"""The vault: what a partner knows in plaintext, encrypted at rest, and where it has read up to.

    vault = Vault.open(Path("vault.sqlite"), load_key(Path("keys/vault.key")))
    with vault.write() as rows:
        rows.put(SIGNERS, b"CT0015100#1", {"private": b"..."})

A SQLite file of its owner's alone, or PostgreSQL where a squad shares it (`place`). A new table or
column is added to `tables` and, as a step, to `migrations/versions`.
"""

from __future__ import annotations

from consumers.vault.guard import PROCESS, Actor
from consumers.vault.rows import Rows, Values
from consumers.vault.tables import (
    ALERTS,
    ATTEMPTS,
    CASES,
    CATALOGUE,
    EVENTS,
    MEETINGS,
    METADATA,
    OFFSETS,
    PAGES,
    PUBLICATIONS,
    REGISTRATIONS,
    SETTINGS,
    SIGNERS,
    UNOPENED,
    USERS,
    WATCHES,
)
from consumers.vault.vault import Vault

__all__ = [
    "ALERTS",
    "ATTEMPTS",
    "CASES",
    "CATALOGUE",
    "EVENTS",
    "MEETINGS",
    "METADATA",
    "OFFSETS",
    "PAGES",
    "PROCESS",
    "PUBLICATIONS",
    "REGISTRATIONS",
    "SETTINGS",
    "SIGNERS",
    "UNOPENED",
    "USERS",
    "WATCHES",
    "Actor",
    "Rows",
    "Values",
    "Vault",
]
