"""The exchange's list of who is on board: agencies' sender keys, partners, processes."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from schemas.topics import Role
from silenthit.bus.handover import HandOver, SenderSecret
from silenthit.bus.rights import Principal
from silenthit.errors import InputError
from stream_processors.settings import SECRET_BYTES, Agency, Organisations


def enrolled(path: Path, made: HandOver, organisation: str, full_name: str) -> HandOver:
    """Put who was admitted on the list; return its file, for an agency with a sender key.

    An agency that has one keeps it: a second file only renews its access to the brokers.
    """
    known = Organisations.load(path)
    if made.role is Role.PARTNER:
        known.with_partner(made.name).save(path)
    elif made.role is Role.AGENCY:
        if _keys_of(known, organisation):
            return made
        known, sender = _with_new_key(known, organisation.upper(), full_name)
        known.save(path)
        return made.model_copy(update={"sender": sender})
    else:
        processes = tuple(sorted({*known.processes, made.principal.common_name}))
        known.model_copy(update={"processes": processes}).save(path)
    return made


def struck_off(path: Path, principal: Principal, organisation: str) -> None:
    """Take an organisation or a process off the list."""
    known = Organisations.load(path)
    theirs = {each.key_id for each in _keys_of(known, organisation)}
    if principal.role is not Role.AGENCY:
        theirs = set()
    update = {
        "agencies": tuple(each for each in known.agencies if each.key_id not in theirs),
        "partners": tuple(
            each
            for each in known.partners
            if principal.role is not Role.PARTNER or each != principal.name
        ),
        "processes": tuple(each for each in known.processes if each != principal.common_name),
    }
    known.model_copy(update=update).save(path)


def rotated(path: Path, ori: str, target: Path) -> str:
    """Agree on a next sender key; write it for the agency. Returns its key id.

    Raises InputError for an agency that is not on board.
    """
    known = Organisations.load(path)
    held = _keys_of(known, ori)
    if not held:
        raise InputError("expected an agency on board, got another ORI; onboard it first")
    known, sender = _with_new_key(known, ori.upper(), held[-1].name)
    content = {"key_id": sender.key_id, "secret": sender.secret.get_secret_value()}
    known.save(path)  # first: a key that was handed over and is not known would lose touches
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    return sender.key_id


def revoked(path: Path, key_id: str) -> None:
    """Take one sender key off the list. Raises InputError when it is not there."""
    known = Organisations.load(path)
    left = tuple(each for each in known.agencies if each.key_id != key_id)
    if len(left) == len(known.agencies):
        raise InputError("expected the id of a sender key on the list, such as MASF00100#1")
    known.model_copy(update={"agencies": left}).save(path)


def principals(path: Path) -> frozenset[Principal]:
    """Return everybody who should have rights at the brokers."""
    known = Organisations.load(path)
    oris = {each.key_id.partition("#")[0].lower() for each in known.agencies}
    found = {Principal(Role.AGENCY, ori) for ori in oris}
    found |= {Principal(Role.PARTNER, name) for name in known.partners}
    for each in known.processes:
        role, _, name = each.partition(".")
        found.add(Principal(Role(role), name))
    return frozenset(found)


def _keys_of(known: Organisations, ori: str) -> list[Agency]:
    return [each for each in known.agencies if each.key_id.partition("#")[0] == ori.upper()]


def _with_new_key(
    known: Organisations, ori: str, full_name: str
) -> tuple[Organisations, SenderSecret]:
    numbers = [int(each.key_id.partition("#")[2]) for each in _keys_of(known, ori)]
    key_id, secret = f"{ori}#{max(numbers, default=0) + 1}", secrets.token_hex(SECRET_BYTES)
    agency = Agency(key_id=key_id, secret=SecretStr(secret), name=full_name)
    sender = SenderSecret(key_id=key_id, secret=SecretStr(secret))
    return known.model_copy(update={"agencies": (*known.agencies, agency)}), sender
