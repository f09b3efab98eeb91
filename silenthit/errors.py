"""What went wrong, named by what the caller should do about it.

A message says what was expected, what came, and the remedy; never subject data or key material.
"""

from __future__ import annotations


class SilentHitError(Exception):
    """Base of every error of this project; `exit_code` is what a command ends with."""

    exit_code = 1


class InputError(SilentHitError):
    """Fix the input: a file, a row, a message, an option."""

    exit_code = 2


class SettingsError(SilentHitError):
    """Fix the configuration; the message names the key."""

    exit_code = 3


class RetryError(SilentHitError):
    """Try again later: a broker or a key holder is away."""

    exit_code = 4


class QuotaError(RetryError):
    """Come back in `after_s` seconds: an organisation's allowance is spent."""

    def __init__(self, message: str, *, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class RefusedError(SilentHitError):
    """Not allowed: ask the operator or the organisation named in the message."""

    exit_code = 5


class SealError(SilentHitError):
    """A sealed part, lock or signature does not verify: tampered with, or not for this opener."""

    exit_code = 6


class UnknownSignerError(SealError):
    """The touch is signed with a key that is not trusted here: import the agency's public key."""

    def __init__(self, message: str, *, organisation: str = "") -> None:
        super().__init__(message)
        self.organisation = organisation
