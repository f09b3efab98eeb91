"""What a partner lets look-ups find."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "publications",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("publication_id", sa.LargeBinary, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
        sa.Column("private_message", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_publications_publication_id", "publications", ["publication_id"])
    op.create_index("ix_publications_state", "publications", ["state"])
