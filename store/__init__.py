"""SQLite (WAL) and PostgreSQL: the one place that knows SQL.

``unit_of_work`` opens transactions; each repository holds the SQL of its tables; ``tables`` are the SQLAlchemy models;
``migrations`` the Alembic history. Repositories speak in domain words; no row leaves this package.
"""
