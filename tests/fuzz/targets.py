"""What fuzzers try: a target takes any bytes, and raises only where the code tried is wrong."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.edges import opening
from tests.fuzz.exchange import questions, watches, wire
from tests.fuzz.key_holding import keyholder
from tests.fuzz.people import identity
from tests.fuzz.records import http, mail, sheets, xml

TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (wire, xml, mail, http, sheets, watches, questions, opening, keyholder, identity)
}
