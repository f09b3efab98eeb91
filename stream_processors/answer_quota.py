"""How much an organisation may look up, by the hour and by the day; counted in Redis."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_HOUR_S, _DAY_S = 3_600, 86_400


class Allowance(BaseModel):
    """Look-ups of one organisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_hour: int = Field(default=200, ge=0)
    per_day: int = Field(default=1_000, ge=0)


class LookUpSettings(BaseModel):
    """`[look_up]` of exchange.toml: what each organisation may ask, and who may ask otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowance: Allowance = Allowance()
    organisations: dict[str, Allowance] = {}  # by name in topics: an agency's ORI in lower case

    def of(self, organisation: str) -> Allowance:
        """Return what this organisation may ask."""
        return self.organisations.get(organisation, self.allowance)


class Quota:
    """Keeps the ids of each one's inquiries: what comes again or is refused costs nothing."""

    def __init__(self, redis: Any, settings: LookUpSettings) -> None:
        """`redis` has the commands of redis.asyncio.Redis."""
        self._redis, self._settings = redis, settings

    async def spend(self, organisation: str, inquiry_id: bytes, at: int) -> int:
        """Take one look-up at a broker time in ms; return 0, or for how many seconds none is left.

        Of two that ask for the last one at the same moment, one gets it.
        """
        allowance = self._settings.of(organisation)
        taken = []
        for period, most in ((_HOUR_S, allowance.per_hour), (_DAY_S, allowance.per_day)):
            number, into = divmod(at // 1000, period)
            key = f"q:{organisation}:{period}:{number}".encode()
            if await self._redis.zadd(key, {inquiry_id: at}, nx=True):
                taken.append(key)
                await self._redis.expire(key, 2 * period)
            if await self._redis.zcard(key) > most:
                for each in taken:
                    await self._redis.zrem(each, inquiry_id)
                return period - into
        return 0
