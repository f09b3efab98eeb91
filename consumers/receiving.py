"""The inbox process: read, store, page, keep the watches placed; until it is told to stop.

Every step can be done again: messages are read from the offset in the vault, pages and
registrations are outboxes there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog

from consumers import following, publications
from consumers.cases import cases_in, due
from consumers.coverage import call_operator
from consumers.expiry import warn, warnings_due
from consumers.inbox import Inbox, Outcome, Received
from consumers.meetings import receive_meeting
from consumers.news import Recipients
from consumers.paging import post_pages
from consumers.partner import Partner
from consumers.placing import expire_watches, retoken
from consumers.registrations import deliver, unconfirmed
from consumers.signers import verify_keys
from consumers.vault import UNOPENED, Rows
from schemas.topics import ALERTS, DECONFLICTIONS
from silenthit.bus.clients import Message, Publisher, TopicReader
from silenthit.bus.publisher import CLOSE_S
from silenthit.errors import RetryError, SilentHitError

log = structlog.get_logger(__name__)

_AT_ONCE = 200
_READ_S = 0.25
_POST_S = 0.25
_CARE_S = 5.0
_RETOKEN_S = 60.0
_GIVE_UP_S = 0.5
_LONGEST_WAIT_S = 30.0
LONG_AGO = datetime.min.replace(tzinfo=UTC)

T = TypeVar("T")
Listener = Callable[[Sequence[Received]], None]


def receive_batch(partner: Partner, messages: Sequence[Message]) -> list[Received]:
    """Store a batch and where to read on, both or neither. Raises RetryError, having done none."""
    now, results = partner.clock(), []
    meetings = DECONFLICTIONS.of(partner.settings.name)
    to = Recipients(partner.settings.deliver_to, partner.protocol)
    with partner.vault.write() as into:
        inbox = _inbox(partner, into)
        for message in messages:
            if message.topic == meetings:
                received = receive_meeting(into, message, to, now)
            else:
                received = inbox.receive(into, message, now)
            if received is not None:
                results.append(received)
            into.move_offset(message.topic, message.partition, message.offset + 1)
    return results


def reopen(partner: Partner) -> list[Received]:
    """Try every unopened message again, such as after an agency's key was trusted."""
    now = partner.clock()
    with partner.vault.write() as into:
        inbox = _inbox(partner, into)
        results = []
        for row in into.find(UNOPENED):
            message = Message("", 0, 0, row["appended_at"], row["private_key"], row["private"])
            received = inbox.receive(into, message, now)
            if received is not None:
                results.append(received)
    return [each for each in results if each.outcome is not Outcome.UNOPENED]


def catch_up(partner: Partner, listener: Listener) -> None:
    """Read to the end of what there is now, post what is due, and return."""
    with _reader(partner) as reader:
        for messages in reader.read_to_end(_AT_ONCE, _READ_S):
            listener(receive_batch(partner, messages))
    care(partner)
    call_operator(partner, LONG_AGO)
    climb(partner)
    post_pages(partner.vault, partner.outlets(), partner.clock, partner.link)


def receive_until(partner: Partner, stop: threading.Event, listener: Listener) -> None:
    """Receive until `stop` is set. A broker or vault that is away is waited for.

    Raises what cannot be waited for, such as a missing right or a vault that was tampered with.
    """
    outlets, since = partner.outlets(), partner.now()

    def climb_and_post() -> None:
        climb(partner)
        post_pages(partner.vault, outlets, partner.clock, partner.link)

    with ThreadPoolExecutor(max_workers=4) as pool:
        beside = [
            pool.submit(_repeat, climb_and_post, _POST_S, stop),
            pool.submit(_repeat, partial(call_operator, partner, since), _CARE_S, stop),
            pool.submit(_repeat, partial(_going_on, partial(care, partner)), _CARE_S, stop),
            pool.submit(
                _repeat, partial(_going_on, partial(follow_epochs, partner)), _RETOKEN_S, stop
            ),
        ]
        try:
            with _reader(partner) as reader:
                while not stop.is_set():
                    messages = _patiently(partial(reader.read, _AT_ONCE, _READ_S), stop)
                    if messages:
                        listener(_patiently(partial(receive_batch, partner, messages), stop) or [])
        finally:
            stop.set()
    for each in beside:
        each.result()


