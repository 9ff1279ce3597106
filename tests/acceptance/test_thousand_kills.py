"""Promises 1 and 2 of a centre with a Kubernetes cluster: its controller is killed at every step of dispatch, a thousand times.

The steps, the store and the Kubernetes driver are the real ones; the cluster is the stand-in. See ``dying``.
"""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from domain.jobs import AttemptState, JobState
from k8s import names
from tests.acceptance.dying import MOMENTS, Siege, World
from tests.support.audit import assert_sound
from tests.support.databases import SQLITE, Database
from tests.support.marks import on_sqlite

pytestmark = [pytest.mark.promise(1), pytest.mark.promise(2)]

_SEASON = 50
_A = AttemptState
_RAN = {_A.SUCCEEDED, _A.FAILED}
_STOPPED = {_A.CANCELLED, _A.PREEMPTED}


def besiege(database: Database, root: Path, kills: int, seed: int) -> None:
    """In seasons: what is long over makes the stand-in slow."""
    print(f"seed {seed}")
    draw = random.Random(seed)
    died: Counter[str] = Counter()
    while died.total() < kills:
        world = World(database, root / f"after-{died.total()}", draw)
        try:
            siege = Siege(world)
            while siege.died.total() < min(_SEASON, kills - died.total()):
                siege.kill()
            siege.settle()
            ran_once(world)
        finally:
            world.close()
        died += siege.died
        print(f"{died.total()} died; {len(world.ends)} jobs, {siege.beside} went on beside their followers", flush=True)
        database.empty()
    print(dict(died))
    assert kills < 2 * len(MOMENTS) or set(MOMENTS) <= died.keys()


def ran_once(world: World) -> None:
    """Every job is over as it had to be, every attempt ran at most once, and nothing is left."""
    wrong = list(world.wrong)
    runs = dict(world.kube.runs)
    for job in world.jobs():
        attempts = world.attempts(job.id)
        usual = JobState.FAILED if world.ends[job.id] else JobState.SUCCEEDED
        if job.state is not usual and not (job.id in world.touched and job.state is JobState.CANCELLED):
            wrong.append(f"job {job.id} is {job.state}")
        for one in attempts:
            ranks = [world.begun[one.id, rank] for rank in range(len(one.placements))]
            if any(count > 1 for count in ranks) or (one.state in _RAN and set(ranks) != {1}):
                wrong.append(f"{one.id}, {one.state}, ran {ranks} times")
            if one.state not in (_RAN | _STOPPED if job.id in world.touched else _RAN):
                wrong.append(f"{one.id} is {one.state}: {one.detail}")
            if world.newest_ms.get(one.id, 0) > (one.ended_ms or 0) + 1_000:  # of which the cluster tells whole seconds
                wrong.append(f"{one.id}, {one.state}, began after its end")
            if one.state in _RAN and one.exit_code != world.ends[job.id]:
                wrong.append(f"{one.id} ended with {one.exit_code}")
            if one.bundle is None:
                runs.pop(names.object_name(one.id), 0)
        bundles = Counter(one.bundle for one in attempts if one.bundle is not None)
        wrong += [
            f"the bundle of {one.id} made more pods than it has members"
            for one in attempts
            if runs.pop(names.object_name(one.id, bundle=True), 0) > bundles[str(one.id)]
        ]
    wrong += [f"nobody asked for {name}" for name in runs]
    assert not wrong, "\n".join([*wrong, *_told(world)])
    assert world.kube.violations == []
    assert world.kube.strange == []
    assert_sound(world.database, world.store)
    with world.store.read() as uow:
        assert not any(uow.accounts.held().values())


def _told(world: World) -> list[str]:
    """What became of the jobs that were tried more than once, for who has to find out."""
    tried = [(job, world.attempts(job.id)) for job in world.jobs()]
    return [
        f"{one.id} {one.state}, {one.started_ms} to {one.ended_ms}: {one.detail}; {job.id in world.touched=}"
        for job, attempts in tried
        if len(attempts) > 1
        for one in attempts
    ]


def test_killed_at_every_step_of_dispatch_each_job_runs_once(database: Database, tmp_path: Path) -> None:
    kills = 30 if database.kind == SQLITE else 10
    besiege(database, tmp_path, kills, int(os.environ.get("BARAY_TEST_SEED", "1842")))


@pytest.mark.slow
@on_sqlite
def test_killed_a_thousand_times_each_job_runs_once(database: Database, tmp_path: Path) -> None:
    """``BARAY_TEST_KILLS`` makes it fewer: a thousand take five minutes."""
    kills = int(os.environ.get("BARAY_TEST_KILLS", "1000"))
    besiege(database, tmp_path, kills, int(os.environ.get("BARAY_TEST_SEED") or time.time_ns() % 1_000_000))
