"""The steps that bring a vault from one schema to the next (alembic)."""
