"""`watch deconflict`, `deconflictions`: who else watches the same, where both want that known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.exchange_key import deconflicting, trust_exchange
from consumers.history import Event, write_down
from consumers.meeting_rows import listed, named
from consumers.partner import Partner
from consumers.placing import change_watch
from consumers.sending import delivered_or_error, end_with
from consumers.watch_commands import watch_fields_shown
from consumers.watch_list import Listed, watch_named
from consumers.watch_list import listed as watches_listed
from schemas.parts import ContactCard
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.errors import InputError, RefusedError


@click.command()
@click.argument("name", metavar="ID|LABEL")
@click.option("--on/--off", "willing", default=None, help="Whether others who agree may know.")
@click.option("--cover", help="Name shown as the organisation. Default: the partner's own.")
@click.option("--contact", default="", help="Whom to ask for.")
@click.option("--phone", default="", help="Number to call.")
@click.option("--email", default="", help="Address to write to.")
@click.option("--label", "case_label", default="", help="What to mention; nothing of the subject.")
@config_option
@json_option
@example(
    'silenthit watch deconflict 3f9a --on --contact "SA Reyes" --phone 203-555-0100 \\\n'
    '    --label "Blue Heron"\n'
    "silenthit watch deconflict 3f9a --off"
)
def deconflict(
    *,
    name: str,
    willing: bool | None,
    cover: str | None,
    contact: str,
    phone: str,
    email: str,
    case_label: str,
    config: Path,
    as_json: bool,
) -> None:
    """Let other partners who watch the same subject know, if they let you: both, or neither.

    What you show here is all that they see. It counts once the watch's legal basis is a day old.
    Whoever has not agreed, or does not watch the subject, learns nothing, not even that you did.
    """
    if willing is None:
        raise InputError("expected --on or --off, got neither; see --help")
    if willing and not (phone or email):
        raise InputError("expected a way to reach you, got none; give --phone or --email")
    with opened(config) as ours:
        before = watch_named(ours.vault, name)
        if willing and not before.watch.subjects:
            raise InputError(
                "expected a watch of a subject, got one of a place; partners are told of each "
                "other for people and things alone"
            )
        if willing and deconflicting(ours.vault).key is None:
            raise RefusedError(
                "expected the exchange's deconfliction key, got none; ask its operator for the "
                "file and run `silenthit partner trust-exchange FILE`"
            )
        card = ContactCard(
            ori="",
            agency=cover or ours.settings.name,
            name=contact,
            phone=phone,
            email=email,
            case_number=case_label,
        )
        _show(ours, before, card if willing else None)
        undelivered = delivered_or_error(ours)
        found = watch_named(ours.vault, before.watch_id.hex())
    if as_json:
        print_json({**watch_fields_shown(found), "deconflict": willing})
    else:
        click.echo(f"{found.watch.label}: {'shown to others who agree' if willing else 'silent'}")
    end_with(undelivered)


def _show(ours: Partner, before: Listed, card: ContactCard | None) -> None:
    watch = before.watch.model_copy(update={"shows": card})
    said = "off" if card is None else f"on, as {card.agency}"
    with ours.blinding() as blinding:
        change_watch(
            ours.vault,
            before,
            watch,
            partner=ours.settings.name,
            prf=blinding.prf,
            now=ours.now(),
            did=("deconflict", said),
        )


@click.command("trust-exchange")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@config_option
@json_option
@example("silenthit partner trust-exchange exchange-keys.json")
def trust_exchange_command(*, file: Path, config: Path, as_json: bool) -> None:
    """Take the exchange's public keys: what watches and the cards they show are sealed to.

    With another watch key than before every watch is sent again, sealed to it; with another
    deconfliction key those that show a card.
    """
    with opened(config) as ours:
        found = DeconflictionKey.load(file)
        with ours.vault.alone(), ours.vault.write() as into:
            again = trust_exchange(into, found)
            said = Event(who=ours.who, text=found.key[:16])
            write_down(into, b"", "exchange key", said, ours.now())
        showing = [each for each in watches_listed(ours.vault) if each.watch.shows is not None]
        for each in showing:
            _show(ours, each, each.watch.shows)
        undelivered = delivered_or_error(ours)
    if as_json:
        print_json({"key": found.key, "sealed_anew": len(showing), "sent_again": again})
    else:
        click.echo(f"deconfliction key {found.key[:16]}…, {len(showing)} cards sealed anew")
        click.echo(_watch_key_line(found, again))
    end_with(undelivered)


def _watch_key_line(found: DeconflictionKey, again: int) -> str:
    if found.watches is None:
        return "no watch key: ask the exchange's operator for one, watches go unsealed until then"
    return f"watch key         {found.watches[:16]}…, {again} watches sent again"


@click.group()
def deconflictions() -> None:
    """See who else watches a subject of yours, where both sides agreed to be told.

    Example: silenthit deconflictions list --config fbi/partner.toml
    """


@deconflictions.command("list")
@config_option
@json_option
@example("silenthit deconflictions list")
def list_command(*, config: Path, as_json: bool) -> None:
    """List whom your watches met, the newest first."""
    with opened(config, calls=False) as ours, ours.vault.read() as rows:
        found = listed(rows)
    if as_json:
        print_json(found)
        return
    for each in found:
        who = each["shown_as"] if each["opened"] else "a card that does not open"
        short, when = each["meeting_id"][:8], each["received_at"][:16].replace("T", " ")
        click.echo(f"{short}  {when}  {each['label']}  {who}  {each['case_label']}")
    if not found:
        click.echo("Nobody. To be told, agree on a watch: silenthit watch deconflict --help")


@deconflictions.command()
@click.argument("name", metavar="ID")
@config_option
@json_option
@example("silenthit deconflictions show 7c1e")
def show(*, name: str, config: Path, as_json: bool) -> None:
    """Show the card of somebody who watches the same, which of your watches, and since when."""
    with opened(config, calls=False) as ours, ours.vault.read() as rows:
        found = named(rows, name)
    if as_json:
        print_json(found)
        return
    for field, text in _told(found):
        click.echo(f"{field:<13}{text}")


def _told(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found["opened"]:
        return [
            ("your watch", found["label"]),
            ("their card", "does not open; ask the exchange's operator whose watch it is"),
        ]
    told = [
        ("they are", found["shown_as"]),
        ("ask for", found["name"]),
        ("call", found["phone"]),
        ("write to", found["email"]),
        ("mention", found["case_label"]),
        ("your watch", f"{found['label']} ({found['watch_id'][:8]})"),
        ("subjects", ", ".join(map(str, found["subjects"]))),
        ("matched by", ", ".join(found["match_kinds"])),
        ("told", found["received_at"]),
    ]
    return [(field, text) for field, text in told if text]
