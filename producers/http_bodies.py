"""Bodies of the HTTP intake: what is posted, what of it can be taken, and what is answered."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from pydantic import ValidationError

from producers.http_contract import Posted
from producers.idempotency import Answer
from producers.intake import Tally
from producers.records import Outcome, Place, Record, Rejection
from producers.sources.times import BadTimeError, birth_date
from schemas.vocabulary import INDICATORS, NIBRS_OFFENCES


def parsed(body: bytes) -> Posted | Answer:
    """The records of a body, or why it can't be read."""
    try:
        return Posted.model_validate_json(body, strict=True)
    except ValidationError as error:
        return Answer(422, {"problems": places(error)})


def answer_of(tally: Tally, rejections: list[Rejection]) -> Answer:
    """What became of the records of a body."""
    content = {
        "accepted": tally.accepted,
        "unchanged": tally.unchanged,
        "rejected": [
            {"where": str(r.place), "expected": r.expected, "remedy": r.remedy} for r in rejections
        ],
    }
    return Answer(422 if rejections else 202, content)


def form(body: bytes) -> bytes:
    """A form as JSON; what comes twice stays a list, and is refused as that."""
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return json.dumps({k: v[0] if len(v) == 1 else v for k, v in fields.items()}).encode()


def checked(number: int, record: Record) -> Outcome:
    """A record with the place that messages name, or why its content can't be."""
    place = f"records[{number}]"
    try:
        for subject in record.subjects:
            for each in subject.birth_dates:
                birth_date(each)
    except BadTimeError as error:
        return Rejection(Place(place, "birth_dates"), str(error), "correct the date")
    if not set(record.offences) <= set(NIBRS_OFFENCES):
        return Rejection(Place(place, "offences"), "NIBRS offence codes", "correct the code")
    if not set(record.indicators) <= set(INDICATORS):
        known = ", ".join(INDICATORS)
        return Rejection(Place(place, "indicators"), f"indicators of {known}", "correct it")
    return record.model_copy(update={"read_from": place})


def places(error: ValidationError) -> list[dict[str, str]]:
    """Where a body does not fit and what was expected, without what stood there."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"where": ".".join(str(part) for part in each["loc"]), "expected": each["msg"]}
        for each in found[:20]
    ]
