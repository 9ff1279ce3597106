"""The database's schema: brought up to date by Alembic, and compared with what this version of Baray knows."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from domain.errors import CannotStart
from store.engine import WRITES
from store.errors import translated


def migrate(engine: Engine) -> None:
    """Bring the schema to this version. Raises CannotStart if the database is from a newer one."""
    config = _config()
    with translated(), engine.execution_options(**WRITES).begin() as connection:
        revision = current(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision is not None and revision not in known:
            raise CannotStart(
                f"the database is of another version (revision {revision})",
                fix="start the version of Baray that wrote it, or restore a backup of this one",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
