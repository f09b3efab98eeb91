"""How one bus is reached: nothing here connects, or loads what does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from silenthit.bus.quiet_log import bus_log


class KafkaSettings(BaseModel):
    """One bus. `security` holds further librdkafka properties, such as those of TLS and SASL.

    A relative `….location` (of a certificate, a key) is resolved against the configuration's
    folder when `silenthit.settings.load_toml` reads it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: str = Field(min_length=1)
    security: dict[str, str] = Field(default={}, repr=False)

    @field_validator("security")
    @classmethod
    def _locations(cls, security: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        folder = (info.context or {}).get("folder")
        if folder is None:
            return security
        return {
            name: str(Path(folder) / value) if name.endswith(".location") else value
            for name, value in security.items()
        }

    def properties(self, client_id: str, **more: Any) -> dict[str, Any]:
        """Return the librdkafka configuration of one client; `more` has _ for each dot."""
        return {
            **self.security,
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": client_id,
            "logger": bus_log(),
            # The others need the broker's word at once when it comes back, not ten seconds later.
            "reconnect.backoff.max.ms": 1000,
            **{name.replace("_", "."): value for name, value in more.items()},
        }
