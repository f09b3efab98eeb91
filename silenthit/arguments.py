"""Secrets stay out of command lines, which every user of the machine and every shell history has.

>>> from_argument("env:DESK", "--channel", {"DESK": "slack://token"})
'slack://token'
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from silenthit.errors import InputError

_NAMED = "env:"


def from_argument(text: str, option: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return an option's value, or what the variable holds that `env:NAME` names.

    Raises InputError for a variable that is not set, and for a URL with a password in it.
    """
    if text.startswith(_NAMED):
        name = text.removeprefix(_NAMED)
        if not environment.get(name):
            raise InputError(f"expected {name} in the environment for {option}, got none; set it")
        return environment[name]
    try:
        password = urlsplit(text).password
    except ValueError:  # whoever uses it will say so
        password = None
    if password:
        raise InputError(
            f"expected no password in {option}, which others on this machine can read; put the URL "
            f"into a variable, and give {option} env:VARIABLE"
        )
    return text
