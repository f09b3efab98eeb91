"""Commands that bring organisations to the brokers, and end what they may do there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from stream_processors.brokers.onboarding import Brokers
    from stream_processors.settings import ExchangeSettings

CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="exchange.toml",
    show_default=True,
    help="The exchange's configuration, with the operator's own access.",
)
ROLES = {"agency": "agency", "partner": "partner", "auditor": "auditor"}
ROLES |= {"worker": "match", "answer": "answer"}
ROLE = click.option("--role", type=click.Choice(list(ROLES)), required=True, help="What it is.")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--host", "hosts", multiple=True, required=True, help="A broker's name or address.")
@click.option("--bootstrap", required=True, help="Agency bus, host:port of its TLS listener.")
@click.option("--partner-bootstrap", help="Partner bus.  [default: the agency bus]")
def authority(
    folder: Path, hosts: tuple[str, ...], bootstrap: str, partner_bootstrap: str | None
) -> None:
    """Make a development authority in FOLDER, the brokers' certificate and the operator's access.

    FOLDER/broker.properties holds what each broker's server.properties needs to check who asks and
    what it may. In production an authority that you run already signs instead.

    Example: silenthit exchange authority authority --host kafka1 --bootstrap kafka1:9093
    """
    from stream_processors.brokers.security import found

    operator = found(folder, hosts, bootstrap, partner_bootstrap or bootstrap)
    click.echo(f"for each broker       {folder / 'broker.properties'}")
    click.echo(f"the operator, SECRET  {operator}  (silenthit exchange init --bus)")


@click.command()
@click.argument("organisation")
@ROLE
@CONFIG
@click.option("--name", "full_name", default="", help="An agency's name, as operators read it.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to hand over.")
@click.option("--days", default=365, show_default=True, help="How long its certificate is valid.")
@click.option(
    "--csr",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its signing request (P-256): its key stays with it.",
)
@click.option("--password", is_flag=True, help="SASL/SCRAM instead of a certificate.")
@click.option("--replication", type=int, help="Copies of its topics.  [default: the brokers']")
@click.option(
    "--touches-per-s",
    type=click.FloatRange(min=0, min_open=True),
    help="What an agency may send at most: five times what it sends.  [default: 50, or as it was]",
)
def onboard(  # noqa: PLR0917 click passes options by name
    organisation: str,
    role: str,
    config: Path,
    full_name: str,
    out: Path | None,
    days: int,
    csr: Path | None,
    password: bool,
    replication: int | None,
    touches_per_s: float | None,
) -> None:
    """Bring ORGANISATION to the brokers: proof, topics, rights, quotas, and one file to hand over.

    An agency is named by its ORI. Once more makes a new certificate; the rights stay the same.

    Example: silenthit exchange onboard MASF00100 --role agency --name "Safford PD"
    """
    from datetime import timedelta

    from schemas.topics import Role
    from silenthit.bus.admin import BROKERS_CHOICE
    from stream_processors.brokers.onboarding import principal_of
    from stream_processors.brokers.sender_keys import enrolled

    settings, brokers = _operator(config)
    principal = principal_of(Role(ROLES[role]), organisation)
    target = out or Path(f"{principal.common_name}.toml")
    _refuse_existing(target)
    proof = (
        brokers.with_password(principal)
        if password
        else brokers.certified(principal, timedelta(days=days), csr)
    )
    made = brokers.admit(principal, proof, replication or BROKERS_CHOICE, touches_per_s)
    made = enrolled(settings.organisations, made, organisation, full_name)
    if principal.role is Role.PARTNER:
        _have_watch_key(settings)
        made = made.model_copy(update={"deconfliction": settings.public_deconfliction_key()})
    made.save(target)
    click.echo(f"hand over, SECRET: {target}; then delete it here")


@click.command()
@click.argument("organisation")
@ROLE
@CONFIG
def offboard(organisation: str, role: str, config: Path) -> None:
    """End what ORGANISATION may do: rights, password, sender keys; a partner's watches leave.

    Example: silenthit exchange offboard fbi-boston --role partner
    """
    from schemas.topics import Role
    from stream_processors.brokers.onboarding import principal_of
    from stream_processors.brokers.sender_keys import struck_off

    settings, brokers = _operator(config)
    principal = principal_of(Role(ROLES[role]), organisation)
    if principal.role is not Role.PARTNER:
        # Also while a broker is away nothing more is taken that it signs.
        struck_off(settings.organisations, principal, organisation)
    brokers.dismiss(principal)
    struck_off(settings.organisations, principal, organisation)
    click.echo(f"{principal.common_name} may do nothing at the brokers any more")


@click.command("audit-acls")
@CONFIG
def audit_acls(config: Path) -> None:
    """Compare the rights at the live brokers with the table of topics; exit 1 when they differ.

    Example: silenthit exchange audit-acls --config exchange.toml
    """
    from stream_processors.brokers.onboarding import differences
    from stream_processors.brokers.sender_keys import principals

    settings, brokers = _operator(config)
    known = principals(settings.organisations)
    lines = []
    for bus, (missing, extra) in differences(brokers, known).items():
        lines += [f"{bus.value}: missing   {right}" for right in sorted(missing)]
        lines += [f"{bus.value}: too much  {right}" for right in sorted(extra)]
    click.echo("\n".join(lines) or f"{len(known)} principals have exactly the rights of the table")
    raise SystemExit(1 if lines else 0)


@click.command("rotate-sender")
@click.argument("ori")
@CONFIG
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to hand over.")
def rotate_sender(ori: str, config: Path, out: Path | None) -> None:
    """Make a new sender key for the agency ORI; its older ones stay good until revoked.

    Example: silenthit exchange rotate-sender MASF00100
    """
    from stream_processors.brokers.sender_keys import rotated

    target = out or Path(f"sender.{ori.lower()}.json")
    _refuse_existing(target)
    key_id = rotated(_load(config).organisations, ori, target)
    click.echo(f"{key_id}: hand over, SECRET: {target}; then delete it here")


@click.command("revoke-sender")
@click.argument("key_id")
@CONFIG
def revoke_sender(key_id: str, config: Path) -> None:
    """Refuse from now on what is signed with this sender KEY_ID.

    Example: silenthit exchange revoke-sender MASF00100#1
    """
    from stream_processors.brokers.sender_keys import revoked

    revoked(_load(config).organisations, key_id)
    click.echo(f"{key_id} is revoked; workers notice within two seconds")


ONBOARDING_COMMANDS = (authority, onboard, offboard, audit_acls, rotate_sender, revoke_sender)


def _load(config: Path) -> ExchangeSettings:
    from silenthit.settings import load_toml
    from stream_processors.settings import ExchangeSettings

    return load_toml(config, ExchangeSettings)


def _operator(config: Path) -> tuple[ExchangeSettings, Brokers]:
    from silenthit.certificates import Authority
    from stream_processors.brokers.onboarding import Brokers

    settings = _load(config)
    folder = settings.authority
    authority = Authority.load(folder / "ca.crt", folder / "ca.key")
    return settings, Brokers(buses=settings.bus, authority=authority)


def _have_watch_key(settings: ExchangeSettings) -> None:
    """Make the first key that watches are sealed to, where an older exchange has none."""
    from stream_processors.watch_keys import WatchKeys, make_watch_key

    if not WatchKeys(settings.watch_keys):
        made = make_watch_key(settings.watch_keys)
        click.echo(f"made {made.path}, SECRET: copy it to every matching worker")


def _refuse_existing(target: Path) -> None:
    """Refuse before anything is changed."""
    from silenthit.errors import InputError

    if target.exists():
        raise InputError(f"expected no file at {target}, got one; name another with --out")
