"""`silenthit watch add`: one watch is entered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import rich_click as click
from click.termui import confirm, prompt

from consumers import command_line
from consumers.area_options import area_options, given_area
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.entering import place, signed
from consumers.sending import delivered_or_error, end_with
from consumers.watch_checks import check_findable, new_watch
from consumers.watch_commands import watch_fields_shown
from consumers.watch_files import read_watches, watch_fields
from consumers.watch_list import Listed, watch_named
from consumers.watches import Watch
from schemas.vocabulary import CoarseKind, is_strong
from silenthit.errors import InputError
from silenthit.identity.areas import asking_keys
from silenthit.identity.match_keys import match_keys
from silenthit.subject_options import read_subject, subject_options

KINDS = [kind.value for kind in CoarseKind]
PAGE_FROM = ["possible", "hit"]
_ONE = ("surname", "given")
_ASKED = (
    ("surname", "Surname"),
    ("given", "Given name"),
    ("birth_dates", "Birth date"),
    ("phone", "Phone"),
    ("plate", "Plate (CT:AB12345)"),
    ("social_handle", "Handle (instagram:name)"),
)


@click.command()
@click.option("--label", help="What channels show; say nothing of the subject.")
@click.option("--legal-basis", help="Reasonable suspicion (28 CFR 23.20).")
@click.option("--stated-by", help="Who states it. Default: who is signed in.")
@click.option("--case-number")
@click.option("--handling", help="What to do, and not to do, when it is met.")
@click.option("--owner", help="Whose it is. Default: who is signed in.")
@click.option("--backup", help="Who stands in.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Default: all.")
@click.option("--page-from", type=click.Choice(PAGE_FROM), help="What people are told of.")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Likewise, by probability.")
@click.option(
    "--days", type=click.IntRange(1), help="Its end, if it has one; validation comes first."
)
@click.option("--deliver-to", multiple=True, metavar="CHANNEL", help="Of partner.toml.")
@area_options
@subject_options
@click.option(
    "--from",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="One watch in a file as of `watch import`; options come on top of it.",
)
@click.option("--dry-run", is_flag=True, help="Check, and say what it would find; store nothing.")
@config_option
@json_option
@example(
    'silenthit watch add --label "Blue Heron 1" --case-number 50A-NH-1 \\\n'
    '    --legal-basis "Probable cause affidavit, 2026-10-02" --stated-by "SA Reyes" \\\n'
    "    --surname Doe --given John --birth-date 1980-01-02 --phone 203-555-0142 "
    "--plate CT:AB12345\n"
    'silenthit watch add --label "Blue Heron 2" --legal-basis "Surveillance order, 2026-10-20" \\\n'
    "    --area 41.3100,-72.9240 --radius 300 \\\n"
    "    --starts 2026-11-03T18:00-05:00 --ends 2026-11-04T02:00-05:00"
)
def add(
    *,
    days: int | None,
    file: Path | None,
    dry_run: bool,
    config: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Watch somebody, or a place for a time. What is missing is asked for, in a terminal.

    A plate, licence, state ID or passport may name its jurisdiction first (CT:AB12345), a social
    handle its platform (instagram:handle). A watch is validated after 90 days, then every year. Of
    a place you are told what agencies plan there and then, before it begins; such a watch ends by
    itself with its time.
    """
    with opened(config) as ours:
        fields: dict[str, Any] = _from_file(file) if file else {"subjects": ()}
        if area := given_area(options, fields.get("area")):
            fields["area"] = area
        given = {name: options.pop(name) for name in list(options) if name in Watch.model_fields}
        fields |= {name: value for name, value in given.items() if value not in (None, ())}
        if days is not None:
            fields["expires_at"] = ours.now() + timedelta(days=days)
        subjects = [options] if any(options.values()) else []
        if not as_json and command_line.at_a_terminal():
            _ask(fields, subjects, ours.who)
        fields["subjects"] = (*fields["subjects"], *map(read_subject, subjects))
        watch = new_watch(signed(fields, ours), ours.now())
        ours.check_channels(watch.deliver_to)
        if dry_run:
            _tell_findable(watch, as_json=as_json)
            return
        (watch_id,) = place(ours, [watch])
        delivered = delivered_or_error(ours)
        found = watch_named(ours.vault, watch_id.hex())
    if as_json:
        print_json(watch_fields_shown(found))
    else:
        _tell_added(found)
    end_with(delivered)


