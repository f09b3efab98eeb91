"""`silenthit partner disclosure-key | disclose`: the record of what this partner was told."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import rich_click as click

from consumers.command_line import config_option, example, opened, user_name
from consumers.disclosing import Own, disclose, disclosure_key, own_entries
from consumers.times import to_ms
from silenthit.blinding.disclosure_key import DisclosureKey
from silenthit.errors import InputError

_NEW = click.Path(dir_okay=False, path_type=Path)


@click.command("disclosure-key")
@click.option("--out", type=_NEW, help="Write it to this file, for the exchange.")
@config_option
@example("silenthit partner disclosure-key --out fbi-boston.json")
def disclosure_key_command(*, out: Path | None, config: Path) -> None:
    """Show the public key that the exchange seals the record of your alerts to.

    Hand the file to the exchange, for `exchange enrol partner --disclosure-key`. The private key is
    made at the first call and stays in the vault; only what is told from then on opens with it.
    """
    with opened(config) as ours, ours.vault.write() as into:
        public = disclosure_key(into).public_key().public_bytes_raw().hex()
        content = DisclosureKey(partner=ours.settings.name, key=public).model_dump_json()
    if out is None:
        click.echo(content)
        return
    out.write_text(content + "\n", "utf-8")
    click.echo(f"{out} is for the exchange; nothing in it is secret")


@click.command("disclose")
@click.argument("listed", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=_NEW, required=True, help="A new file, for the auditor.")
@click.option("--to", "recipient", required=True, help="Who gets it.")
@click.option("--purpose", required=True, help="Why, such as a docket number.")
@click.option("--alert", "alerts", multiple=True, metavar="ID", help="Only of these alerts.")
@click.option("--since", type=click.DateTime(), help="UTC. Only what was told from then on.")
@click.option("--until", type=click.DateTime(), help="UTC. Only what was told before.")
@click.option("--all", "everything", is_flag=True, help="All that the list holds of yours.")
@config_option
@example(
    "silenthit partner disclose disclosures.jsonl --alert 3f9a1c20 --to 'D. Conn. 3:26-mc-9' \\\n"
    "    --purpose 'motion to suppress' --out fbi.jsonl"
)
def disclose_command(
    *,
    listed: Path,
    out: Path,
    recipient: str,
    purpose: str,
    alerts: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    everything: bool,
    config: Path,
) -> None:
    """Open your own entries of the auditor's LISTED record, so that they can be proven.

    LISTED is what `exchange disclosures list` printed. The file shows which of your watches met
    which records: choose with --alert, --since and --until. It is written down in your log first.
    """
    if not (alerts or since or until or everything):
        raise InputError("expected what to disclose, got no choice; give --alert, --since or --all")
    if out.exists():
        raise InputError(f"expected a new file, got {out}, which is there already")
    with opened(config) as ours:
        with ours.vault.write() as into, listed.open(encoding="utf-8") as lines:
            own = list(own_entries(lines, disclosure_key(into)))
            chosen = list(_chosen(own, alerts, since, until))
            if not chosen:
                raise InputError(
                    f"expected entries of yours, got {len(own)} and none chosen; what was told "
                    "before the exchange had your disclosure key opens for the court alone"
                )
            disclose(
                into,
                chosen,
                recipient=recipient,
                purpose=purpose,
                who=user_name(ours.settings),
                at=ours.vault.clock(),
            )
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(each.line) + "\n" for each in chosen)
    click.echo(f"{len(chosen)} of {len(own)} entries of yours are in {out}, for {recipient}")


def _chosen(
    own: list[Own], alerts: tuple[str, ...], since: datetime | None, until: datetime | None
) -> Iterator[Own]:
    begin = to_ms(since.replace(tzinfo=UTC)) if since else 0
    end = to_ms(until.replace(tzinfo=UTC)) if until else None
    wanted = tuple(each.lower() for each in alerts)
    for each in own:
        at = each.line["at"]
        if alerts and not (each.alert_id and each.alert_id.hex().startswith(wanted)):
            continue
        if begin <= at and (end is None or at < end):
            yield each
