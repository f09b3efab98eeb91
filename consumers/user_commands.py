"""`silenthit partner user`: the people of a partner, and what each may do."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click.termui import prompt
from rich.console import Console
from rich.table import Table

from consumers import users
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.partner import Partner
from consumers.roles import Role
from consumers.times import iso
from consumers.users import User

ROLES = [role.value for role in Role]


@click.group("user")
def user_group() -> None:
    """Add people, and say what each may do.

    Example: silenthit partner user add okafor --role analyst --config fbi/partner.toml
    """


def ask_passphrase(name: str) -> bytes:
    """Ask for a new passphrase, twice. Raises InputError when it is too short."""
    text = prompt(f"New passphrase of {name}", hide_input=True, confirmation_prompt=True)
    return users.check_passphrase(text)


_passphrase = click.option(
    "--passphrase", is_flag=True, help="Ask for theirs, instead of making a key file."
)
_new_key = click.option(
    "--new-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write their key file. Default: NAME.key in keys/users.",
)


@user_group.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(ROLES))
@_passphrase
@_new_key
@config_option
@json_option
@example("silenthit partner user add okafor --role analyst --new-key /media/usb/okafor.key")
def add(
    *, name: str, role: str, passphrase: bool, new_key: Path | None, config: Path, as_json: bool
) -> None:
    """Add somebody. Give them their key file, and keep no copy: it is what proves who they are."""
    with opened(config, calls=False) as ours:
        with ours.vault.read() as rows:
            users.check_new(rows, name)
        secret, file = _secret(ours, name, new_key, passphrase=passphrase)
        with ours.vault.write() as into:
            users.add_user(into, name, Role(role), secret, ours.now())
    if as_json:
        print_json({"user": name, "role": role, "key_file": file})
    else:
        click.echo(f"{name} is {role}" + (f", with the key file {file}" if file else ""))


def _secret(
    ours: Partner, name: str, new_key: Path | None, *, passphrase: bool
) -> tuple[bytes, Path | None]:
    if passphrase:
        return ask_passphrase(name), None
    file = new_key or ours.settings.user_keys / f"{name}.key"
    return users.write_key_file(file), file


@user_group.command("key")
@click.argument("name")
@_passphrase
@_new_key
@config_option
@example("silenthit partner user key okafor --new-key /media/usb/okafor-2.key")
def key_command(*, name: str, passphrase: bool, new_key: Path | None, config: Path) -> None:
    """Give somebody a new key file or passphrase; the old one is void. Also lets a disabled one in.

    Have two supervisors: nobody else can do this for the only one.
    """
    with opened(config, calls=False) as ours:
        with ours.vault.read() as rows:
            users.user_named(rows, name)
        secret, file = _secret(ours, name, new_key, passphrase=passphrase)
        with ours.vault.write() as into:
            users.replace_secret(into, name, secret, ours.now())
    click.echo(f"{name} has a new key" + (f", {file}" if file else ""))


@user_group.command("list")
@config_option
@json_option
@example("silenthit partner user list")
def list_command(*, config: Path, as_json: bool) -> None:
    """List the people."""
    with opened(config, calls=False) as ours, ours.vault.read() as rows:
        found = users.users(rows)
    if as_json:
        print_json([_shown(each) for each in found])
        return
    table = Table("name", "role", "since", "state", box=None, pad_edge=False)
    for each in found:
        state = f"disabled {each.disabled_at:%Y-%m-%d}" if each.disabled_at else "active"
        table.add_row(each.name, each.role.value, f"{each.created_at:%Y-%m-%d}", state)
    Console().print(table)


def _shown(each: User) -> dict[str, str | None]:
    return {
        "name": each.name,
        "role": each.role.value,
        "created_at": iso(each.created_at),
        "disabled_at": iso(each.disabled_at) if each.disabled_at else None,
    }


@user_group.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
@config_option
@example("silenthit partner user role okafor supervisor")
def role_command(*, name: str, role: str, config: Path) -> None:
    """Give somebody another role."""
    with opened(config, calls=False) as ours, ours.vault.write() as into:
        users.set_role(into, name, Role(role), ours.now())
    click.echo(f"{name} is {role}")


@user_group.command("disable")
@click.argument("name")
@config_option
@example("silenthit partner user disable okafor")
def disable_command(*, name: str, config: Path) -> None:
    """Let somebody sign in no more. What they did stays in the log."""
    with opened(config, calls=False) as ours, ours.vault.write() as into:
        users.disable(into, name, ours.now())
    click.echo(f"{name} is disabled")
