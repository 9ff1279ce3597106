"""All data about a person in one file takes the same memory however much there is."""

import tracemalloc
import zipfile
from pathlib import Path

from domain.retention import DEFAULTS
from lifecycle.dossier import Dossier
from tests.support.centre import Centre

ROWS = 5_000
MOST_BYTES = 2**20


def test_an_export_of_many_rows_takes_no_more_memory_than_one_of_few(centre: Centre, tmp_path: Path) -> None:
    with centre.store.read() as uow:
        user = uow.people.user("dara")
    assert user is not None
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
    with centre.database.connect(writes=True) as connection:
        connection.exec_driver_sql(
            f"INSERT INTO acting (user_id, for_id, reason, from_ms, until_ms) {numbers} "
            f"SELECT {user.id}, 1, 'to help with a job that would not start, number ' || i, 1, 2 FROM n"
        )

    def written(name: str) -> int:
        tracemalloc.start()
        with centre.store.read() as uow, (tmp_path / name).open("wb") as file:
            Dossier(uow, centre.vault, user, DEFAULTS, "us", 1).write(file)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    written("warm.zip")
    peak = written("data.zip")
    assert peak < MOST_BYTES
    with zipfile.ZipFile(tmp_path / "data.zip") as archive:
        assert archive.read("acting.csv").count(b"\n") == ROWS + 1
        assert archive.read("index.html").count(b"would not start") == 200
        assert f"{ROWS} rows; all of them are in acting.csv".encode() in archive.read("index.html")
