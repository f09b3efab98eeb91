from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from silenthit import cli
from silenthit.errors import RefusedError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """A command `agency` that raises what the test puts here."""
    raised: dict[str, BaseException] = {}

    @click.command()
    def agency() -> None:
        raise raised["error"]

    module = ModuleType("producers.cli")
    module.agency = agency  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "producers.cli", module)
    return raised


def test_an_error_of_ours_ends_with_its_own_code(failing: dict[str, BaseException]) -> None:
    failing["error"] = RefusedError("expected the right to write; ask the operator")
    result = CliRunner().invoke(cli.root, ["agency"])
    assert result.exit_code == RefusedError.exit_code
    assert result.stderr == "error: expected the right to write; ask the operator\n"


def test_an_interrupt_ends_with_130_and_says_nothing(failing: dict[str, BaseException]) -> None:
    failing["error"] = KeyboardInterrupt()
    result = CliRunner().invoke(cli.root, ["agency"])
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def test_a_bug_shows_its_kind_and_place_but_not_its_text(
    failing: dict[str, BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing["error"] = ValueError("Jane Roe")
    result = CliRunner().invoke(cli.root, ["agency"])
    assert result.exit_code == cli.INTERNAL_ERROR
    assert "ValueError in test_cli.py" in result.stderr
    assert "Roe" not in result.output
    monkeypatch.setenv(cli.TRACEBACK, "1")
    assert "Traceback" in CliRunner().invoke(cli.root, ["agency"]).stderr


def test_a_file_that_cannot_be_used_is_named(failing: dict[str, BaseException]) -> None:
    failing["error"] = PermissionError(13, "Permission denied", "vault.sqlite")
    result = CliRunner().invoke(cli.root, ["agency"])
    assert result.exit_code == 1
    assert result.stderr == "error: expected to use vault.sqlite, got: Permission denied\n"


def test_a_library_that_is_not_installed_names_the_extra(
    failing: dict[str, BaseException],
) -> None:
    failing["error"] = ModuleNotFoundError("No module named 'lxml'", name="lxml")
    result = CliRunner().invoke(cli.root, ["agency"])
    assert result.exit_code == 1
    assert "silenthit[agency]" in result.stderr


def test_a_module_of_our_own_that_is_missing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "producers.cli", None)
    assert CliRunner().invoke(cli.root, ["agency"]).exit_code == cli.INTERNAL_ERROR
