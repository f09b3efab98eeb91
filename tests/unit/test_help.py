"""Every command and group says by an example how it is used."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from consumers.cli import (
    alerts,
    coverage,
    deconflictions,
    lookup,
    partner,
    protocol,
    publish,
    watch,
)
from key_holder.cli import keyholder
from producers.cli import agency
from silenthit.demo import demo
from stream_processors.cli import exchange

GROUPS = (
    agency,
    keyholder,
    exchange,
    partner,
    watch,
    alerts,
    coverage,
    deconflictions,
    lookup,
    publish,
    protocol,
    demo,
)


def commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(words), command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, (*words, name))


EVERY = [pair for group in GROUPS for pair in commands(group, (group.name or "",))]


def test_there_are_commands() -> None:
    assert len(EVERY) > 50


@pytest.mark.parametrize(("words", "command"), EVERY, ids=[words for words, _ in EVERY])
def test_help_has_an_example(words: str, command: click.Command) -> None:
    assert f"silenthit {words.split(maxsplit=1)[0]}" in (command.help or ""), words
