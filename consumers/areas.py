"""A place and a time that a partner watches: what is planned there and then, or near it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, ValidationError

from consumers.times import moment
from schemas.areas import AreaPlan
from schemas.parts import Frozen
from silenthit.errors import InputError, RefusedError
from silenthit.identity.areas import apart_m, in_conflict
from silenthit.identity.places import coordinates

MOST_RADIUS_M = MOST_DISTANCE_M = 5000.0
LONGEST = timedelta(days=31)
DISTANCE_M = 1000.0
FIELDS = ("place", "radius_m", "starts_at", "ends_at", "distance_m")


class WatchedArea(Frozen):
    """Where and when, and how near to it an operation is worth telling."""

    plan: AreaPlan
    distance_m: Annotated[float, Field(ge=0, allow_inf_nan=False)] = DISTANCE_M

    @property
    def where(self) -> str:
        """The place for people."""
        return f"{around(self.plan)}, and up to {self.distance_m:.0f} m from it"

    def meets(self, plan: AreaPlan) -> bool:
        """Whether what is planned comes so near while it is watched."""
        return in_conflict(plan, self.plan, self.distance_m)

    def how(self, plan: AreaPlan) -> tuple[str, str]:
        """Say to people how a plan meets what is watched, or does not: the plan, the watch."""
        metres = apart_m(plan, self.plan) - plan.radius_m - self.plan.radius_m
        where = f"{metres:.0f} m from" if metres > 0 else "at"
        planned = f"operation planned {where} the place you watch, {window(plan)}"
        return planned, f"watched {window(self.plan)}, up to {self.distance_m:.0f} m around it"


def around(plan: AreaPlan) -> str:
    """A circle for people."""
    return f"within {plan.radius_m:.0f} m of {plan.lat:.5f}, {plan.lon:.5f}"


def window(plan: AreaPlan) -> str:
    """A window of time for people, UTC."""
    return f"{_minute(plan.starts_at)} to {_minute(plan.ends_at)} UTC"


def _minute(when: datetime) -> str:
    return f"{moment(when):%Y-%m-%d %H:%M}"


def check_area(area: WatchedArea) -> None:
    """Refuse a place that is too large, or is watched for too long. Raises RefusedError."""
    if area.plan.radius_m > MOST_RADIUS_M or area.distance_m > MOST_DISTANCE_M:
        raise RefusedError(
            f"expected a radius of at most {MOST_RADIUS_M:.0f} m and a distance of at most "
            f"{MOST_DISTANCE_M:.0f} m, got more; watch a smaller place, or several"
        )
    if area.plan.ends_at - area.plan.starts_at > LONGEST:
        raise RefusedError(
            f"expected a place to be watched for at most {LONGEST.days} days, got more; watch it "
            "anew when they are over"
        )


def check_ahead(area: WatchedArea, now: datetime) -> None:
    """Raise InputError for a time that is over: nobody can be warned of it."""
    if area.plan.ends_at <= now:
        raise InputError("expected a time that is not over yet, got one that is; give a later end")


def read_area(fields: Mapping[str, Any]) -> WatchedArea:
    """Build one from plain values, such as a file's. Raises InputError, quoting no value."""
    unknown = sorted(fields.keys() - set(FIELDS))
    missing = [name for name in FIELDS[:-1] if fields.get(name) is None]
    if missing:
        raise InputError(
            f"expected a place, its radius, a start and an end, got no {', '.join(missing)}; give "
            "all four (--area, --radius, --starts, --ends)"
        )
    if unknown:
        raise InputError(
            f"expected {', '.join(FIELDS)} of a watched place, got {', '.join(unknown)} as well"
        )
    where = coordinates(str(fields["place"]))
    if where is None:
        raise InputError(
            'expected coordinates such as "41.3100, -72.9240" or an MGRS reference, got others; no '
            "address is looked up, as that would tell somebody where you watch"
        )
    times = {name: moment(fields[name]) for name in ("starts_at", "ends_at")}
    plan = {"lat": where[0], "lon": where[1], "radius_m": fields["radius_m"], **times}
    others = {name: fields[name] for name in ("distance_m",) if fields.get(name) is not None}
    try:
        return WatchedArea.model_validate({"plan": plan, **others})
    except ValidationError as error:
        wrong = {str(each["loc"][-1]) for each in error.errors(include_input=False)}
        raise InputError(
            f"expected a radius in metres, and a time that ends after it starts (ISO 8601), got "
            f"others in {', '.join(sorted(wrong))}; correct them"
        ) from None
