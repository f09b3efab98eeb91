"""The schema of vaults that were made before schemas had numbers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "settings",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "watches",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("private", sa.LargeBinary, nullable=False),
        sa.Column("private_label", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
    )
    op.create_index("ix_watches_created_at", "watches", ["created_at"])
    op.create_table(
        "registrations",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("watch_id", sa.LargeBinary, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("private", sa.LargeBinary),
        sa.Column("private_secrets", sa.LargeBinary),
    )
    op.create_index("ix_registrations_watch_id", "registrations", ["watch_id"])
    op.create_index("ix_registrations_state", "registrations", ["state"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("registration_id", sa.LargeBinary, nullable=False),
        sa.Column("record_id", sa.LargeBinary, nullable=False),
        sa.Column("watch_id", sa.LargeBinary),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("decision", sa.String(16)),
        sa.Column("probability", sa.Float),
        sa.Column("earlier", sa.Boolean, nullable=False),
        sa.Column("appended_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("private", sa.LargeBinary),
    )
    op.create_index("ix_alerts_registration_id", "alerts", ["registration_id"])
    op.create_index("ix_alerts_watch_id", "alerts", ["watch_id"])
    op.create_index("ix_alerts_updated_at", "alerts", ["updated_at"])
    op.create_table(
        "unopened",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("alert_id", sa.LargeBinary),
        sa.Column("revision", sa.Integer),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("appended_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("private_key", sa.LargeBinary),
        sa.Column("private", sa.LargeBinary),
    )
    op.create_index("ix_unopened_alert_id", "unopened", ["alert_id"])
    op.create_index("ix_unopened_received_at", "unopened", ["received_at"])
    op.create_table(
        "pages",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("alert_id", sa.LargeBinary, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_pages_alert_id", "pages", ["alert_id"])
    op.create_index("ix_pages_state", "pages", ["state"])
    op.create_table(
        "attempts",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("page_id", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_attempts_page_id", "attempts", ["page_id"])
    op.create_table(
        "cases",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_cases_due_at", "cases", ["due_at"])
    op.create_table(
        "events",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("about", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_events_about", "events", ["about"])
    op.create_table(
        "signers",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "offsets",
        sa.Column("topic", sa.String(128), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )
