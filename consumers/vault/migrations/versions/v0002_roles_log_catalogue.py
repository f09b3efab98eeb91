"""Users with roles, a log in a chain, a catalogue to search in, and groups of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from consumers.vault.tables import ONLY_APPENDED

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is new; what needs the key is filled in by `consumers.vault.upgrade`."""
    op.create_table(
        "users",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "catalogue",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    with op.batch_alter_table("watches") as watches:
        watches.add_column(sa.Column("approved_at", sa.BigInteger))
        watches.add_column(sa.Column("page", sa.Integer))
        watches.drop_column("private_label")
        watches.create_index("watches_newest", ["removed_at", "created_at"])
        watches.create_index("watches_expiry", ["removed_at", "expires_at"])
    op.execute("UPDATE watches SET approved_at = created_at")
    with op.batch_alter_table("alerts") as alerts:
        alerts.add_column(sa.Column("group_id", sa.LargeBinary))
        alerts.add_column(sa.Column("incident", sa.LargeBinary))
        alerts.create_index("ix_alerts_group_id", ["group_id"])
        alerts.create_index("ix_alerts_incident", ["incident"])
        alerts.create_index("ix_alerts_record_id", ["record_id"])
    with op.batch_alter_table("events") as events:
        events.add_column(sa.Column("number", sa.Integer))
        events.add_column(sa.Column("chain", sa.LargeBinary))
        events.create_unique_constraint("events_number_key", ["number"])
    for statement in ONLY_APPENDED[op.get_bind().dialect.name]:
        op.execute(statement)
