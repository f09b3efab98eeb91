"""`silenthit publish`: let others find you by a subject you name; list and withdraw that."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import rich_click as click

from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.history import Event, write_down
from consumers.publications import DEFAULT_DAYS, Published, listed, withdraw
from consumers.publications import publish as place
from consumers.sending import delivered_or_error, end_with
from schemas.parts import ContactCard
from silenthit.subject_options import read_subject, subject_options


@click.group()
def publish() -> None:
    """Let others find you by a subject that you name; a watch never does.

    Example: silenthit publish list --config fbi/partner.toml
    """


@publish.command()
@subject_options
@click.option("--cover", help="Name that is shown as the organisation. Default: the partner's own.")
@click.option("--contact", "name", default="", help="Whom to ask for.")
@click.option("--call", default="", help="Number to call.")
@click.option("--write", default="", help="E-mail address to write to.")
@click.option("--case-label", default="", help="What to mention; say nothing of the subject.")
@click.option("--days", type=click.IntRange(1, 366), default=DEFAULT_DAYS, show_default=True)
@config_option
@json_option
@example(
    'silenthit publish contact --cover "Task Force 7" --contact "Desk" --call 203-555-0100 \\\n'
    "    --surname Doe --given John --birth-date 1980-01-02 --days 30"
)
def contact(
    *,
    cover: str | None,
    name: str,
    call: str,
    write: str,
    case_label: str,
    days: int,
    config: Path,
    as_json: bool,
    **subject: Any,
) -> None:
    """Let whoever looks this subject up find you: "ask me about this person".

    Everybody on the exchange who knows one of the identifiers can read the card, and so learns
    that somebody is interested. It ends by itself after --days.
    """
    with opened(config) as ours, ours.blinding() as blinding:
        published = Published(
            subject=read_subject(subject),
            card=ContactCard(
                ori="",
                agency=cover or ours.settings.name,
                name=name,
                phone=call,
                email=write,
                case_number=case_label,
            ),
            expires_at=ours.now() + timedelta(days=days),
        )
        with ours.vault.write() as into:
            made = place(
                into,
                published,
                epochs=blinding.epochs().watchable,
                prf=blinding.prf,
                now=ours.now(),
            )
            write_down(into, made, "published", Event(who=ours.who), ours.now())
        delivered = delivered_or_error(ours)
    if as_json:
        print_json({"publication_id": made.hex()})
    else:
        click.echo(f"publication {made.hex()[:8]}, shown as {published.card.agency}")
    end_with(delivered)


@publish.command("list")
@config_option
@json_option
@example("silenthit publish list --config fbi/partner.toml")
def list_command(*, config: Path, as_json: bool) -> None:
    """List what others can find of you now."""
    with opened(config) as ours, ours.vault.read() as rows:
        found = listed(rows)
    if as_json:
        print_json(found)
        return
    for each in found:
        state = "" if each["sent"] else "  (not sent yet)"
        short, until = each["publication_id"][:8], each["expires_at"][:10]
        click.echo(f"{short}  {each['shown_as']}  {each['case_label']}  until {until}{state}")


@publish.command("withdraw")
@click.argument("publication")
@config_option
@example("silenthit publish withdraw 1f0c --config fbi/partner.toml")
def withdraw_command(*, publication: str, config: Path) -> None:
    """Take a publication back, by the beginning of its id."""
    with opened(config) as ours:
        with ours.vault.write() as into:
            gone = withdraw(into, publication)
            write_down(into, gone, "withdrawn", Event(who=ours.who), ours.now())
        delivered = delivered_or_error(ours)
    click.echo(f"publication {gone.hex()[:8]} withdrawn")
    end_with(delivered)
