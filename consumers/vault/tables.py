"""The tables of a vault. Columns whose name begins with `private` are sealed (`consumers.cells`).

The rest says nothing of a subject. A change here needs a file in `migrations/versions`, and `HEAD`
names the newest of them: a test holds the one against the other.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    event,
)
from sqlalchemy.schema import ExecutableDDLElement

HEAD = "0006"
METADATA = MetaData()
SETTINGS = Table(
    "settings",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("private", LargeBinary, nullable=False),
)
WATCHES = Table(
    "watches",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # 16 random bytes
    Column("private", LargeBinary, nullable=False),  # Watch
    Column("created_at", BigInteger, nullable=False, index=True),  # ms, like every time here
    Column("expires_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    Column("approved_at", BigInteger),  # none: a supervisor has still to look at it
    Column("page", Integer),  # of the catalogue
    Column("parent_id", LargeBinary, index=True),  # of the watch it was followed from
    Index("watches_newest", "removed_at", "created_at"),
    Index("watches_expiry", "removed_at", "expires_at"),
)
CATALOGUE = Table(
    "catalogue",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # number of a page, 4 bytes
    Column("entries", Integer, nullable=False),
    Column("private", LargeBinary, nullable=False),  # what watches are searched by, see catalogue
)
REGISTRATIONS = Table(
    "registrations",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # messages.registration_key
    Column("watch_id", LargeBinary, nullable=False, index=True),
    Column("epoch", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # registrations.State
    Column("private", LargeBinary),  # WatchRegistration as sent; none once removed
    Column("private_secrets", LargeBinary),  # rows of registrations.SECRET; none once removed
)
ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # alert id
    Column("registration_id", LargeBinary, nullable=False, index=True),
    Column("record_id", LargeBinary, nullable=False, index=True),
    Column("watch_id", LargeBinary, index=True),
    Column("group_id", LargeBinary, index=True),  # of the first alert of its group, see groups
    Column("incident", LargeBinary, index=True),  # keyed hash, see groups; none: not known
    Column("revision", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("decision", String(16)),
    Column("probability", Float),
    Column("to_follow", Boolean, index=True),  # its identifiers wait to be watched, see following
    Column("earlier", Boolean, nullable=False),
    Column("appended_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False, index=True),
    Column("private", LargeBinary),  # OpenedAlert; none: a tombstone, withdrawn or retracted
    Column("private_retractions", LargeBinary),  # retracting.Retractions; none: it stands
)
UNOPENED = Table(
    "unopened",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # of the message as it came
    Column("alert_id", LargeBinary, index=True),  # none when it could not even be decoded
    Column("revision", Integer),
    Column("reason", String(32), nullable=False),  # inbox.Reason
    Column("appended_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False, index=True),
    Column("private_key", LargeBinary),
    Column("private", LargeBinary),  # the message's value, to be tried again
)
PAGES = Table(
    "pages",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # alert id and revision
    Column("alert_id", LargeBinary, nullable=False, index=True),
    Column("due_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # paging.PageState
    Column("kind", String(16), nullable=False),  # paging.PageKind
    Column("decision", String(16), nullable=False),
    Column("private", LargeBinary, nullable=False),  # Page
)
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("page_id", LargeBinary, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("private", LargeBinary, nullable=False),  # the channel's name
)
CASES = Table(
    "cases",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # alert id
    Column("version", Integer, nullable=False),
    Column("stage", String(16), nullable=False),  # call_tree.escalation.Stage
    Column("due_at", BigInteger, index=True),
    Column("private", LargeBinary, nullable=False),  # call_tree.escalation.Case
)
EVENTS = Table(
    "events",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("about", LargeBinary, nullable=False, index=True),  # alert id, watch id, or none of them
    Column("at", BigInteger, nullable=False),
    Column("action", String(16), nullable=False),
    Column("number", Integer, unique=True),  # 1, 2, 3 …; none: from before there were numbers
    Column("chain", LargeBinary),  # vault.log.link of this event and of all before it
    Column("private", LargeBinary, nullable=False),  # vault.log.Event
)
PUBLICATIONS = Table(
    "publications",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # messages.registration_key
    Column("publication_id", LargeBinary, nullable=False, index=True),
    Column("epoch", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # states.State
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("private", LargeBinary, nullable=False),  # publications.Published
    Column("private_message", LargeBinary, nullable=False),  # Publication as sent
)
MEETINGS = Table(
    "meetings",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # deconfliction.meeting_id
    Column("watch_id", LargeBinary, nullable=False, index=True),
    Column("received_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("private", LargeBinary, nullable=False),  # meeting_rows.Met
)
USERS = Table(
    "users",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # name
    Column("private", LargeBinary, nullable=False),  # users.User
)
SIGNERS = Table(
    "signers",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # key id of an agency
    Column("private", LargeBinary, nullable=False),  # TrustedSigner
)
OFFSETS = Table(
    "offsets",
    METADATA,
    Column("topic", String(128), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)

# What was written down stays, whoever writes to the database.
ONLY_APPENDED = {
    "sqlite": (
        """CREATE TRIGGER events_unchanged BEFORE UPDATE ON events WHEN OLD.chain IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'events are only appended'); END""",
        """CREATE TRIGGER events_kept BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'events are only appended'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION events_only_appended() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'events are only appended'; END $$""",
        """CREATE TRIGGER events_unchanged BEFORE UPDATE ON events
        FOR EACH ROW WHEN (OLD.chain IS NOT NULL) EXECUTE FUNCTION events_only_appended()""",
        """CREATE TRIGGER events_kept BEFORE DELETE ON events
        FOR EACH ROW EXECUTE FUNCTION events_only_appended()""",
        """CREATE TRIGGER events_all_kept BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION events_only_appended()""",
    ),
}
for _dialect, _statements in ONLY_APPENDED.items():
    for _statement in _statements:
        _ddl: ExecutableDDLElement = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(EVENTS, "after_create", _ddl.execute_if(dialect=_dialect))
