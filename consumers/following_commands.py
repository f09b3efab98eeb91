"""`silenthit watch follow | followed | policy`: going on from what was seen with a subject."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from consumers import following
from consumers.alert_list import alert_row
from consumers.associations import FOLLOWABLE, MOST_STEPS, WARNING, FollowPolicy, kind_word
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.following_report import report
from consumers.history import Event, write_down
from consumers.partner import Partner
from consumers.placing import change_watch
from consumers.sending import delivered_or_error, end_with
from consumers.watch_list import watch_named
from schemas.vocabulary import IdentifierKind
from silenthit.errors import InputError


def _limits(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each limit of a policy."""
    kinds = click.Choice([kind.value for kind in FOLLOWABLE])
    for each in reversed(
        (
            click.option("--steps", type=click.IntRange(1, MOST_STEPS), help="Default: 1."),
            click.option(
                "--most", type=click.IntRange(1, 200), help="Watches in all. Default: 25."
            ),
            click.option("--days", type=click.IntRange(1, 365), help="Their life. Default: 30."),
            click.option(
                "--carried-by-most",
                type=click.IntRange(1, 4096),
                help="Let go what more records carry. Default: 16.",
            ),
            click.option(
                "--kind", "kinds", multiple=True, type=kinds, help="Default: all of these."
            ),
            click.option(
                "--companions",
                is_flag=True,
                default=None,
                help="Others' in the touch too; never victims', witnesses' or minors'.",
            ),
        )
    ):
        function = each(function)
    return function


def _policy(before: FollowPolicy | None, limits: dict[str, Any]) -> FollowPolicy | None:
    """Return the policy with these limits changed, as it was where there are none."""
    given = {name: value for name, value in limits.items() if value not in (None, ())}
    if not given:
        return before
    kinds = tuple(map(IdentifierKind, given.pop("kinds", ())))
    changed = {**given, **({"kinds": kinds} if kinds else {})}
    return FollowPolicy.model_validate({**(before or FollowPolicy()).model_dump(), **changed})


@click.command()
@click.argument("alert")
@_limits
@click.option("--dry-run", is_flag=True, help="Say what would be watched; store nothing.")
@config_option
@json_option
@example("silenthit watch follow 7c1e --dry-run\nsilenthit watch follow 7c1e --days 14")
def follow(*, alert: str, dry_run: bool, config: Path, as_json: bool, **limits: Any) -> None:
    """Watch the phones, cars and handles that a hit shows with the subject.

    Each becomes a watch of its own, below the one that was hit. Its alerts are by association,
    never hits. People can be shown to be connected without being associates in anything.
    """
    with opened(config) as ours:
        row = alert_row(ours.vault, alert)
        policy = _policy(_standing_policy(ours, row["watch_id"]), limits)
        if dry_run:
            with ours.vault.read() as rows:
                plan, ids = following.plan_for(rows, row, policy), list[bytes]()
            undelivered = None
        else:
            plan, ids = _follow(ours, row["id"], policy)
            undelivered = delivered_or_error(ours)
    if as_json:
        print_json(_planned(plan, ids))
    else:
        _show(plan, dry_run=dry_run)
    end_with(undelivered)


def _standing_policy(ours: Partner, watch_id: bytes | None) -> FollowPolicy | None:
    if watch_id is None:
        return None
    watch = watch_named(ours.vault, watch_id.hex()).watch
    return watch.follow or (watch.association.policy if watch.association else None)


def _follow(
    ours: Partner, alert_id: bytes, policy: FollowPolicy | None
) -> tuple[following.Plan, list[bytes]]:
    with ours.blinding() as blinding:
        return following.follow(
            ours.vault,
            alert_id,
            policy,
            partner=ours.settings.name,
            epochs=blinding.epochs().watchable,
            prf=blinding.prf,
            now=ours.now(),
        )


