"""`silenthit watch approve | edit | renew | expire | remove | retoken`: what becomes of a watch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import rich_click as click

from consumers.area_options import area_options, given_area
from consumers.areas import WatchedArea, check_ahead
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.partner import Partner
from consumers.placing import approve_watches, change_watch, expire_watch, remove_watch
from consumers.receiving import follow_epochs
from consumers.sending import delivered_or_error, end_with
from consumers.watch_checks import read_watch, validated
from consumers.watch_commands import watch_fields_shown
from consumers.watch_entry_commands import KINDS, PAGE_FROM
from consumers.watch_files import read_watch_file
from consumers.watch_list import Listed, waiting_ids, watch_named
from consumers.watches import FIRST_VALIDATION, NEXT_VALIDATION, Watch
from silenthit.errors import InputError, RefusedError
from silenthit.subject_options import read_subject

_name = click.argument("name", metavar="ID|LABEL")
_names = click.argument("names", metavar="ID|LABEL...", nargs=-1, required=True)


def _put(ours: Partner, before: Listed, watch: Watch, did: tuple[str, str]) -> None:
    with ours.blinding() as blinding:
        change_watch(
            ours.vault,
            before,
            watch,
            partner=ours.settings.name,
            prf=blinding.prf,
            now=ours.now(),
            did=did,
        )


def _tell(found: Listed, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(watch_fields_shown(found))
    else:
        click.echo(f"{found.watch.label}: {done}, until {found.watch.expires_at:%Y-%m-%d}")


@click.command()
@click.argument("names", metavar="[ID|LABEL]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that wait.")
@config_option
@json_option
@example("silenthit watch approve 3f9a\nsilenthit watch list --waiting")
def approve(*, names: tuple[str, ...], every: bool, config: Path, as_json: bool) -> None:
    """Let watches stand that a registrar entered: the exchange has them from now on."""
    if bool(names) == every:
        raise InputError("expected watches or --all, got none or both; see `watch list --waiting`")
    with opened(config) as ours:
        found = [watch_named(ours.vault, name).watch_id for name in names]
        done = approve_watches(ours.vault, found or waiting_ids(ours.vault), ours.now())
        follow_epochs(ours.as_process())
        undelivered = delivered_or_error(ours)
    if as_json:
        print_json({"approved": done})
    else:
        click.echo(f"{done} approved")
    end_with(undelivered)


@click.command()
@_name
@click.option("--label", help="What channels show.")
@click.option("--legal-basis", help="Reasonable suspicion (28 CFR 23.20).")
@click.option("--stated-by", help="Who states it.")
@click.option("--case-number")
@click.option("--handling", help="What to do, and not to do, when it is met.")
@click.option("--owner")
@click.option("--backup")
@click.option("--page-from", type=click.Choice(PAGE_FROM), help="What people are told of.")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Likewise, by probability.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="In place of all.")
@click.option("--deliver-to", multiple=True, metavar="CHANNEL", help="In place of the others.")
@area_options
@click.option("--no-area", is_flag=True, help="Watch no place any more, subjects only.")
@click.option(
    "--subjects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A watch list file with one [[watch]], whose subjects take the place of the others.",
)
@config_option
@json_option
@example('silenthit watch edit 3f9a --label "Blue Heron 2" --subjects heron.toml')
def edit(
    *,
    name: str,
    subjects: Path | None,
    no_area: bool,
    config: Path,
    as_json: bool,
    **changes: Any,
) -> None:
    """Change a watch. It stays the same watch: its alerts are updated, not raised anew."""
    changed = {field: value for field, value in changes.items() if value not in (None, ())}
    if subjects is not None:
        changed["subjects"] = _subjects(subjects)
    if no_area:
        changed["area"] = None
    if not changed:
        raise InputError("expected something to change, got no option; see --help")
    with opened(config) as ours:
        ours.check_channels(tuple(changed.get("deliver_to", ())))
        before = watch_named(ours.vault, name)
        if area := given_area(changed, before.watch.area):
            changed |= _another_time(before.watch, area, ours.now())
        fields = {field: getattr(before.watch, field) for field in Watch.model_fields}
        watch = read_watch({**fields, **changed}, ours.now())
        _put(ours, before, watch, ("edited", ", ".join(sorted(changed))))
        undelivered = delivered_or_error(ours)
        found = watch_named(ours.vault, before.watch_id.hex())
    _tell(found, "changed", as_json=as_json)
    end_with(undelivered)


def _another_time(watch: Watch, area: WatchedArea, now: datetime) -> dict[str, Any]:
    """What changes with a place and its time: the end of a watch that is of nothing else, too."""
    check_ahead(area, now)
    if watch.place_alone is None:
        return {"area": area}
    return {"area": area, "expires_at": min(area.plan.ends_at, now + FIRST_VALIDATION)}


def _subjects(path: Path) -> tuple[Any, ...]:
    written = read_watch_file(path)
    if len(written) != 1:
        raise InputError(
            f"expected one [[watch]] in {path}, got {len(written)}; leave the one whose subjects "
            "are wanted"
        )
    return tuple(map(read_subject, written[0].get("subject", ())))


@click.command()
@_name
@click.option(
    "--days",
    type=click.IntRange(1, NEXT_VALIDATION.days),
    help="For how long it may stand. Default: a year, or to the end it was given.",
)
@click.option("--review", default="", help="Who looked at it again, and why the suspicion stands.")
@config_option
@json_option
@example('silenthit watch renew 3f9a --review "SSA Ford: surveillance of 2026-11-02 confirms"')
def renew(*, name: str, days: int | None, review: str, config: Path, as_json: bool) -> None:
    """Validate a watch after a review: it stands for at most a year more."""
    if not review.strip():
        raise RefusedError(
            "expected a review of the watch, got none; state with --review who looked at it again "
            "and why the suspicion stands (28 CFR 23.20(h))"
        )
    with opened(config) as ours:
        before = watch_named(ours.vault, name)
        watch = before.watch
        if not watch.stated_by:  # entered before that was asked
            watch = watch.model_copy(update={"stated_by": ours.who})
        _put(ours, before, validated(watch, ours.now(), days), ("renewed", review))
        undelivered = delivered_or_error(ours)
        found = watch_named(ours.vault, before.watch_id.hex())
    _tell(found, "renewed", as_json=as_json)
    end_with(undelivered)


@click.command()
@_names
@click.option("--why", default="", help="Why it need not stand any longer.")
@config_option
@json_option
@example('silenthit watch expire 3f9a --why "arrested 2026-11-20, case closed"')
def expire(*, names: tuple[str, ...], why: str, config: Path, as_json: bool) -> None:
    """Let watches expire now instead of at their time; the exchange forgets them."""
    with opened(config) as ours:
        found = _standing(ours, names)
        for each in found:
            expire_watch(ours.vault, each.watch_id, why, ours.now())
        undelivered = delivered_or_error(ours)
    _tell_gone(found, "expired", as_json=as_json)
    end_with(undelivered)


@click.command()
@_names
@config_option
@json_option
@example("silenthit watch remove 3f9a")
def remove(*, names: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Remove watches; the exchange forgets them by tombstone. Their alerts stay."""
    with opened(config) as ours:
        found = _standing(ours, names)
        for each in found:
            remove_watch(ours.vault, each.watch_id, ours.now())
        undelivered = delivered_or_error(ours)
    _tell_gone(found, "removed", as_json=as_json)
    end_with(undelivered)


def _standing(ours: Partner, names: tuple[str, ...]) -> list[Listed]:
    """Return the watches of these names, all or, with an error, none."""
    found = [watch_named(ours.vault, name) for name in names]
    if any(each.removed_at is not None for each in found):
        raise RefusedError("expected watches that stand, got a removed one; see `watch list`")
    return found


def _tell_gone(found: list[Listed], done: str, *, as_json: bool) -> None:
    if as_json:
        print_json({done: [each.watch_id.hex() for each in found]})
    else:
        click.echo(f"{len(found)} {done}")


@click.command()
@config_option
@json_option
@example("silenthit watch retoken")
def retoken(*, config: Path, as_json: bool) -> None:
    """Register every watch in the epochs that are watchable now.

    `alerts receive` does it by itself once a minute.
    """
    with opened(config) as ours:
        added = follow_epochs(ours.as_process())
        undelivered = delivered_or_error(ours)
    if as_json:
        print_json({"registered": added})
    else:
        click.echo(f"{added} registered")
    end_with(undelivered)
