"""`silenthit watch`: the private watch list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import rich_click as click
from click.termui import prompt
from click.utils import get_text_stream
from rich.console import Console
from rich.progress import track
from rich.table import Table

from consumers.command_line import (
    F,
    config_option,
    example,
    json_option,
    opened,
    print_json,
    user,
)
from consumers.history import Event, write_down, write_down_all
from consumers.opened_alerts import iso
from consumers.partner import Partner
from consumers.receiving import care
from consumers.subject_options import read_subject, read_watch_file, watch_fields
from consumers.watch_list import (
    MOST_LISTED,
    Listed,
    add_watches,
    count_watches,
    listed,
    watch_named,
)
from consumers.watches import DEFAULT_LIFE, Watch, read_watch
from schemas.vocabulary import CoarseKind, IdentifierKind
from silenthit.errors import InputError, RetryError, SilentHitError

_AT_ONCE = 500
_MOST_SHOWN = 100
KINDS = [kind.value for kind in CoarseKind]


@click.group()
def watch() -> None:
    """Place, list and remove private watches.

    Example: silenthit watch list --config fbi/partner.toml
    """


def _subject_options(function: F) -> F:
    """Add an option a field of a subject."""
    decorate: list[Callable[[Any], Any]] = [
        click.option("--surname", default=""),
        click.option("--given", default=""),
        click.option("--middle", default=""),
        click.option("--full", default="", help="The whole name, where its parts are not known."),
        click.option("--alias", "aliases", multiple=True, help="Another name. May be repeated."),
        click.option("--street-name", "street_names", multiple=True),
        click.option("--birth-date", "birth_dates", multiple=True, help="MM/DD/YYYY or ISO 8601."),
    ]
    for kind in IdentifierKind:
        if kind is not IdentifierKind.OTHER:
            option = f"--{kind.value.replace('_', '-')}"
            decorate.append(click.option(option, kind.value, multiple=True))
    decorated: Any = function
    for each in reversed(decorate):
        decorated = each(decorated)
    return cast("F", decorated)


@watch.command()
@click.option("--label", help="What channels show; say nothing of the subject.")
@click.option("--legal-basis", help="Reasonable suspicion, and by whom stated (28 CFR 23.20).")
@click.option("--case-number", default="")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Default: all.")
@click.option("--days", type=click.IntRange(1), default=DEFAULT_LIFE.days, show_default=True)
@click.option("--deliver-to", multiple=True, metavar="CHANNEL", help="Of partner.toml.")
@_subject_options
@config_option
@json_option
@example(
    'silenthit watch add --label "Blue Heron 1" --case-number 50A-NH-1 \\\n'
    '    --legal-basis "Probable cause affidavit of SA Reyes, 2026-10-02" \\\n'
    "    --surname Doe --given John --birth-date 1980-01-02 --phone 203-555-0142 --plate CT:AB12345"
)
def add(
    *,
    label: str | None,
    legal_basis: str | None,
    case_number: str,
    kinds: tuple[str, ...],
    days: int,
    deliver_to: tuple[str, ...],
    config: Path,
    as_json: bool,
    **subject: Any,
) -> None:
    """Watch one subject. What is missing is asked for, in a terminal.

    A plate, licence, state ID or passport may name its jurisdiction first (CT:AB12345), a social
    handle its platform (instagram:handle). Several subjects in one watch: `watch import`.
    """
    with opened(config) as ours:
        ours.check_channels(deliver_to)
        label, legal_basis = _asked(label, legal_basis, subject, as_json=as_json)
        fields = {
            "label": label,
            "legal_basis": legal_basis,
            "case_number": case_number,
            "kinds": kinds,
            "deliver_to": deliver_to,
            "expires_at": ours.now() + timedelta(days=days),
            "subjects": (read_subject(subject),),
        }
        ids = _add(ours, [read_watch(fields, ours.now())])
        delivered = delivered_or_error(ours)
        found = watch_named(ours.vault, ids[0].hex())
    if as_json:
        print_json(watch_fields_shown(found))
    else:
        click.echo(f"{found.watch.label}: watch {ids[0].hex()[:8]}, {found.state}")
    end_with(delivered)


def _asked(
    label: str | None, legal_basis: str | None, subject: dict[str, Any], *, as_json: bool
) -> tuple[str, str]:
    """Ask for what is missing when somebody is there to answer."""
    if as_json or not get_text_stream("stdin").isatty():
        return label or "", legal_basis or ""
    label = label or prompt("Label (channels show it; say nothing of the subject)")
    legal_basis = legal_basis or prompt(
        "Legal basis (28 CFR 23.20: reasonable suspicion, stated by whom)"
    )
    if not any(subject.values()):
        for name in ("surname", "given"):
            subject[name] = prompt(name.capitalize(), default="", show_default=False)
        for name, text in (("birth_dates", "Birth date"), ("phone", "Phone"), ("plate", "Plate")):
            answer = prompt(text, default="", show_default=False)
            subject[name] = (answer,) if answer else ()
    return str(label), str(legal_basis)


def _add(ours: Partner, watches: Sequence[Watch]) -> list[bytes]:
    added: list[bytes] = []
    console = Console(stderr=True)
    with ours.blinding() as blinding:
        watchable = blinding.epochs().watchable
        starts = range(0, len(watches), _AT_ONCE)
        for start in track(starts, "adding", console=console, disable=len(starts) == 1):
            ids = add_watches(
                ours.vault,
                watches[start : start + _AT_ONCE],
                partner=ours.settings.name,
                epochs=watchable,
                prf=blinding.prf,
                now=ours.now(),
            )
            with ours.vault.write() as into:
                write_down_all(into, ids, "added", Event(who=user()), ours.now())
            added += ids
    return added


def delivered_or_error(ours: Partner) -> RetryError | None:
    """Send what is unconfirmed; what cannot be sent now stays in the vault and goes out later."""
    try:
        care(ours)
    except RetryError as error:
        return error
    return None


def end_with(undelivered: RetryError | None) -> None:
    """End a command whose change could not be sent: raises RetryError that says what will be."""
    if undelivered is not None:
        raise RetryError(
            "expected the exchange's broker to confirm, it did not; the change is in the vault and "
            "goes out with the next command or by `silenthit alerts receive`"
        ) from undelivered


@watch.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check only; store and send nothing.")
@config_option
@json_option
@example(
    """silenthit watch import watches.toml

  [[watch]]
  label = "Blue Heron 1"
  legal_basis = "Probable cause affidavit of SA Reyes, 2026-10-02"
  [[watch.subject]]
  surname = "Doe"
  given = "John"
  birth_dates = ["1980-01-02"]
  identifiers = [{kind = "plate", value = "AB12345", issuer = "CT"}]"""
)
def import_command(*, files: tuple[Path, ...], dry_run: bool, config: Path, as_json: bool) -> None:
    """Add the watches of these files. A faulty one is reported and the others go through."""
    with opened(config) as ours:
        written = [(path, n, each) for path in files for n, each in _numbered(path)]
        watches, faults = _read_all(ours, written)
        added = [] if dry_run else _add(ours, watches)
        delivered = None if dry_run else delivered_or_error(ours)
    if as_json:
        ids = [watch_id.hex() for watch_id in added]
        print_json({"added": ids, "accepted": len(watches), "faults": faults})
    else:
        for fault in faults:
            click.echo(f"error: {fault}", err=True)
        done = "would be added" if dry_run else "added"
        click.echo(f"{len(watches)} watches {done}, {len(faults)} refused")
    end_with(delivered)
    if faults:
        raise InputError(f"expected {len(written)} watches in order, got {len(faults)} refused")


def _numbered(path: Path) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(read_watch_file(path), start=1))


def _read_all(
    ours: Partner, written: Sequence[tuple[Path, int, dict[str, Any]]]
) -> tuple[list[Watch], list[str]]:
    watches, faults = [], []
    for path, number, each in written:
        try:
            found = read_watch(watch_fields(each), ours.now())
            ours.check_channels(found.deliver_to)
            watches.append(found)
        except SilentHitError as error:
            faults.append(f"{path}, watch {number}: {error}")
    return watches, faults


@watch.command("list")
@click.option("--removed", is_flag=True, help="Removed and expired ones too.")
@click.option("--search", default="", metavar="TEXT", help="In label or case number, any case.")
@click.option("--limit", type=click.IntRange(1, MOST_LISTED), help="Default: 100, JSON 10,000.")
@config_option
@json_option
@example("silenthit watch list --search heron")
def list_command(
    *, removed: bool, search: str, limit: int | None, config: Path, as_json: bool
) -> None:
    """List the watches, the newest first."""
    most = limit or (MOST_LISTED if as_json else _MOST_SHOWN)
    with opened(config) as ours:
        found = listed(ours.vault, removed=removed, search=search, limit=most)
        every = count_watches(ours.vault, removed=removed)
    if as_json:
        print_json([watch_fields_shown(each) for each in found])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "label", "case", "subjects", "kinds", "state", "expires"):
        table.add_column(title, no_wrap=title in {"id", "state", "expires"})
    for each in found:
        table.add_row(
            each.watch_id.hex()[:8],
            each.watch.label,
            each.watch.case_number,
            str(len(each.watch.subjects)),
            ", ".join(each.watch.kinds) or "all",
            each.state,
            f"{each.watch.expires_at:%Y-%m-%d} ({_days_left(each)})",
        )
    Console().print(table if found else "No watches. Place one with `silenthit watch add`.")
    if len(found) == most < every and not search:
        click.echo(f"{every - most} more; see --search and --limit")


def _days_left(each: Listed) -> str:
    left = (each.watch.expires_at - datetime.now(UTC)).days
    return f"{left} days" if left >= 0 else "expired: renew it"


def watch_fields_shown(each: Listed) -> dict[str, Any]:
    """Return a watch for `--json`, without its subjects."""
    return {
        "watch_id": each.watch_id.hex(),
        "label": each.watch.label,
        "case_number": each.watch.case_number,
        "state": each.state,
        "registrations": len(each.states),
        "kinds": list(each.watch.kinds),
        "deliver_to": list(each.watch.deliver_to),
        "created_at": iso(each.created_at),
        "expires_at": iso(each.watch.expires_at),
        "removed_at": iso(each.removed_at) if each.removed_at else None,
    }


@watch.command()
@click.argument("name", metavar="ID|LABEL")
@config_option
@json_option
@example("silenthit watch show 3f9a")
def show(*, name: str, config: Path, as_json: bool) -> None:
    """Show a watch with its subjects, in plaintext."""
    with opened(config) as ours:
        found = watch_named(ours.vault, name)
        with ours.vault.write() as into:
            write_down(into, found.watch_id, "viewed", Event(who=user()), ours.now())
    plain = found.watch.model_dump(mode="json")
    if as_json:
        print_json({**watch_fields_shown(found), **plain})
        return
    Console().print_json(data={**watch_fields_shown(found), **plain})
