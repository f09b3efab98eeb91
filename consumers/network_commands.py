"""`silenthit network`: one's own opened alerts as a picture, or as a file for other tools."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import rich_click as click

from consumers.associations import WARNING
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.history import Event, write_down
from consumers.network import Network, network_of, sightings
from consumers.watch_list import watch_named
from silenthit.errors import InputError

_MANY = 1000  # nodes
_FORMATS = (".html", ".graphml", ".csv")


@click.command()
@click.argument("name", metavar="WATCH")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="A new file: .html is the picture, .graphml and .csv are for other tools.",
)
@click.option(
    "--stix", is_flag=True, help="Write a STIX 2.1 bundle to the file, whatever its name."
)
@click.option("--discarded", is_flag=True, help="With the alerts that triage discarded.")
@config_option
@json_option
@example("silenthit network 3f9a --out heron.html\nsilenthit network 3f9a --stix --out heron.json")
def network(
    *, name: str, out: Path, stix: bool, discarded: bool, config: Path, as_json: bool
) -> None:
    """Draw who and what the alerts of a watch, and of what was followed from it, show together.

    The page needs no network and asks none. People can be shown to be connected without being
    associates, friends or partners in anything: it says so, on paper too.
    """
    written = _writer(out, stix=stix)
    with opened(config) as ours:
        found = watch_named(ours.vault, name)
        kind = "STIX 2.1" if stix else out.suffix[1:]
        with ours.vault.write() as into:
            seen = list(sightings(into, found.watch_id, discarded=discarded))
            drawn = network_of(found.watch.label, seen)
            text = f"its network as {kind}, {len(seen)} records"
            write_down(into, found.watch_id, "exported", Event(who=ours.who, text=text), ours.now())
        if len(drawn.nodes) >= _MANY:
            click.echo(f"placing {len(drawn.nodes)} nodes, which takes a while …", err=True)
        content = written(drawn)
    _write(out, content)
    if as_json:
        counts = {"nodes": len(drawn.nodes), "links": len(drawn.links), "records": len(seen)}
        print_json({"file": str(out), **counts, "warning": WARNING})
    else:
        click.echo(f"{out}: {len(drawn.nodes)} nodes, {len(drawn.links)} links")
        click.echo(WARNING)


def _writer(out: Path, *, stix: bool) -> Callable[[Network], str]:
    """Return what makes the file's content. Raises InputError for a form that there is not."""
    if out.exists():
        raise InputError(f"expected a new file, got {out}, which is there already")
    if stix:
        from consumers.network_stix import bundle  # noqa: PLC0415 takes long to load

        return bundle
    if out.suffix == ".html":
        from consumers.network_page import page  # noqa: PLC0415 the same

        return page
    if out.suffix not in _FORMATS:
        raise InputError(
            f"expected a file that ends in {', '.join(_FORMATS)}, got {out.name}; name it so, or "
            "add --stix"
        )
    from consumers.network_files import as_csv, as_graphml  # noqa: PLC0415 the same

    return as_csv if out.suffix == ".csv" else as_graphml


def _write(path: Path, content: str) -> None:
    """Write a new file that its owner alone may read. Raises InputError if it is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"expected a new file, got {path}, which is there already") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(content)
