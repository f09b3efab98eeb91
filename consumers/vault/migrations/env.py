"""What alembic runs: the steps, on the connection that `consumers.vault.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from consumers.vault.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
context.run_migrations()
