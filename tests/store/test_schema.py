"""The migrations build what the models say, to the last partial index and check; and know their own versions."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from domain.errors import CannotStart
from store.engine import WRITES, open_engine
from store.live import Live
from store.schema import _config, current, is_current, migrate
from store.tables import Base
from tests.support.databases import POSTGRESQL, Database

MODELS = "models"


def test_alembic_finds_nothing_to_migrate(database: Database) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrated_schema_is_that_of_the_models(database: Database, tmp_path) -> None:
    with database.connect() as connection:
        migrated = described(connection, None)
    with built_from_models(database, tmp_path) as (connection, schema):
        modelled = described(connection, schema)
    assert migrated.keys() == modelled.keys()
    for table, wanted in modelled.items():
        assert migrated[table] == wanted, f"table {table}"


def test_what_the_database_itself_must_refuse_is_in_the_migrated_schema(database: Database) -> None:
    """Named one by one, so that neither models nor migrations can drop them together."""
    with database.connect() as connection:
        found = described(connection, None)
    live = {"dispatching", "lost", "running", "starting", "stopping"}
    (index,) = [index for index in found["attempt"]["indexes"] if index["name"] == "uq_attempt_live"]
    assert index["unique"]
    assert index["columns"] == ["job_id", "task_index"]
    assert all(state in index["where"] for state in live)
    checks = {name for table in found.values() for name in table["checks"]}
    assert checks == {
        "ck_book_no_overdraft",
        "ck_holding_not_negative",
        "ck_node_capacity",
        "ck_node_not_negative",
    }
    assert ["name"] in found["ledger_transaction"]["uniques"]
    assert ["job_id", "task_index", "number"] in found["attempt"]["uniques"]


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.connect() as connection:
        before = current(connection)
    migrate(database.engine)
    with database.connect() as connection:
        assert current(connection) == before is not None


def test_a_database_of_a_newer_version_is_left_alone(tmp_path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'newer.db'}")
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotStart, match="of another version .revision 9999."):
        migrate(engine)
    engine.dispose()


def test_an_empty_database_has_no_version(tmp_path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with engine.connect() as connection:
        assert current(connection) is None
    assert not is_current(engine)
    migrate(engine)
    assert is_current(engine)
    engine.dispose()


def test_a_running_centre_does_not_carry_the_migrations_tools() -> None:
    """They are needed once, in a child that ends: 10 MiB."""
    found = subprocess.run(
        [sys.executable, "-c", "import runtime.wiring, sys; print('alembic' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "False"


@contextmanager
def built_from_models(database: Database, root) -> Iterator[tuple[Connection, str | None]]:
    """The models' tables beside the migrated ones, without a migration."""
    if database.kind == POSTGRESQL:
        with database.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {MODELS}")
            Base.metadata.create_all(connection.execution_options(schema_translate_map={None: MODELS}))
            yield connection, MODELS
            connection.rollback()
        return
    engine = open_engine(f"sqlite:///{root / 'models.db'}")
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        yield connection, None
    engine.dispose()


def described(connection: Connection, schema: str | None) -> dict[str, dict[str, Any]]:
    """Tables with their columns, keys, constraints and indexes, in one order."""
    look = inspect(connection)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], _plain(column["default"], schema))
                for column in look.get_columns(table, schema)
            },
            "key": look.get_pk_constraint(table, schema)["constrained_columns"],
            "references": sorted(
                (key["constrained_columns"], key["referred_table"], key["referred_columns"], str(key["options"]))
                for key in look.get_foreign_keys(table, schema)
            ),
            "uniques": sorted(unique["column_names"] for unique in look.get_unique_constraints(table, schema)),
            "checks": {
                check["name"]: _plain(check["sqltext"], schema) for check in look.get_check_constraints(table, schema)
            },
            "indexes": sorted(
                (
                    {
                        "name": index["name"],
                        "columns": index["column_names"],
                        "unique": bool(index["unique"]),
                        "where": _where(index.get("dialect_options", {})),
                    }
                    for index in look.get_indexes(table, schema)
                    if "duplicates_constraint" not in index
                ),
                key=lambda index: str(index["name"]),
            ),
        }
        for table in sorted(look.get_table_names(schema))
        if table != "alembic_version"
    }


def _where(options: dict[str, Any]) -> str:
    where = options.get("sqlite_where", options.get("postgresql_where"))
    return _plain(str(where), None) if where is not None else ""


def _plain(text: Any, schema: str | None) -> str | None:
    return None if text is None else " ".join(str(text).replace(f"{schema}.", "").split())


def test_jobs_that_wait_when_the_planner_comes_are_planned_by_what_they_asked(tmp_path) -> None:
    """Rows written by the first schema get the column that the planner reads."""
    engine = open_engine(f"sqlite:///{tmp_path / 'old.db'}")
    spec = (
        '{"project":"p","name":"n","resources":[["h100-80gb"],4,1,8,1024,3600000],"command":["x"],'
        '"array":[0,9,1,2],"qos":"normal","restartable":true,"stop_signal":"SIGTERM","grace_ms":10000}'
    )
    config = _config()
    with engine.execution_options(**WRITES).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO account (id, kind, name, title, state, weight, version) VALUES (1, 'project', 'p', '', 'active', 1, 1)"
        )
        connection.exec_driver_sql("INSERT INTO user (id, name, title) VALUES (1, 'u', '')")
        for job, ended in ((1, None), (2, 5)):
            connection.exec_driver_sql(
                "INSERT INTO job (id, project_id, user_id, name, state, spec, tasks, next_index, startable, active, held,"
                " cancelled, submitted_ms, ended_ms, version) VALUES (?, 1, 1, 'n', ?, ?, 10, 0, ?, 0, 0, 0, 1, ?, 1)",
                (job, "pending" if ended is None else "failed", spec, 10 if ended is None else 0, ended),
            )
    migrate(engine)
    with engine.connect() as connection:
        (waiting,) = Live(connection).waiting()
    job = waiting.job
    assert (waiting.name, job.resources.gpus, job.resources.walltime_ms, len(job.fresh), job.parallel_left) == (
        "n", 4, 3_600_000, 10, 2,
    )  # fmt: skip
    engine.dispose()
