"""The `silenthit` command: one root, whose groups are loaded only when they are used.

    $ silenthit watch list --config partner/partner.toml

A group's one-line help stands here, so that `silenthit --help` imports no zone.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any

import rich_click as click
from click.exceptions import Exit

from silenthit.errors import SilentHitError
from silenthit.lazy import LazyGroup

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
INTERNAL_ERROR = 70  # sysexits.h EX_SOFTWARE
TRACEBACK = "SILENTHIT_TRACEBACK"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Where a command lives, its line in the help, and the extra that brings what it imports."""

    module: str
    attribute: str
    help: str
    extra: str


ENTRIES: dict[str, Entry] = {
    "agency": Entry(
        module="producers.cli",
        attribute="agency",
        help="Turn an agency's own records into touches and publish them.",
        extra="agency",
    ),
    "keyholder": Entry(
        module="key_holder.cli",
        attribute="keyholder",
        help="Hold the token secrets and evaluate blinded match keys.",
        extra="keyholder",
    ),
    "exchange": Entry(
        module="stream_processors.cli",
        attribute="exchange",
        help="Run the blind exchange: topics, enrolment, workers.",
        extra="exchange",
    ),
    "partner": Entry(
        module="consumers.cli",
        attribute="partner",
        help="Set up a partner: vault, keys, the agencies it trusts.",
        extra="partner",
    ),
    "watch": Entry(
        module="consumers.watch_cli",
        attribute="watch",
        help="Place, list and remove private watches.",
        extra="partner",
    ),
    "alerts": Entry(
        module="consumers.cli",
        attribute="alerts",
        help="Receive, read and follow silent alerts.",
        extra="partner",
    ),
    "lookup": Entry(
        module="consumers.cli",
        attribute="lookup",
        help="Ask, silently, who has touched a subject and whom to call.",
        extra="partner",
    ),
    "deconflictions": Entry(
        module="consumers.cli",
        attribute="deconflictions",
        help="See who else watches the same, where both agreed.",
        extra="partner",
    ),
    "network": Entry(
        module="consumers.cli",
        attribute="network",
        help="Draw who and what a watch's alerts show together.",
        extra="partner",
    ),
    "publish": Entry(
        module="consumers.cli",
        attribute="publish",
        help="Let others find you by a subject that you name.",
        extra="partner",
    ),
    "protocol": Entry(
        module="consumers.cli",
        attribute="protocol",
        help="Check the call tree, and explain whom it would call.",
        extra="partner",
    ),
    "coverage": Entry(
        module="consumers.cli",
        attribute="coverage",
        help="Show which agencies' touches come through.",
        extra="partner",
    ),
    "demo": Entry(
        module="silenthit.demo",
        attribute="demo",
        help="Run the whole way on this machine, with invented records.",
        extra="demo",
    ),
}


# One distribution brings all of these, whatever its extras.
OURS = {"silenthit", "schemas"} | {entry.module.partition(".")[0] for entry in ENTRIES.values()}


def load(name: str) -> click.Command:
    """Import the command of this name."""
    entry = ENTRIES[name]
    module = importlib.import_module(entry.module)
    command: click.Command = getattr(module, entry.attribute)
    return command


class Root(click.RichGroup):
    """The root group: help from `ENTRIES`, the command itself only once it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        """Return the names in the order of the pipeline."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's signature
        """Return what the help shows of a command, without loading it."""
        entry = ENTRIES.get(cmd_name)
        return click.RichCommand(name=cmd_name, help=entry.help) if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Replace the placeholder by the command, now that it will run."""
        name, command, rest = super().resolve_command(ctx, args)
        if not name or command is None:
            return name, command, rest
        ctx.invoked_subcommand = name
        loaded = load(name)
        if not isinstance(loaded, LazyGroup):
            from silenthit.logs import configure_logs

            # Long-running commands ask for more; standard output is the command's own.
            configure_logs("WARNING")
        return name, loaded, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error becomes one line on standard error and an exit code."""
        try:
            return super().invoke(ctx)
        except SilentHitError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except ModuleNotFoundError as error:
            ours = (error.name or "").partition(".")[0] in OURS
            text = _internal_error if ours else partial(_not_installed, ctx.invoked_subcommand)
            click.echo(text(error), err=True)
            ctx.exit(INTERNAL_ERROR if ours else SilentHitError.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except (click.ClickException, Exit, click.Abort, BrokenPipeError):
            raise
        except OSError as error:
            place = error.filename or "the system"
            click.echo(f"error: expected to use {place}, got: {error.strerror or error}", err=True)
            ctx.exit(SilentHitError.exit_code)
        except Exception as error:  # noqa: BLE001 the last line of defence
            click.echo(_internal_error(error), err=True)
            ctx.exit(INTERNAL_ERROR)


def _not_installed(command: str | None, error: ModuleNotFoundError) -> str:
    extra = ENTRIES[command].extra if command in ENTRIES else "demo"
    return (
        f"error: expected the module {error.name} for `silenthit {command}`, got none; "
        f"run `pip install 'silenthit[{extra}]'`"
    )


def _internal_error(error: Exception) -> str:
    """Say where it broke, not what it said: the text of an exception may quote subject data."""
    if os.environ.get(TRACEBACK):
        return "".join(traceback.format_exception(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"error: {type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}; "  # noqa: PTH119 a name only
        f"this is a bug. {TRACEBACK}=1 shows the traceback, which may quote subject data"
    )


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="silenthit", prog_name="silenthit")
def root() -> None:
    """Local police contacts reach the investigators who watch for them, and nobody else.

    Begin with: silenthit demo
    """


def main() -> None:
    """Entry point of the console script."""
    root.main(args=sys.argv[1:], prog_name="silenthit")
