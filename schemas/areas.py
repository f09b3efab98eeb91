"""A place and a time: where and when an operation is planned, or where a partner watches."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field, model_validator

from schemas.frozen import Frozen


class AreaPlan(Frozen):
    """A circle and a window of time; from its start on, and until just before its end."""

    lat: Annotated[float, Field(ge=-90, le=90)]  # degrees, WGS 84
    lon: Annotated[float, Field(ge=-180, le=180)]
    radius_m: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    starts_at: AwareDatetime
    ends_at: AwareDatetime

    @model_validator(mode="after")
    def _has_a_time(self) -> AreaPlan:
        if self.ends_at <= self.starts_at:
            raise ValueError("expected an end after the start")
        return self
