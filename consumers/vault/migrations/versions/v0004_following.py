"""Which watch another was followed from, and which alerts are to be followed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("watches", sa.Column("parent_id", sa.LargeBinary))
    op.create_index("ix_watches_parent_id", "watches", ["parent_id"])
    op.add_column("alerts", sa.Column("to_follow", sa.Boolean))
    op.create_index("ix_alerts_to_follow", "alerts", ["to_follow"])
