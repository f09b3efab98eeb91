"""Whom a partner met: others who watch the same, where both agreed to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "meetings",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("watch_id", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_meetings_watch_id", "meetings", ["watch_id"])
