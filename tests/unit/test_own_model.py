"""Triage with a partner's own model: estimated from its records, named in its settings."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from consumers.model_commands import estimate_model
from consumers.settings import TriageSettings
from consumers.triage import open_model, triage
from schemas.parts import PersonName, Subject
from silenthit.errors import InputError, SettingsError
from silenthit.identity.compare import Decision
from silenthit.identity.estimate import estimate, model_from
from silenthit.identity.model import Model, default_content, default_model

SURNAMES = ("Kaminsky", "Ortiz", "Nakamura", "Smith", "Oyelaran", "Dubois", "Lindqvist", "Reyes")
GIVEN = ("Oleg", "Ana", "Ken", "Mary", "Tunde", "Claire", "Per", "Luz", "Igor", "Beth")


def people(count: int) -> list[dict[str, str]]:
    draw = random.Random(1)
    return [
        {
            "surname": draw.choice(SURNAMES) + draw.choice(("", "son", "ova", "berg")),
            "given": draw.choice(GIVEN),
            "birth_dates": f"{draw.randint(1950, 2005)}-{draw.randint(1, 12):02}-"
            f"{draw.randint(1, 28):02}",
            "sex": draw.choice("MF"),
        }
        for _ in range(count)
    ]


def csv_of(rows: list[dict[str, str]]) -> str:
    return "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("silenthit.identity.estimate.RANDOM_PAIRS", 5000)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two hundred people in both files, every tenth with another sex in the second one."""
    both = people(400)
    ours, theirs = both[:300], [dict(row) for row in both[100:]]
    for row in theirs[::10]:
        row["sex"] = "F" if row["sex"] == "M" else "M"
    one, other = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    one.write_text(csv_of(ours), "utf-8")
    other.write_text(csv_of(theirs), "utf-8")
    return one, other


def test_a_model_is_estimated_from_two_files_without_answers(
    files: tuple[Path, Path], tmp_path: Path, few_draws: None
) -> None:
    output = tmp_path / "model.json"
    ran = CliRunner().invoke(estimate_model, [*map(str, files), "--output", str(output)])
    assert ran.exit_code == 0, ran.output
    said = re.match(r"about (\d+) pairs", ran.output)
    assert said is not None
    assert int(said[1]) == pytest.approx(200, abs=10)
    levels = json.loads(output.read_text("utf-8"))["levels"]
    assert levels["sex"]["different"][0] == pytest.approx(0.1, abs=0.02)
    assert levels["sex"]["different"][1] == pytest.approx(0.5, abs=0.05)
    assert levels["surname"]["same"][1] is None
    assert levels["phone"] == default_content()["levels"]["phone"]
    assert Model.load(output) != default_model()
    again = CliRunner().invoke(estimate_model, [*map(str, files), "--output", str(output)])
    assert isinstance(again.exception, InputError)


def test_of_one_file_its_repeated_people_are_found(few_draws: None) -> None:
    rows = people(150)
    subjects = [
        Subject(
            names=(PersonName(surname=row["surname"], given=row["given"]),),
            birth_dates=(row["birth_dates"],),
        )
        for row in rows
    ]
    found = estimate([*subjects, *subjects])
    assert found.true_pairs == pytest.approx(150, abs=5)
    assert Model.parsed(model_from(found)).hit == default_model().hit


def test_too_few_people_in_common_are_refused(few_draws: None) -> None:
    strangers = [Subject(names=(PersonName(full=f"{a} {b}"),)) for a in GIVEN for b in SURNAMES]
    with pytest.raises(InputError, match="pairs of one person"):
        estimate(strangers[:40], strangers[40:])


def test_a_column_of_no_subject_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("surname,shoe_size\nKaminsky,44\n", "utf-8")
    ran = CliRunner().invoke(estimate_model, [str(file), "--output", str(tmp_path / "m.json")])
    assert isinstance(ran.exception, InputError)
    assert "line 2" in str(ran.exception)
    assert "shoe_size" in str(ran.exception)
    assert "Kaminsky" not in str(ran.exception)


OLEG = Subject(names=(PersonName(full="Oleg Kaminsky"),), birth_dates=("1980-01-02",))
NEARLY = Subject(names=(PersonName(full="Oleg Kaminski"),), birth_dates=("1980-01-03",))


def test_settings_name_a_model_and_move_the_thresholds(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    content = default_content()
    content["levels"]["surname"]["alike"] = [0.0001, 0.5]
    file.write_text(json.dumps(content), "utf-8")
    shipped = triage([OLEG], {0: NEARLY}, [(0, 0)], ())
    own = triage([OLEG], {0: NEARLY}, [(0, 0)], (), model=open_model(TriageSettings(model=file)))
    strict = open_model(TriageSettings(hit=0.999999999, possible=0.9))
    stricter = triage([OLEG], {0: NEARLY}, [(0, 0)], (), model=strict)
    assert shipped is not None
    assert own is not None
    assert stricter is not None
    assert own.weight < shipped.weight == stricter.weight
    assert shipped.decision is Decision.HIT
    assert stricter.decision is not Decision.HIT


@pytest.mark.parametrize("thresholds", [{"hit": 1.0}, {"possible": 0.0}, {"possible": 0.99}])
def test_thresholds_out_of_order_are_refused(thresholds: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=r"\[triage\]"):
        open_model(TriageSettings(**thresholds))
