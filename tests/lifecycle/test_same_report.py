"""Promise 5: the same ledger gives the same report, byte for byte, on both databases and in any process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle.ports import Store
from lifecycle.report import KINDS, usage
from store.engine import open_engine
from store.unit_of_work import Store as SqlStore
from tests.support.centre import Centre
from tests.support.databases import PostgresqlDatabase, SqliteTemplate
from tests.support.factories import A100, CPU, H100, resources, spec
from tests.support.marks import on_sqlite


def work(centre: Centre) -> None:
    """Every project and flavor, submitted in an order that is no order."""
    for project, flavor in (("vision", A100), ("flood", H100), ("speech", H100), ("vision", CPU), ("speech", A100)):
        gpus = 0 if flavor == CPU else 1
        centre.submit(spec(project, needs=resources(gpus, flavor), command="run 7m"), "admin")
    centre.run()


def told(store: Store) -> str:
    with store.read() as uow:
        return "\n".join(
            str((usage(uow, by, None, None, None), usage(uow, by, None, None, None).total)) for by in KINDS
        )


if __name__ == "__main__":  # what the subprocesses below run
    engine = open_engine(sys.argv[1])
    print(told(SqlStore(engine)))
    engine.dispose()


@pytest.mark.promise(5)
def test_both_databases_tell_the_same(
    sqlite_template: SqliteTemplate, postgresql_database: PostgresqlDatabase, tmp_path: Path
) -> None:
    answers = set()
    for lent in (sqlite_template.copy(tmp_path), postgresql_database.lend()):
        with lent as database:
            centre = Centre.found(database, tmp_path)
            work(centre)
            answers.add(told(centre.store))
    assert len(answers) == 1


@pytest.mark.promise(5)
def test_lines_and_flavors_stand_in_order(centre: Centre) -> None:
    work(centre)
    with centre.store.read() as uow:
        for by in KINDS:
            statement = usage(uow, by, None, None, None)
            keys = [line.key for line in statement.lines]
            assert keys == sorted(keys)
            for line in (*statement.lines, statement.total):
                assert list(line.gpu_ms) == sorted(line.gpu_ms)


@pytest.mark.promise(5)
@on_sqlite
def test_processes_with_different_hash_seeds_tell_the_same(centre: Centre) -> None:
    work(centre)
    answers = {
        subprocess.run(
            [sys.executable, "-m", "tests.lifecycle.test_same_report", centre.database.url],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "1", "4242")
    }
    assert answers == {told(centre.store)}
