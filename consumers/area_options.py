"""The options of a watched place and its time, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import rich_click as click

from consumers.areas import DISTANCE_M, FIELDS, WatchedArea, read_area

F = TypeVar("F", bound=Callable[..., Any])


def area_options(function: F) -> F:
    """Add an option for each field of a watched place; their values are for `given_area`."""
    decorated: Any = function
    for decorate in (
        click.option(
            "--distance",
            "distance_m",
            type=float,
            help=f"How near counts too, in metres. Default: {DISTANCE_M:.0f}.",
        ),
        click.option("--ends", "ends_at", metavar="TIME", help="Until just before then."),
        click.option("--starts", "starts_at", metavar="TIME", help="ISO 8601; UTC unless it says."),
        click.option("--radius", "radius_m", type=float, help="Of that place, in metres."),
        click.option(
            "--area", "place", metavar="LAT,LON", help="A place; you hear what is planned there."
        ),
    ):
        decorated = decorate(decorated)
    return cast("F", decorated)


def given_area(options: dict[str, Any], before: WatchedArea | None = None) -> WatchedArea | None:
    """Take the options of a place out of `options`; what is not given stays as `before`.

    None where no option was given. Raises InputError for what is missing.
    """
    given = {name: value for name in FIELDS if (value := options.pop(name, None)) is not None}
    if not given:
        return None
    return read_area((_plain(before) if before else {}) | given)


def _plain(area: WatchedArea) -> dict[str, Any]:
    plan = area.plan
    return {
        "place": f"{plan.lat}, {plan.lon}",
        "radius_m": plan.radius_m,
        "starts_at": plan.starts_at,
        "ends_at": plan.ends_at,
        "distance_m": area.distance_m,
    }
