"""`silenthit protocol`: check the call tree, and explain whom it would call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import rich_click as click

from consumers.alert_list import alert_row
from consumers.cases import facts_of
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.opened_alerts import read_opened
from consumers.partner import Partner
from consumers.settings import PartnerSettings
from consumers.times import iso
from consumers.vault import WATCHES
from consumers.watches import Watch
from silenthit.call_tree.check import Weight, check_protocol
from silenthit.call_tree.conditions import FACTS, WEEKDAYS, Facts
from silenthit.call_tree.explain import asked, timeline
from silenthit.call_tree.protocol import Protocol, load_protocol, route
from silenthit.errors import InputError
from silenthit.settings import load_toml


@click.group()
def protocol() -> None:
    """Check the call tree, and explain whom it would call.

    Example: silenthit protocol check --config fbi/partner.toml
    """


@protocol.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@config_option
@json_option
@example("silenthit protocol check protocol.yaml")
def check(*, file: Path | None, config: Path, as_json: bool) -> None:
    """Find unreachable branches, people without a channel, gaps in a schedule.

    Exit code 2 when the protocol cannot be used as it is.
    """
    settings = load_toml(config, PartnerSettings)
    path = _path(file, settings)
    found = check_protocol(load_protocol(path), settings.channels, datetime.now(UTC))
    if as_json:
        print_json([{"weight": each.weight.value, "text": each.text} for each in found])
    else:
        for each in found:
            click.echo(f"{each.weight.value}: {each.text}")
    errors = sum(each.weight is Weight.ERROR for each in found)
    if errors:
        raise InputError(f"expected a sound protocol in {path}, got {errors} errors; see above")
    if not as_json:
        click.echo(f"{path}: nobody is missed")


def _path(file: Path | None, settings: PartnerSettings) -> Path:
    path = file or settings.protocol
    if path is None:
        raise InputError(
            'expected a protocol; name a file, or set `protocol = "protocol.yaml"` in partner.toml'
        )
    return path


@protocol.command()
@click.argument("name", required=False, metavar="[ALERT]")
@click.option("--sample", "samples", multiple=True, metavar="FACT=VALUE", help="Instead of one.")
@click.option("--at", "at", help="ISO 8601; default: now.")
@config_option
@json_option
@example(
    "silenthit protocol explain 7c1e55a0\n"
    "silenthit protocol explain --sample kind=arrest --sample minor=true --at 2026-11-01T23:30"
)
def explain(
    *, name: str | None, samples: tuple[str, ...], at: str | None, config: Path, as_json: bool
) -> None:
    """Show step by step who would be called when, if nobody answered. Nobody is called."""
    with opened(config) as ours:
        tree = load_protocol(_path(None, ours.settings))
        moment = _moment(at, ours, tree)
        facts = _alert_facts(ours, tree, name, moment) if name else _facts(samples, tree, moment)
    lines = list(_story(tree, facts, moment))
    if as_json:
        print_json({"route": list(route(tree, facts).path), "calls": _calls(tree, facts, moment)})
    else:
        click.echo("\n".join(lines))


def _moment(at: str | None, ours: Partner, tree: Protocol) -> datetime:
    if at is None:
        return ours.now()
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise InputError("expected --at in ISO 8601, such as 2026-11-01T23:30") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(tree.timezone))


def _alert_facts(ours: Partner, tree: Protocol, name: str, moment: datetime) -> Facts:
    row = alert_row(ours.vault, name)
    plain = read_opened(row)
    if plain is None:
        raise InputError("expected an alert that is still there, got one that was purged")
    with ours.vault.read() as rows:
        watch = rows.get(WATCHES, row["watch_id"])
    case_number = Watch.model_validate_json(watch["private"]).case_number if watch else ""
    return facts_of(plain, case_number, moment, tree.timezone)


def _facts(samples: tuple[str, ...], tree: Protocol, moment: datetime) -> Facts:
    local = moment.astimezone(ZoneInfo(tree.timezone))
    facts: dict[str, Any] = {
        "weekday": WEEKDAYS[local.weekday()],
        "time": local.time().replace(tzinfo=None),
    }
    for each in samples:
        name, given, value = each.partition("=")
        if not given or name not in FACTS:
            raise InputError(f"expected --sample FACT=VALUE with a FACT of {', '.join(FACTS)}")
        facts[name] = _value(FACTS[name], value)
    return facts


def _value(sort: type, text: str) -> Any:
    if sort is bool:
        return text.lower() in {"true", "yes", "1"}
    if sort is tuple:
        return tuple(text.split(","))
    try:
        return float(text) if sort is float else text
    except ValueError:
        raise InputError("expected a number between 0 and 1 as the score") from None


def _story(tree: Protocol, facts: Facts, moment: datetime) -> Iterator[str]:
    for each in asked(tree, facts):
        said = "fits" if each.fits else f"no: {each.failed} is not as it asks"
        yield f"{'  ' * (len(each.path) - 1)}branch {each.path[-1]}: {said}"
    yield f"taken: {route(tree, facts).name}"
    zone = ZoneInfo(tree.timezone)
    for step in timeline(tree, facts, moment):
        at = f"{step.at.astimezone(zone):%a %Y-%m-%d %H:%M}"
        if step.waits_until is not None:
            until = f"{step.waits_until.astimezone(zone):%a %H:%M}"
            yield f"{at}  waits until {until} (quiet hours or maintenance)"
        for call in step.calls:
            channels = ", then ".join(tree.people[call.person].channels)
            yield f"{at}  {call.why}: {call.person} by {channels}"


def _calls(tree: Protocol, facts: Facts, moment: datetime) -> list[dict[str, Any]]:
    return [
        {"at": iso(step.at), "person": call.person, "why": call.why}
        for step in timeline(tree, facts, moment)
        for call in step.calls
    ]
