"""`silenthit demo`: the whole way on one machine, every party a process of its own.

    $ silenthit demo
    $ silenthit demo --json
    {"touches": 75, "watches": 22, "alerts": 27, "expected_alerts": 27, "unexpected_alerts": 0, …}

It imports no zone: what the parties do, they do in processes, through their commands.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from silenthit.demo.outcome import Outcome
    from silenthit.demo.stage import Stage

DIFFERENT = 1  # exit code when the alerts are others than those expected


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--split-trust", is_flag=True, help="Two key holders, each with half of the secret.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leave every party's files and logs in this new folder.",
)
@click.option(
    "--samples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Other records, watches and expected alerts.  [default: samples/ of the repository]",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the last picture as SVG.",
)
def demo(
    *,
    as_json: bool,
    split_trust: bool,
    keep: Path | None,
    samples: Path | None,
    picture: Path | None,
) -> None:
    """Run agencies, exchange and partners here, on invented records, and show who sees what.

    Ends by itself, within a minute. Exit code 1 if the alerts are others than those worked out by
    hand in samples/expected_alerts.toml.

    Example: silenthit demo --json
    """
    from silenthit.demo.processes import Crew, Ending
    from silenthit.demo.samples import PARTNERS, find_samples
    from silenthit.demo.scene import Scene
    from silenthit.demo.stage import Stage

    scene = Scene(partners=PARTNERS, watches={})
    with ExitStack() as stack:
        ending = Ending()
        stack.enter_context(ending.heeded())
        folder = stack.enter_context(_folder(keep))
        crew = stack.enter_context(Crew(folder, ending))
        stack.callback(crew.stop)  # twice: a request to end may come just before the first
        stage = Stage(
            folder=folder,
            samples=(samples or find_samples()).resolve(),
            crew=crew,
            scene=scene,
            paced=not as_json and sys.stdout.isatty(),
            split_trust=split_trust,
        )
        outcome = _play(stage)
    if picture is not None:
        scene.save_svg(picture)
    _tell(outcome, as_json=as_json)
    sys.exit(0 if outcome.as_expected else DIFFERENT)


def _play(stage: Stage) -> Outcome:
    """Run the demo, on a live screen when somebody watches."""
    from rich.console import Console
    from rich.live import Live

    if not stage.paced:
        return stage.play()
    console = Console()
    stage.scene.height = console.height
    with Live(stage.scene, console=console, refresh_per_second=8):
        return stage.play()


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outcome.summary()))
    else:
        from silenthit.demo.scene import summary_text

        click.echo(summary_text(outcome).plain)
    for what, alerts in (("missing", outcome.missing), ("unexpected", outcome.unexpected)):
        for each in alerts:
            click.echo(f"{what}: {each.partner}, {each.label}, {each.record_number}", err=True)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give a folder of this run's own, gone afterwards unless it is to be kept."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="silenthit-demo-") as folder:
        yield Path(folder)
