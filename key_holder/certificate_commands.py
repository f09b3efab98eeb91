"""The commands about certificates, such as `silenthit keyholder certify` and `revoke`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import rich_click as click
from cryptography import x509

from key_holder import registry
from key_holder.command_line import FILE, FOLDER, as_json, with_config
from key_holder.database import open_book, transaction
from key_holder.settings import load_config
from key_holder.setup import certify as certify_organisation
from key_holder.setup import put_on_record, renew_certificate
from silenthit.errors import InputError


@click.command()
@click.argument("organisation")
@with_config
@click.option("--out", type=FOLDER, required=True, help="Where the bundle goes.")
@click.option("--csr", type=FILE, help="Sign this request; the key stays with the organisation.")
@click.option("--days", type=float, default=397, show_default=True)
@click.option("--url", help="Where this organisation reaches the key holder, if elsewhere.")
def certify(  # noqa: PLR0917 click passes options by name
    organisation: str, config: Path, out: Path, csr: Path | None, days: float, url: str | None
) -> None:
    """Issue ORGANISATION's client certificate and write its bundle.

    Example: silenthit keyholder certify MASF00100 --config holder/keyholder.toml --out bundle
    """
    bundle = certify_organisation(
        load_config(config), organisation, out, csr=csr, valid=timedelta(days=days), url=url
    )
    click.echo(f"wrote {bundle}; the folder is a secret of {organisation}")


@click.command()
@with_config
def renew(config: Path) -> None:
    """Issue the service's own certificate anew, before it expires; then restart the service.

    Example: silenthit keyholder renew --config holder/keyholder.toml
    """
    click.echo(f"valid until {renew_certificate(load_config(config)):%Y-%m-%d}; restart `serve`")


@click.command()
@click.argument("certificate", type=FILE)
@with_config
def register(certificate: Path, config: Path) -> None:
    """Put a certificate that another authority issued on record, so that its holder may ask.

    Example: silenthit keyholder register masf00100.crt --config holder/keyholder.toml
    """
    try:
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        raise InputError(f"expected a PEM certificate in {certificate}, got none") from None
    put_on_record(open_book(load_config(config).database), parsed)
    click.echo("on record")


@click.command()
@click.argument("name")
@with_config
def revoke(name: str, config: Path) -> None:
    """Revoke a certificate by its serial, or all of an organisation; at once.

    Example: silenthit keyholder revoke MASF00100 --config holder/keyholder.toml
    """
    book = open_book(load_config(config).database)
    with transaction(book):
        serials = registry.revoke(book, name, time.time())
    click.echo(f"revoked {', '.join(serials)}")


@click.command()
@with_config
@as_json
def certificates(*, config: Path, machine: bool) -> None:
    """List the certificates on record.

    Example: silenthit keyholder certificates --config holder/keyholder.toml
    """
    now = time.time()
    found_ones = registry.issued(open_book(load_config(config).database))
    rows = [
        {
            "organisation": each.organisation,
            "serial": each.serial,
            "until": datetime.fromtimestamp(each.not_after, UTC).isoformat(timespec="seconds"),
            "state": "revoked"
            if each.revoked_at is not None
            else ("expired" if each.not_after <= now else "in force"),
        }
        for each in found_ones
    ]
    for row in rows if not machine else ():
        click.echo(f"{row['organisation']:20} {row['state']:9} {row['until']}  {row['serial']}")
    if machine:
        click.echo(json.dumps(rows))
