"""The link to a key holder: when it tries again, and when it says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from silenthit.blinding.batches import Cause
from silenthit.blinding.holder_link import HolderLink, Patience, TooLargeError
from silenthit.errors import InputError, QuotaError, RefusedError, RetryError, SettingsError


class Answer:
    def __init__(self, status: int, content: bytes) -> None:
        self.status, self._content = status, content

    def read(self) -> bytes:
        return self._content


class Connection:
    """Stands for the connection; plays what it is given, one a request."""

    def __init__(self, plays: list[Any]) -> None:
        self._plays = plays
        self.requests: list[bytes] = []

    def request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        self.requests.append(body)

    def getresponse(self) -> Answer:
        play = self._plays.pop(0)
        if isinstance(play, Exception):
            raise play
        answer: Answer = play
        return answer

    def close(self) -> None:
        pass


Made = tuple[HolderLink, Connection, list[float]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    def make(*plays: Any, **patience: float) -> Made:
        slept: list[float] = []
        nowhere = Path("nowhere")
        link = HolderLink(
            name="federal",
            url="https://keys.invalid",
            ca=nowhere,
            certificate=nowhere,
            key=nowhere,
            signer=bytes(32),
            patience=Patience(**patience),  # type: ignore[arg-type]
            sleep=slept.append,
        )
        connection = Connection(list(plays))

        def connected(this: HolderLink) -> Connection:
            this._connection = connection  # type: ignore[assignment]
            return connection

        monkeypatch.setattr(HolderLink, "_connected", connected)
        return link, connection, slept

    return make


def refusal(cause: Cause, **more: Any) -> Answer:
    content = {"cause": cause.value, "message": "because", **more}
    return Answer(403, json.dumps(content).encode())


def body() -> Callable[[], bytes]:
    numbers = iter(range(100))
    return lambda: b"%d" % next(numbers)


def test_tries_again_ever_later_with_a_new_batch_each_time(made: Callable[..., Made]) -> None:
    link, connection, slept = made(TimeoutError(), OSError(), Answer(200, b"done"))
    assert link.evaluate(body()) == b"done"
    assert connection.requests == [b"0", b"1", b"2"]
    assert 0.2 <= slept[0] <= 0.6
    assert 0.4 <= slept[1] <= 1.2


def test_gives_up_and_says_who_is_away(made: Callable[..., Made]) -> None:
    link, _, slept = made(*[OSError()] * 9, attempts=3)
    with pytest.raises(RetryError, match="key holder federal"):
        link.evaluate(body())
    assert len(slept) == 2


def test_an_idle_connection_that_was_closed_costs_no_pause(made: Callable[..., Made]) -> None:
    link, _, slept = made(Answer(200, b"one"), ConnectionResetError(), Answer(200, b"two"))
    assert link.evaluate(body()) == b"one"
    assert link.evaluate(body()) == b"two"
    assert slept == []


def test_waits_for_a_quota_that_refills_soon(made: Callable[..., Made]) -> None:
    link, _, slept = made(refusal(Cause.QUOTA, after_s=3.0), Answer(200, b"done"), quota_s=5)
    assert link.evaluate(body()) == b"done"
    assert slept == [3.0]


def test_says_when_to_come_back_for_one_that_does_not(made: Callable[..., Made]) -> None:
    link, _, slept = made(refusal(Cause.QUOTA, after_s=3600.0), quota_s=5)
    with pytest.raises(QuotaError, match="come back in 3600 s") as caught:
        link.evaluate(body())
    assert caught.value.after_s == 3600
    assert slept == []


def test_remembers_how_large_a_batch_may_be(made: Callable[..., Made]) -> None:
    link, _, _ = made(refusal(Cause.TOO_LARGE, most=12))
    with pytest.raises(TooLargeError):
        link.evaluate(body())
    assert link.most == 12


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (Cause.CERTIFICATE_REVOKED, RefusedError),
        (Cause.CERTIFICATE_EXPIRED, RefusedError),
        (Cause.CERTIFICATE_UNKNOWN, RefusedError),
        (Cause.REPLAYED, RefusedError),
        (Cause.STALE, RefusedError),
        (Cause.EPOCH_DESTROYED, RefusedError),
        (Cause.NO_BOOKING, RefusedError),
        (Cause.EPOCH_UNKNOWN, SettingsError),
        (Cause.MALFORMED, InputError),
    ],
)
def test_a_refusal_names_its_cause(
    made: Callable[..., Made], cause: Cause, kind: type[Exception]
) -> None:
    link, _, slept = made(refusal(cause))
    with pytest.raises(kind, match=f"because .{cause.value}."):
        link.evaluate(body())
    assert slept == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 100_000,
        b'{"cause": "new"}',
        b'{"cause": "quota", "message": "", "after_s": "soon"}',
        b'{"cause": "too_large", "message": "", "most": "a few"}',
        b'{"cause": "too_large", "message": "", "most": Infinity}',
    ],
)
def test_an_answer_that_is_none_of_these_is_tried_again(
    made: Callable[..., Made], content: bytes
) -> None:
    link, _, slept = made(Answer(502, content), Answer(200, b"done"))
    assert link.evaluate(body()) == b"done"
    assert len(slept) == 1


@pytest.mark.parametrize(("said", "after"), [("NaN", 0), ("-5", 0), ("1e300", 86_400)])
def test_no_wait_is_taken_at_its_word_that_could_not_be_waited(
    made: Callable[..., Made], said: str, after: float
) -> None:
    content = f'{{"cause": "quota", "message": "spent", "after_s": {said}}}'.encode()
    link, _, _ = made()
    assert link._refusal(429, content).after_s == after  # type: ignore[attr-defined]
