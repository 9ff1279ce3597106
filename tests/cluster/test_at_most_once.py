"""Promises 1, 2 and 4 on a real cluster: the controller dies at every moment of a job's way, and its driver with it.

It dies before and after each commit, before and after each call of the driver, and before and after each request of the
driver's that changes something on the cluster. Every pod is counted by its uid as it comes up.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.jobs import Array, JobSpec, JobState
from k8s.client import Answer, Client
from lifecycle import people
from lifecycle.lookout import Lookout
from lifecycle.submit import submit
from runtime.clock import SystemClock
from store.vault import FileVault
from tests.cluster.places import Census, Place
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.waiting import until
from tests.support import factories
from tests.support.centre import Centre
from tests.support.databases import Database, SqliteTemplate
from tests.support.mortal import Died

_KILLS = 100
_MOMENTS = 26  # more than there are on the way of one job
_LIFE_S = 3.0


class MortalClient(Client):
    """Requests that change something are moments of the controller's life, if it makes them itself."""

    beat: Callable[[], None] | None = None

    def call(self, method: str, path: str, **more: Any) -> Answer:
        counts = self.beat is not None and method != "GET" and threading.current_thread() is threading.main_thread()
        if counts and self.beat is not None:
            self.beat()
        answer = super().call(method, path, **more)
        if counts and self.beat is not None:
            self.beat()
        return answer


class Mortal:
    """A centre whose only cluster is a real one, and whose controller and driver die together."""

    def __init__(self, place: Place, database: Database, root: Path) -> None:
        self.place = place
        with database.store().write() as uow:
            made = factories.populate(uow, place.driver, SystemClock().now_ms())
        self.store = database.store()
        vault = FileVault(root / "secret.key")
        self.centre = Centre(
            database, SystemClock(), place.driver, vault, made, self.store, Lookout(self.store)  # type: ignore[arg-type]
        )  # fmt: skip
        self.centre.restart()
        self.expected: dict[int, tuple[int, int]] = {}  # pods, tasks

    def live(self, ends_at: int) -> bool:
        """One life, until it ends or there is nothing more to do. True if it ended."""
        self.place.driver.close()
        client = MortalClient(json.dumps(self.place.kubeconfig), timeout_s=5.0)
        self.place.driver = self.place.open(client=client)
        self.centre.driver = self.place.driver  # type: ignore[assignment]
        self.centre.restart(ends_at)
        client.beat = self.centre.life.moment
        self._submit(ends_at)

        def over() -> bool:
            self.centre.cycle()
            return not self._unfinished()

        try:
            until(over, _LIFE_S if ends_at else 90)
        except Died:
            return True
        except AssertionError:
            assert ends_at, "not all jobs came to their end"
        finally:
            client.beat = None
        return False

    def _submit(self, number: int) -> None:
        """Jobs of every kind, in turn."""
        kinds: list[tuple[dict[str, Any], int, int]] = [
            ({}, 1, 1), ({"needs": factories.resources(nodes=2)}, 2, 1), ({"array": Array(0, 2)}, 3, 3),
        ]  # fmt: skip
        options, pods, tasks = kinds[number % 3]
        spec = factories.spec(**options)
        spec = JobSpec(**{**_fields(spec), "image": "registry.example/train:1", "secrets": (), "env": {"KWOK_SECONDS": "0.2"}})  # fmt: skip
        with self.store.write() as uow:
            token = self.centre.population.tokens["dara"]
            job = submit(uow, people.authenticate(uow, token, self.centre.clock.now_ms()), spec, self.centre.clock.now_ms())  # fmt: skip
        self.expected[job.id] = (pods, tasks)

    def _unfinished(self) -> list[int]:
        with self.store.read() as uow:
            return [job.id for job in uow.jobs.many(list(self.expected)).values() if not job.state.final]


def _fields(spec: JobSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in JobSpec.__dataclass_fields__}


@pytest.fixture
def mortal(cluster: Cluster, sqlite_template: SqliteTemplate, tmp_path: Path) -> Iterator[Mortal]:
    place = Place(cluster, tmp_path)
    with sqlite_template.copy(tmp_path) as database:
        yield Mortal(place, database, tmp_path)
    place.close()


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(4)
def test_a_controller_that_dies_a_hundred_times_runs_every_job_once(mortal: Mortal) -> None:
    census = Census(mortal.place.cluster, mortal.place.namespace)
    died: Counter[int] = Counter()
    lives = 0
    while died.total() < _KILLS:
        moment = 1 + lives % _MOMENTS
        lives += 1
        assert lives < 3 * _KILLS, died
        died[moment] += mortal.live(moment)
    mortal.live(0)
    print(f"{died.total()} deaths in {lives} lives, {len(mortal.expected)} jobs")
    with mortal.store.read() as uow:
        jobs = uow.jobs.many(list(mortal.expected))
        assert Counter(job.state for job in jobs.values()) == {JobState.SUCCEEDED: len(mortal.expected)}
        assert uow.ledger.unbalanced() == []
        assert not any(uow.accounts.held().values())
    assert len([moment for moment, count in died.items() if count]) > 15, died
    for job_id, (pods, tasks) in mortal.expected.items():
        assert [attempt.id.number for attempt in mortal.centre.attempts(job_id)] == [1] * tasks
        ours = {uid for name, uids in census.pods.items() if name.split("-")[1] == str(job_id) for uid in uids}
        assert len(ours) == pods, (job_id, ours)
    census.end()