def _tell_added(found: Listed) -> None:
    watch, code = found.watch, found.watch_id.hex()[:8]
    click.echo(f"{watch.label}: watch {code}, {found.state}")
    if found.state == "waiting":
        click.echo(f"A supervisor lets it stand: silenthit watch approve {code}")
    elif watch.ends_with_its_time:
        click.echo(f"Over by itself on {watch.expires_at:%Y-%m-%d %H:%M} UTC")
    else:
        click.echo(f"To be validated by {watch.expires_at:%Y-%m-%d}: silenthit watch renew")


def _from_file(path: Path) -> dict[str, Any]:
    found = read_watches(path)
    if len(found) != 1:
        raise InputError(
            f"expected one watch in {path}, got {len(found)}; use `silenthit watch import` for more"
        )
    return watch_fields(found[0].content)


def _ask(fields: dict[str, Any], subjects: list[dict[str, Any]], who: str) -> None:
    """Ask somebody at a terminal for what is missing."""
    for name, text in (
        ("label", "Label (channels show it; say nothing of the subject)"),
        ("legal_basis", "Legal basis: the reasonable suspicion (28 CFR 23.20)"),
    ):
        fields[name] = fields.get(name) or prompt(text)
    if "case_number" not in fields:
        fields["case_number"] = prompt("Case number", default="", show_default=False)
    if fields["subjects"] or subjects or fields.get("area"):
        return
    fields["stated_by"] = fields.get("stated_by") or prompt("Stated by", default=who)
    while True:
        subjects.append(_asked_subject())
        if not confirm("Another person in the same watch?", default=False):
            return


def _asked_subject() -> dict[str, Any]:
    """Ask who, again until somebody could be found by it; what was answered is the default."""
    click.echo("Who? Leave empty what is not known; ; stands between several.")
    answers: dict[str, str] = {}
    while True:
        for name, text in _ASKED:
            known = answers.get(name, "")
            answers[name] = prompt(f"  {text}", default=known, show_default=bool(known))
        subject: dict[str, Any] = {
            name: text if name in _ONE else [each.strip() for each in text.split(";") if each]
            for name, text in answers.items()
        }
        try:
            check_findable((read_subject(subject),))
        except InputError as error:
            click.echo(f"{error}")
        else:
            return subject


def _tell_findable(watch: Watch, *, as_json: bool) -> None:
    """Say by what a watch would be found, without saying what that is."""
    kinds = [[key.kind for key in match_keys(subject)] for subject in watch.subjects]
    found = [
        {
            "subject": number,
            "match_keys": len(each),
            "alone_enough": sorted({kind.name.lower() for kind in each if is_strong(kind)}),
            "in_pairs": sorted({kind.name.lower() for kind in each if not is_strong(kind)}),
        }
        for number, each in enumerate(kinds, start=1)
    ]
    area = watch.area
    place = area and {"match_keys": len(asking_keys(area.plan, area.distance_m))}
    if as_json:
        print_json({"accepted": 1, "subjects": found, "place": place})
        return
    click.echo(f"{watch.label}: in order, nothing was stored")
    for subject in found:
        click.echo(f"  subject {subject['subject']}: {subject['match_keys']} match keys")
        click.echo(f"    enough alone: {', '.join(cast('list[str]', subject['alone_enough']))}")
        click.echo(f"    two together: {', '.join(cast('list[str]', subject['in_pairs']))}")
    if place:
        click.echo(f"  place and time: {place['match_keys']} match keys, each enough alone")
