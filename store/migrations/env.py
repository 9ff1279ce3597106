"""Run by Alembic: on the connection that ``store.schema`` opened, or for autogeneration on an empty SQLite file."""

from alembic import context
from sqlalchemy import Connection, create_engine

from store.tables import Base

config = context.config
connection = config.attributes.get("connection")


def _run(with_connection: Connection) -> None:
    context.configure(connection=with_connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


if connection is not None:
    _run(connection)
else:
    engine = create_engine(config.get_main_option("sqlalchemy.url") or "sqlite://")
    with engine.connect() as own:
        _run(own)
