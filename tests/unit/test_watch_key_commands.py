"""The commands on the exchange's watch keys, as far as they need no broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.cli import root
from stream_processors.watch_keys import WatchKeys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run("init", str(tmp_path / "x"), "--bootstrap", "127.0.0.1:1")
    return tmp_path / "x"


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(root, ["exchange", *words])
    assert done.exit_code == code, done.output
    return done.output


def of(folder: Path) -> list[str]:
    return ["--config", str(folder / "exchange.toml")]


def test_a_new_exchange_has_a_watch_key_that_its_owner_alone_reads(folder: Path) -> None:
    (path,) = (folder / "keys" / "watches").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    handed = DeconflictionKey.model_validate_json(run("deconflict-key", *of(folder)))
    newest = WatchKeys(path.parent).newest
    assert newest
    assert handed.watches == newest.public.hex()
    assert path.read_text().strip() not in handed.model_dump_json()


def test_a_new_key_is_the_one_handed_out_and_the_older_stays(folder: Path) -> None:
    said = run("watch-key", "new", *of(folder))
    keys = WatchKeys(folder / "keys" / "watches")
    assert len(keys) == 2
    assert keys.newest
    assert keys.newest.id.hex() in said
    assert json.loads(run("deconflict-key", *of(folder)))["watches"] == keys.newest.public.hex()
    assert not any(key.path.read_text().strip() in said for key in keys._keys.values())


def test_the_newest_key_and_an_unknown_one_are_not_retired(folder: Path) -> None:
    newest = next(iter(WatchKeys(folder / "keys" / "watches")))
    run("watch-key", "retire", newest.hex(), *of(folder), code=5)
    run("watch-key", "retire", "00112233", *of(folder), code=2)
    run("watch-key", "retire", "", *of(folder), code=2)
    assert len(WatchKeys(folder / "keys" / "watches")) == 1


def test_an_older_key_goes_when_nothing_is_sealed_to_it(folder: Path) -> None:
    older = next(iter(WatchKeys(folder / "keys" / "watches")))
    run("watch-key", "new", *of(folder))
    run("watch-key", "retire", older.hex()[:8], *of(folder))  # no partner yet, nothing to count
    assert older not in WatchKeys(folder / "keys" / "watches")
    listed = run("watch-key", "list", "--json", *of(folder)).splitlines()
    assert [json.loads(each)["state"] for each in listed] == ["newest"]
