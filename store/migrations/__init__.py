"""The Alembic history. ``versions`` are written by ``alembic revision --autogenerate`` and then read."""
