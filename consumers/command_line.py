"""What the partner's commands share: options, who is at the keyboard, and how they print."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import cleandoc
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
from click.termui import prompt
from click.utils import get_text_stream

from consumers.partner import Partner, open_partner
from consumers.roles import COMMANDS, Right
from consumers.settings import PartnerSettings
from consumers.users import read_key_file, sign_in
from silenthit.errors import RefusedError

F = TypeVar("F", bound=Callable[..., Any])
_WHO, _KEY_FILE = "consumers.who", "consumers.key_file"
USER_KEY = "SILENTHIT_USER_KEY"


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _option: click.Parameter, value: Any) -> None:
        ctx.meta[name] = value

    return keep


def config_option(function: F) -> F:
    """Add --config, and who does it: --as and --key-file, which `opened` reads."""
    decorate: list[Callable[[Any], Any]] = [
        click.option(
            "--config",
            type=click.Path(dir_okay=False, path_type=Path),
            default=Path("partner.toml"),
            show_default=True,
            envvar="SILENTHIT_PARTNER",
            help="The partner's configuration.",
        ),
        click.option(
            "--as",
            metavar="NAME",
            help="Who does it. Default: SILENTHIT_USER, `user` of partner.toml, the login name.",
            expose_value=False,
            callback=_remember(_WHO),
        ),
        click.option(
            "--key-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            envvar=USER_KEY,
            help="What proves it. Default: NAME.key in keys/users; else a passphrase is asked for.",
            expose_value=False,
            callback=_remember(_KEY_FILE),
        ),
    ]
    decorated: Any = function
    for each in reversed(decorate):
        decorated = each(decorated)
    wrapped: F = decorated
    return wrapped


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def example(text: str) -> Callable[[F], F]:
    """Add an example to a command's help."""

    def add(function: F) -> F:
        shown = "\n".join(f"  {line}" for line in text.strip().splitlines())
        function.__doc__ = f"{cleandoc(function.__doc__ or '')}\n\n\b\nExample:\n{shown}\n"
        return function

    return add


@contextmanager
def opened(config: Path, *, calls: bool = True) -> Iterator[Partner]:
    """Open the partner for one command, as whoever is signed in.

    A command that needs nobody (`roles.COMMANDS`) runs as a process of the partner's own. `calls`:
    see `open_partner`. Raises RefusedError when they cannot prove it or may not do this.
    """
    partner = open_partner(config, calls=calls)
    right = COMMANDS.get(_command(), Right.MANAGE)
    try:
        if right is not None:
            actor = sign_in(partner.vault, *_claimed(partner.settings))
            actor.need(right)
            partner = replace(partner, vault=partner.vault.as_actor(actor))
        yield partner
    finally:
        partner.vault.close()


def _command() -> str:
    """The words of the command that runs, without the program's own name."""
    words: list[str] = []
    ctx: click.Context | None = click.get_current_context()
    while ctx is not None and ctx.parent is not None:
        words.append(ctx.info_name or "")
        ctx = ctx.parent
    return " ".join(reversed(words))


def user_name(settings: PartnerSettings) -> str:
    """Who says to be at the keyboard."""
    return _given(_WHO) or settings.user or getpass.getuser()


def _given(name: str) -> Any:
    ctx: click.Context | None = click.get_current_context(silent=True)
    return ctx.meta.get(name) if ctx else None


def _claimed(settings: PartnerSettings) -> tuple[str, bytes]:
    """Return who it is said to be, and their secret."""
    name = user_name(settings)
    file = _given(_KEY_FILE) or settings.user_keys / f"{name}.key"
    try:
        return name, read_key_file(file)
    except FileNotFoundError:
        pass
    except PermissionError:
        raise RefusedError(
            f"expected {name}'s key file to be readable, got another user's; name yourself with "
            "--as, and your own file with --key-file"
        ) from None
    if not at_a_terminal():
        raise RefusedError(
            f"expected a key file of {name}, got none in {settings.user_keys}; name yourself with "
            f"--as and the file with --key-file or {USER_KEY}, or sign in at a terminal"
        )
    return name, prompt(f"Passphrase of {name}", hide_input=True).encode()


def at_a_terminal() -> bool:
    """Whether somebody is there to answer."""
    return get_text_stream("stdin").isatty()


def print_json(content: Any) -> None:
    """Print one JSON value on a line of its own."""
    click.echo(json.dumps(content, ensure_ascii=False, default=str))