def care(partner: Partner, patience_s: float = CLOSE_S) -> None:
    """Take back what has expired, follow what waits for it, send what is not confirmed.

    Raises RetryError when the broker confirms nothing for `patience_s` seconds.
    """
    expire_watches(partner.vault, partner.now())
    publications.expire(partner.vault, partner.now())
    with partner.vault.read() as rows:
        soon = warnings_due(rows, partner.now())
    if soon:
        with partner.vault.write() as into:
            warn(into, partner.settings.deliver_to, partner.now())
    _send(partner, patience_s)
    if following.due(partner.vault):
        _follow(partner)
        _send(partner, patience_s)


def _follow(partner: Partner) -> None:
    with partner.blinding() as blinding:
        following.follow_due(
            partner.vault,
            partner=partner.settings.name,
            epochs=blinding.epochs().watchable,
            prf=blinding.prf,
            now=partner.now(),
        )


def _send(partner: Partner, patience_s: float) -> None:
    if unconfirmed(partner.vault) or publications.unsent(partner.vault):
        with Publisher(partner.settings.bus.partner, client_id=_client_id(partner)) as publisher:
            try:
                deliver(partner.vault, publisher, partner.settings.name, patience_s)
            except RetryError:
                publisher.close(_GIVE_UP_S)
                raise
            publications.send(partner.vault, publisher, partner.settings.name)


def _inbox(partner: Partner, rows: Rows) -> Inbox:
    return Inbox(partner.settings.deliver_to, partner.protocol, verify_keys(rows), partner.model)


def climb(partner: Partner) -> int:
    """Make the calls that the call tree says are due; return how many."""
    now = partner.now()
    with partner.vault.read() as rows:
        if partner.protocol is None or not due(rows, now):
            return 0
    with partner.vault.write() as into:
        return cases_in(into, partner.protocol, now).escalate()


def _reader(partner: Partner) -> TopicReader:
    with partner.vault.read() as rows:
        start = rows.offsets()
    return TopicReader(
        partner.settings.bus.partner,
        [topic.of(partner.settings.name) for topic in (ALERTS, DECONFLICTIONS)],
        client_id=_client_id(partner),
        start=start,
    )


def _client_id(partner: Partner) -> str:
    return f"partner-{partner.settings.name}"


def follow_epochs(partner: Partner) -> int:
    """Register watches and publications in the epochs that are watchable now; return how many."""
    with partner.blinding() as blinding:
        epochs, prf = blinding.epochs(), blinding.prf
        added = publications.republish(partner.vault, epochs=epochs, prf=prf, now=partner.now())
        return added + retoken(partner.vault, partner=partner.settings.name, epochs=epochs, prf=prf)


def _going_on(step: Callable[[], object]) -> None:
    """Do a step that alerts need not wait for: what is refused is logged and tried again later."""
    try:
        step()
    except RetryError:
        raise
    except SilentHitError as error:
        log.warning("watches_not_kept", error=type(error).__name__, remedy=str(error))


def _patiently(step: Callable[[], T], stop: threading.Event) -> T | None:
    """Do a step, again and again while it can only be retried; None once `stop` is set."""
    wait = 0.5
    while True:
        try:
            return step()
        except RetryError:
            if stop.wait(wait):
                return None
            wait = min(2 * wait, _LONGEST_WAIT_S)


def _repeat(step: Callable[[], object], every: float, stop: threading.Event) -> None:
    """Do a step every so many seconds; a failure that waiting does not mend stops everything."""
    try:
        while not stop.is_set():
            _patiently(step, stop)
            stop.wait(every)
    finally:
        stop.set()
