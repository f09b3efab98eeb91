"""Who takes part in a run, whom and where the partners watch, and what the agencies record."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random

AGENCIES = {"harbor": "MA0130100", "haven": "CT0020200"}
# The ally watches beside the bystander, and the two agree to be told of each other.
WATCHER, BYSTANDER, ALLY = "fbi-hartford", "hsi-newark", "dea-boston"
SUBJECTS = 20
WATCHED = range(10)  # by the watcher, where it watches at all
BYSTANDERS_OWN = range(5, 12)  # overlaps with what is watched
PLACES = ("the pier", "the pier again")  # the watcher's, before and after the operation there
# Of the subjects that watcher and bystander have in common each is willing about one alone.
BYSTANDER_WILLING, WATCHER_WILLING = 5, 6
ALLIES = 10  # a subject of the bystander's and the ally's
LOOKED_UP = (0, 5, 15)
RECORDS = 40
COLUMNS = ("record_number", "kind", "role", "surname", "given", "birth_date", "ssn", "phone")
SURNAMES = ("Quill", "Marlow", "Osgood", "Tennant", "Brack", "Isham", "Loring", "Vance")
_BEGINS = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=30)
_ENDS = _BEGINS + timedelta(hours=3)
_TIMES = f"starts_at = {_BEGINS.isoformat()}\nends_at = {_ENDS.isoformat()}\n"


def subject(number: int) -> dict[str, str]:
    random = Random(number)
    return {
        "surname": f"{random.choice(SURNAMES)}{chr(97 + number)}worth",
        "given": "John",
        "birth_date": f"19{60 + number}-0{number % 9 + 1}-1{number % 9}",
        "ssn": f"5{number:02}-2{number % 9}-{3000 + number}",
        "phone": f"860-555-{1000 + number}",
    }


def label(number: int) -> str:
    return f"subject {number}"


def watch(number: int) -> str:
    who = subject(number)
    return (
        f'[[watch]]\nlabel = "{label(number)}"\nlegal_basis = "affidavit"\n[[watch.subject]]\n'
        f'surname = "{who["surname"]}"\ngiven = "{who["given"]}"\n'
        f'birth_dates = ["{who["birth_date"]}"]\n'
        f'identifiers = [{{kind = "ssn", value = "{who["ssn"]}"}}]\n'
    )


def place(name: str) -> str:
    return (
        f'[[watch]]\nlabel = "{name}"\nlegal_basis = "affidavit"\n[watch.area]\n'
        f'place = "41.3100, -72.9240"\nradius_m = 300\n{_TIMES}'
    )


def operation() -> str:
    """An operation at the place that is watched, while it is."""
    return (
        f'number = "OP-1"\nplace = "Seaview Motel"\n{_TIMES}'
        'contact = { name = "Sgt. Lee", phone = "860-555-0199", unit = "Vice" }\n'
        'supervisor = { name = "Lt. Ortiz", phone = "860-555-0150" }\n'
        "[area]\nlat = 41.3101\nlon = -72.9242\nradius_m = 200\n"
    )


def records(seed: int) -> list[dict[str, str]]:
    """Records of seeded subjects; the first subjects are touched more than once."""
    random = Random(seed)
    return [
        {"record_number": f"R-{n}", "kind": "arrest", "role": "suspect"}
        | subject(random.randrange(SUBJECTS))
        for n in range(RECORDS)
    ]


def expected_alerts(seed: int, watched: Iterable[int]) -> int:
    """Records of watched subjects: one alert id for each."""
    wanted = {subject(number)["ssn"] for number in watched}
    return sum(row["ssn"] in wanted for row in records(seed))
