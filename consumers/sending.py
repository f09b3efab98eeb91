"""Sending, for commands: what they changed goes to the exchange now, or by itself later."""

from __future__ import annotations

from consumers.partner import Partner
from consumers.receiving import care
from silenthit.errors import RetryError

PATIENCE_S = 10.0  # somebody is waiting at a keyboard


def delivered_or_error(ours: Partner) -> RetryError | None:
    """Send what is unconfirmed; what cannot be sent now stays in the vault and goes out later."""
    try:
        care(ours.as_process(), PATIENCE_S)
    except RetryError as error:
        return error
    return None


def end_with(undelivered: RetryError | None) -> None:
    """End a command whose change could not be sent: raises RetryError that says what will be."""
    if undelivered is not None:
        raise RetryError(
            "expected the exchange's broker to confirm, it did not; the change is in the vault and "
            "goes out with the next command or by `silenthit alerts receive`"
        ) from undelivered
