from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from silenthit.bus.clients import KafkaSettings
from silenthit.errors import SettingsError
from silenthit.settings import load_toml


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Path, ...] = ()
    password: SecretStr = SecretStr("")
    limit: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    data: Path = Path("data")
    inner: Inner = Inner()
    bus: KafkaSettings = KafkaSettings(bootstrap_servers="b:1")


def write(folder: Path, text: str) -> Path:
    path = folder / "party.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_relative_paths_count_from_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    text = 'name = "x"\n[inner]\nkeys = ["keys/a", "/b"]'
    settings = load_toml(write(tmp_path, text), Outer, {})
    assert settings.data == tmp_path / "data"
    assert settings.inner.keys == (tmp_path / "keys" / "a", Path("/b"))


def test_certificate_locations_of_a_bus_count_from_the_file(tmp_path: Path) -> None:
    text = (
        'name = "x"\n[bus]\nbootstrap_servers = "k:1"\n'
        'security = {"ssl.ca.location" = "ca.pem", "sasl.username" = "u"}'
    )
    settings = load_toml(write(tmp_path, text), Outer, {})
    assert settings.bus.security == {
        "ssl.ca.location": str(tmp_path / "ca.pem"),
        "sasl.username": "u",
    }


def test_the_environment_overrides_a_key(tmp_path: Path) -> None:
    environment = {"SILENTHIT_INNER__LIMIT": "7", "SILENTHIT_TRACEBACK": "1", "HOME": "/"}
    settings = load_toml(write(tmp_path, 'name = "x"'), Outer, environment)
    assert settings.inner.limit == 7


def test_an_override_through_a_value_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SILENTHIT_NAME__FIRST"):
        load_toml(write(tmp_path, 'name = "x"'), Outer, {"SILENTHIT_NAME__FIRST": "y"})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "`name`: Field required"),
        ('name = "x"\nnmae = "y"', "`nmae`"),
        ('name = "x"\n[inner]\nlimit = "many"', "`inner.limit`"),
        ('name = "x"\n[inner]\nkeys = 3', "`inner.keys`"),
        ("name = ", "TOML"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path: Path, text: str, named: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_toml(path, Outer, {})
    assert str(path) in str(caught.value)
    assert named in str(caught.value)


def test_an_error_shows_no_value(tmp_path: Path) -> None:
    text = 'name = "x"\n[inner]\nlimit = "hunter2"\npassword = 12345678'
    with pytest.raises(SettingsError) as caught:
        load_toml(write(tmp_path, text), Outer, {})
    shown = f"{caught.value!r} {caught.value.__cause__} {caught.value.__context__}"
    assert "hunter2" not in shown
    assert "12345678" not in shown


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="init"):
        load_toml(tmp_path / "none.toml", Outer, {})
