"""The database's schema: compared with what this version of Baray knows, and brought up to date by Alembic.

Alembic is loaded only to migrate: it costs 10 MiB that a running centre has no use for.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from domain.errors import CannotStart
from store.engine import WRITES
from store.errors import translated

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"


def is_current(engine: Engine) -> bool:
    """True if there is nothing to migrate. Raises CannotStart if the database is from a newer version."""
    with translated(), engine.connect() as connection:
        revision = current(connection)
    known = sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("*_*.py"))
    if revision is not None and revision not in known:
        raise CannotStart(
            f"the database is of another version (revision {revision})",
            fix="start the version of Baray that wrote it, or restore a backup of this one",
        )
    return revision == known[-1]


def migrate(engine: Engine) -> None:
    """Bring the schema to this version. Raises CannotStart if the database is from a newer one."""
    from alembic import command  # noqa: PLC0415 - see above

    is_current(engine)
    config = _config()
    with translated(), engine.execution_options(**WRITES).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
