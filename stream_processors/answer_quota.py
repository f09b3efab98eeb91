"""How much an organisation may look up, by the hour and by the day; counted in Redis."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_HOUR_S, _DAY_S = 3_600, 86_400

# KEYS: the inquiries of an hour, of a day. ARGV: inquiry id, time, then of each how many and for
# how long they are kept. Returns 0, or the number of the key that is full: nothing is taken then.
_SPEND = """
for i = 1, #KEYS do
  local new = not redis.call('ZSCORE', KEYS[i], ARGV[1])
  if new and redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[1 + 2 * i]) then return i end
end
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[2], ARGV[1])
  redis.call('EXPIRE', KEYS[i], ARGV[2 + 2 * i])
end
return 0
"""


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
        keys, limits, left = [], [], []
        for period, most in ((_HOUR_S, allowance.per_hour), (_DAY_S, allowance.per_day)):
            number, into = divmod(at // 1000, period)
            keys.append(f"q:{{{organisation}}}:{period}:{number}".encode())  # on one node
            limits += [str(most), str(2 * period)]
            left.append(period - into)
        full = int(await self._redis.eval(_SPEND, 2, *keys, inquiry_id, str(at), *limits))
        return left[full - 1] if full else 0
