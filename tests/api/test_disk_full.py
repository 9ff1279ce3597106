"""A disk that is full: 507, nothing lost, nothing half done, and all goes on when there is room again."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from domain.errors import Unavailable
from domain.jobs import JobState
from store.sources import FileSources
from tests.conftest import services_of
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.databases import SqliteTemplate
from tests.support.factories import H100, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

# A name as long as a name may be, so that the disk is full soon.
JOB = {
    "project": "speech",
    "command": ["run", "1m", "print", "x" * 50_000],
    "resources": {"flavor": H100},
    "held": True,
}


def fill(api: Api) -> tuple[list[int], Answer]:
    """Submit until it is refused: the ids that were accepted, and the refusal."""
    accepted = []
    for _ in range(500):
        answer = api.post("/jobs", JOB)
        if answer.status != 201:
            return accepted, answer
        accepted.append(answer.json["id"])
    raise AssertionError("the disk is not full")


def check(api: Api, centre: Centre, make_room: Callable[[], None]) -> None:
    running = centre.submit(spec(command="run 10m")).id
    centre.settle()
    accepted, refusal = fill(api)
    assert accepted
    assert (refusal.status, refusal.code) == (507, "disk-full")
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert refusal.json["detail"] == "the disk is full; nothing was changed"
    assert refusal.json["fixes"]
    # What is there can be read, and is all that was accepted.
    kept = {job["id"] for job in api.pages("/jobs", 1_000)}
    assert kept == {running, *accepted}
    assert api.get(f"/jobs/{accepted[-1]}").status == 200
    # The controller goes on trying, and loses nothing by it.
    for _ in range(5):
        centre.clock.advance(minutes=1)
        with contextlib.suppress(Unavailable):
            centre.observe()
        assert_sound(centre.database, centre.store)
    make_room()
    assert api.post("/jobs", JOB).status == 201
    centre.run()
    assert centre.job(running).state is JobState.SUCCEEDED
    assert {job["id"] for job in api.pages("/jobs", 1_000)} >= kept
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(1)
@on_sqlite
def test_a_database_that_may_not_grow(api: Api, centre: Centre) -> None:
    """SQLite itself is told how many pages it may have."""
    most = {"pages": 0}

    def bound(connection, _record, _proxy) -> None:
        connection.execute(f"PRAGMA max_page_count = {most['pages']}")

    (row,) = centre.database.rows("PRAGMA page_count")
    most["pages"] = row.page_count + 40
    event.listen(centre.database.engine, "checkout", bound)
    check(api, centre, lambda: most.update(pages=10**6))


@contextmanager
def small_disk(root: Path, size: str) -> Iterator[Path]:
    """A disk in memory, where we may mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk; the pragma's test stands for it")
    root.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", root], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", root], check=True)


@pytest.mark.promise(1)
def test_a_real_disk_without_room(sqlite_template: SqliteTemplate, open_api: Callable, tmp_path: Path) -> None:
    """A file system of two megabytes, part of which a stranger's file takes until it is removed."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        stranger = disk / "stranger"
        stranger.write_bytes(b"\0" * 500_000)
        with sqlite_template.copy(disk) as database:
            centre = Centre.found(database, tmp_path)
            api = open_api(services_of(centre, tmp_path)).as_(centre.population.tokens["admin"])
            check(api, centre, stranger.unlink)


def test_a_source_that_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        sources = FileSources(disk / "sources")
        with pytest.raises(Unavailable, match="cannot be stored"):
            sources.keep(b"x" * 2_000_000)
        assert list((disk / "sources").iterdir()) == []
        sources.keep(b"x" * 1_000)
