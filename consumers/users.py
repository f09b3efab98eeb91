"""Users: the people of a partner, what each may do, and how they prove who they are.

Somebody proves it with a file that holds a secret of their own, or with a passphrase. The vault
keeps salt and scrypt hash (RFC 7914) of it, sealed, so that who writes to the database without the
vault's key can make nobody a supervisor.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, ConfigDict

from consumers.roles import Right, Role
from consumers.times import to_ms
from consumers.vault import USERS, Actor, Rows, Vault
from consumers.vault.log import Event
from schemas.parts import Frozen
from silenthit.errors import InputError, RefusedError

SHORTEST_PASSPHRASE = 12
_SECRET_BYTES = 32
_FILE_COST = 2**10  # 32 random bytes cannot be guessed, whatever a guess costs
_PASSPHRASE_COST = 2**17
_BLOCK, _MEMORY = 8, 256 * 2**20
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class User(Frozen):
    """One person, as the vault keeps them."""

    name: str
    role: Role
    salt: bytes
    hash: bytes
    cost: int  # scrypt's N
    created_at: AwareDatetime
    disabled_at: AwareDatetime | None = None

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


def check_new(rows: Rows, name: str) -> None:
    """Raise InputError unless somebody of this name can be added."""
    if not _NAME.fullmatch(name):
        raise InputError(
            "expected a user's name of lower-case letters, digits, '.', '_' and '-', beginning "
            "with a letter, got another; the call tree and the log use it"
        )
    if rows.get(USERS, name.encode()) is not None:
        raise InputError(
            f"expected a new user, got {name}, who is there already; change them with "
            "`silenthit partner user role`, or choose another name"
        )


def add_user(into: Rows, name: str, role: Role, secret: bytes, now: datetime) -> None:
    """Add a user who proves it with this secret. Raises InputError for a name that will not do."""
    check_new(into, name)
    user = User(name=name, role=role, created_at=now, **_proof(secret))
    _save(into, user, f"{name} is {role}", now)


def replace_secret(into: Rows, name: str, secret: bytes, now: datetime) -> None:
    """Let somebody prove it with another secret from now on, also somebody who was disabled."""
    user = user_named(into, name)
    changed = user.model_copy(update={**_proof(secret), "disabled_at": None})
    _save(into, changed, f"{name} has a new key", now)


def _proof(secret: bytes) -> dict[str, Any]:
    cost = _FILE_COST if len(secret) == _SECRET_BYTES else _PASSPHRASE_COST
    salt = secrets.token_bytes(16)
    return {"salt": salt, "hash": _hash(secret, salt, cost), "cost": cost}


def set_role(into: Rows, name: str, role: Role, now: datetime) -> None:
    """Give somebody another role. Raises RefusedError if nobody were left to manage users."""
    user = user_named(into, name)
    if user.role is Role.SUPERVISOR and role is not Role.SUPERVISOR:
        _keep_a_supervisor(into, name)
    _save(into, user.model_copy(update={"role": role}), f"{name} is {role}", now)


def disable(into: Rows, name: str, now: datetime) -> None:
    """Let somebody sign in no more; what they did stays theirs in the log."""
    user = user_named(into, name)
    _keep_a_supervisor(into, name)
    _save(into, user.model_copy(update={"disabled_at": now}), f"{name} is disabled", now)


def users(rows: Rows) -> list[User]:
    """Return every user, by name."""
    found = [User.model_validate_json(row["private"]) for row in rows.find(USERS)]
    return sorted(found, key=lambda user: user.name)


def user_named(rows: Rows, name: str) -> User:
    """Return one user. Raises InputError when there is none of that name."""
    row = rows.get(USERS, name.encode())
    if row is None:
        raise InputError(
            "expected the name of a user, got another; see `silenthit partner user list`"
        )
    return User.model_validate_json(row["private"])


def sign_in(vault: Vault, name: str, secret: bytes) -> Actor:
    """Return the actor that this person is. Raises RefusedError, and logs who was claimed to be.

    The refusal is the same for a name that is not there, a wrong secret and a disabled user.
    """
    with vault.read() as rows:
        row = rows.get(USERS, name.encode())
    user = User.model_validate_json(row["private"]) if row else None
    if user is not None and user.disabled_at is None:
        expected = _hash(secret, user.salt, user.cost)
        if hmac.compare_digest(expected, user.hash):
            return Actor(user.name, user.role)
    with vault.write() as into:
        into.append([(b"", "refused", Event(who=name))], vault.clock())
    raise RefusedError(
        "expected a user of this vault with their own key file or passphrase, got another; name "
        "yourself with --as, or ask a supervisor to add you: silenthit partner user add NAME"
    )


def write_key_file(path: Path) -> bytes:
    """Write a secret to a new file readable by its owner alone, and return it."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(
            f"expected a new key file, got {path}, which is there already; name another with "
            "--key-file, or delete it if it is nobody's"
        ) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
    return secret


def read_key_file(path: Path) -> bytes:
    """Read somebody's secret. Raises RefusedError when others can read it, or it is none."""
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        content = file.read(200)
    if mode & _OTHERS:
        raise RefusedError(
            f"expected the key file {path} to be its owner's alone; run `chmod 600 {path}`"
        )
    try:
        secret = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != _SECRET_BYTES:
        raise RefusedError(
            f"expected a user's key in {path}, got another file; ask a supervisor for a new one"
        )
    return secret


def check_passphrase(text: str) -> bytes:
    """Return a new passphrase as a secret. Raises InputError when it is too short."""
    if len(text) < SHORTEST_PASSPHRASE:
        raise InputError(
            f"expected a passphrase of {SHORTEST_PASSPHRASE} characters or more, got a shorter "
            "one; four words that nobody would put together do"
        )
    return text.encode()


def _hash(secret: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=cost, r=_BLOCK, p=1, maxmem=_MEMORY, dklen=32)


def _save(into: Rows, user: User, said: str, now: datetime) -> None:
    into.actor.need(Right.MANAGE)
    into.put(USERS, user.name.encode(), {"private": user.model_dump_json().encode()})
    event = Event(who=into.actor.name, text=said)
    into.append([(b"", "user", event)], to_ms(now))


def _keep_a_supervisor(into: Rows, without: str) -> None:
    left = [u for u in users(into) if u.role is Role.SUPERVISOR and u.disabled_at is None]
    if all(user.name == without for user in left):
        raise RefusedError(
            "expected a supervisor to be left, got none; make somebody else one first with "
            "`silenthit partner user role NAME supervisor`"
        )
