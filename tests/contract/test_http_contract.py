"""The intake against its own OpenAPI: schemathesis makes up requests, good and bad."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from producers.http_intake import HttpIntake
from producers.idempotency import Answers
from producers.intake import Intake
from producers.outbox import Outbox

TOKEN = "a-token-of-twenty-and-more"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    path = tmp_path_factory.mktemp("intake") / "outbox.db"
    outbox = Outbox(path, b"k" * 32)
    answers = Answers(path, b"k" * 32)
    intake = Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)
    yield HttpIntake(intake=intake, answers=answers, token=TOKEN).app()
    answers.close()
    outbox.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_the_contract_says(app, mode):
    contract = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [each.ok() for each in contract.get_all_operations()]
    assert {each.label for each in operations} >= {"POST /records", "DELETE /records/{number}"}
    for operation in operations:
        if mode is GenerationMode.POSITIVE or operation.path != "/healthz":  # it asks for nothing
            ask(operation, mode)


def ask(operation: APIOperation, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def asked(case: Case) -> None:
        # A record without any usable identifier fits the schema, and is refused with 422.
        case.call_and_validate(headers=BEARER, excluded_checks=[positive_data_acceptance])

    asked()