def _planned(plan: following.Plan, ids: list[bytes]) -> dict[str, Any]:
    return {
        "step": plan.step,
        "followed": [each.hex() for each in ids],
        "leads": [
            {
                "kind": kind_word(each.identifier.kind),
                "value": each.identifier.value,
                "refused": each.refused or None,
            }
            for each in plan.leads
        ],
        "warning": WARNING,
    }


def _show(plan: following.Plan, *, dry_run: bool) -> None:
    done = "would be watched" if dry_run else "is watched now"
    for each in plan.leads:
        what = f"{kind_word(each.identifier.kind)} {each.identifier.value}"
        click.echo(f"{what}: {f'not followed: {each.refused}' if each.refused else done}")
    if not plan.leads:
        click.echo("Nothing was seen with the subject that can be followed.")
    click.echo(WARNING)


@click.command()
@click.argument("name", metavar="ID|LABEL")
@config_option
@json_option
@example("silenthit watch followed 3f9a")
def followed(*, name: str, config: Path, as_json: bool) -> None:
    """Show what was followed from a watch, and who was reached by which step."""
    with opened(config) as ours:
        found = watch_named(ours.vault, name)
        with ours.vault.write() as into:
            told = report(into, found.watch_id)
            seen = Event(who=ours.who, text="what was followed from it")
            write_down(into, found.watch_id, "viewed", seen, ours.now())
    if as_json:
        print_json(told)
        return
    console = Console()
    console.print(_followed_table(told) if told["followed"] else "Nothing was followed.")
    if told["reached"]:
        console.print(_reached_table(told))
    console.print(WARNING, style="dim")


def _followed_table(told: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("watch", "step", "what", "first seen", "alerts", "until"):
        table.add_column(title)
    for each in told["followed"]:
        ended = "taken off" if each["removed_at"] else each["expires_at"][:10]
        table.add_row(
            each["watch_id"][:8],
            str(each["step"]),
            f"{each['kind']} {each['value'] or '(purged)'}",
            (each["seen_at"] or "")[:10],
            str(each["alerts"]),
            f"let go: {each['let_go']}" if each["let_go"] else ended,
        )
    return table


def _reached_table(told: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("step", "reached", "through", "first", "records"):
        table.add_column(title)
    for each in told["reached"]:
        through = each["through"] or "same touch"
        table.add_row(
            str(each["step"]), each["name"], through, each["first"][:10], ", ".join(each["records"])
        )
    return table


@click.command()
@click.argument("name", metavar="ID|LABEL")
@_limits
@click.option("--off", is_flag=True, help="Follow nothing by itself any more.")
@config_option
@json_option
@example("silenthit watch policy 3f9a --steps 2 --most 20 --days 30 --carried-by-most 16")
def policy(*, name: str, off: bool, config: Path, as_json: bool, **limits: Any) -> None:
    """Let a watch be followed by itself: each hit's phones, cars and handles are watched too.

    `alerts receive` does it. What stands already stays until its end.
    """
    with opened(config) as ours:
        before = watch_named(ours.vault, name)
        wanted = _policy(before.watch.follow or FollowPolicy(), limits)
        if before.watch.association is not None:
            raise InputError(
                "expected a watch that somebody placed, got one that was followed to; set the "
                "policy of the one it comes from"
            )
        watch = before.watch.model_copy(update={"follow": None if off else wanted})
        text = "follows nothing" if off or wanted is None else _in_words(wanted)
        with ours.blinding() as blinding:
            fixed = {"partner": ours.settings.name, "prf": blinding.prf, "now": ours.now()}
            change_watch(ours.vault, before, watch, **fixed, did=("policy", text))  # type: ignore[arg-type]
        undelivered = delivered_or_error(ours)
    if as_json:
        print_json(None if off or wanted is None else wanted.model_dump(mode="json"))
    else:
        click.echo(f"{watch.label}: {text}")
    end_with(undelivered)


def _in_words(each: FollowPolicy) -> str:
    steps = "1 step" if each.steps == 1 else f"{each.steps} steps"
    return (
        f"follows {steps}, at most {each.most} watches of {each.days} days, nothing that more "
        f"than {each.carried_by_most} records carry"
    )
