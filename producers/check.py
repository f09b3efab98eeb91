"""Try everything that an agency's configuration names, and say plainly what works."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from producers import agency
from producers.agent import Source
from producers.ledger import Ledger
from producers.settings import AgencySettings, read_secret, read_token
from producers.sources.folder import Folder
from schemas.topics import TOUCHES
from schemas.vocabulary import MatchKeyKind
from silenthit.bus.admin import topic_partitions
from silenthit.errors import SettingsError, SilentHitError
from silenthit.identity.match_keys import MatchKey

_PROBE = MatchKey(MatchKeyKind.PHONE, "silenthit agency check")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was tried: how it went, or what is wrong and what to do."""

    what: str
    works: bool
    text: str


def verdicts(settings: AgencySettings) -> Iterator[Verdict]:
    """Try keys, outbox, key holder, broker and each source, one after the other.

    Publishes nothing, and takes no record from any source.
    """
    yield _tried("keys", lambda: _keys(settings))
    yield _tried("outbox", lambda: _outbox(settings))
    yield _tried("key holder", lambda: _tokens(settings))
    yield _tried("broker", lambda: _topic(settings))
    with closing(Ledger(settings.outbox)) as ledger:
        for each in settings.sources:
            single = settings.model_copy(update={"sources": (each,)})
            yield _tried(f"source {each.name}", lambda one=single: _source(one, ledger))  # type: ignore[misc]
    if settings.intake is not None:
        yield _tried("intake", lambda: _intake(settings))
    if settings.tips is not None:
        yield _tried("tips", lambda: _tips(settings))


def _tried(what: str, attempt: Callable[[], str]) -> Verdict:
    try:
        return Verdict(what, works=True, text=attempt())
    except SilentHitError as error:
        return Verdict(what, works=False, text=str(error))
    except OSError as error:
        return Verdict(what, works=False, text=f"{type(error).__name__}: {error.strerror}")


def _keys(settings: AgencySettings) -> str:
    read_secret(settings.keys.records)
    settings.sender_key()
    settings.signer()
    return f"{settings.key_id}, every file there"


def _outbox(settings: AgencySettings) -> str:
    with agency.open_outbox(settings) as outbox:
        counts = outbox.counts()
    return f"{counts['accepted'] + counts['sealed']:,} records wait"


def _tokens(settings: AgencySettings) -> str:
    with agency.open_sealer(settings) as sealer:
        epoch = sealer.current_epoch()
        sealer.prf.tokens(epoch, [_PROBE])
    return f"gave a token of epoch {epoch}"


def _topic(settings: AgencySettings) -> str:
    count = topic_partitions(settings.bus.agency, TOUCHES.name)
    return f"has the topic {TOUCHES.name} with {count} partitions"


def _source(settings: AgencySettings, ledger: Ledger) -> str:
    [source] = agency.sources(settings, ledger)
    return _folder(source) if isinstance(source, Folder) else _query(source)


def _intake(settings: AgencySettings) -> str:
    """Token and certificates can be read; the port is free, or the agent has it already."""
    intake = settings.intake
    assert intake is not None
    if intake.token:
        read_token(intake.token)
    for key in ("tls_certificate", "tls_key", "client_ca"):
        path = getattr(intake, key)
        if path is not None and not os.access(path, os.R_OK):
            raise SettingsError(f"expected a readable file {path} as `{key}` of [intake]; make it")
    with socket.socket() as probe:
        answered = probe.connect_ex((intake.host, intake.port)) == 0
    state = "something listens there: the agent, or change `port`" if answered else "free"
    return f"{intake.host}:{intake.port}, {state}"


def _tips(settings: AgencySettings) -> str:
    from producers.tip_desk import open_desk  # noqa: PLC0415 only who takes tips needs it

    desk = open_desk(settings)
    links = f", links begin with {settings.replies.url}" if settings.replies else ""
    return f"call people over {', '.join(desk.outlets)}; no page was sent{links}"


def _folder(source: Folder) -> str:
    if not os.access(source.path, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(
            f"expected the folder {source.path} with the right to read and move files; make it or "
            "correct `path`"
        )
    return f"watches {source.path}"


def _query(source: Source) -> str:
    from producers.sources.sql import Query  # noqa: PLC0415 only who polls a database needs it

    assert isinstance(source, Query)
    return f"answers, and gives {source.columns()} columns"
