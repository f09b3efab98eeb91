"""What README.md promises of the command line, held against the command itself."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()
PAGES = [
    re.sub(r" \\\n\s*", " ", page.read_text())  # a command may go on in the next line
    for page in (REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md"))
]
COMMANDS = sorted(
    {each for page in PAGES for each in re.findall(r"^\$ (silenthit .+)$", page, re.MULTILINE)}
)
HELP = "silenthit --help"


@cache
def help_of(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "silenthit", *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"},
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def test_the_help_in_the_readme_is_the_real_one():
    (shown,) = re.findall(r"```text\n\$ silenthit --help\n(.*?)\n```", README, re.DOTALL)
    # The program's name is what it was called as.
    real = help_of().replace("python -m silenthit", "silenthit")
    assert shown.strip() == real.strip(), f"put this into README.md:\n{real}"


@pytest.mark.parametrize("command", [each for each in COMMANDS if each != HELP])
def test_a_command_in_the_documentation_has_the_options_it_is_shown_with(command):
    words = shlex.split(command)[1:]
    options = {word for word in words if word.startswith("--")}
    plain = words[: next((i for i, word in enumerate(words) if word.startswith("--")), None)]
    known = help_of(*named(plain))
    assert {each for each in options if not re.search(rf"{each}\b", known)} == set()


def named(words: list[str]) -> list[str]:
    """The words that name a command, without its arguments."""
    depth = 0
    while depth < len(words) and re.search(
        rf"^│ {re.escape(words[depth])} ", help_of(*words[:depth]), re.MULTILINE
    ):
        depth += 1
    assert depth, "expected a command's name after `silenthit`"
    return words[:depth]


def test_every_link_to_a_file_leads_somewhere():
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
