"""Many jobs at once ask a cluster for little: what is known already is not asked for again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.ids import AttemptId
from tests.contracts.driver_contract import launch, settled, until
from tests.k8s.rig import KubeRig
from tests.support.kube.table import PODS

MANY = 10
JOB = re.compile(r"/jobs/")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[KubeRig]:
    made = KubeRig(tmp_path)
    yield made
    made.kube.faults.lift()
    made.close()
    assert made.kube.strange == []
    assert made.kube.violations == []


def test_a_plain_job_costs_a_create_a_log_and_a_patch(rig: KubeRig) -> None:
    attempts = [AttemptId(number, None, 1) for number in range(1, MANY + 1)]
    for attempt in attempts:
        rig.driver.start(launch(attempt, rig.node, run="echo ran"))
    for attempt in attempts:
        settled(rig.driver, attempt)
    for attempt in attempts:
        rig.driver.forget(attempt)
    until(lambda: not rig.kube.all(PODS, rig.namespace))
    asked = list(rig.kube.faults.requests)
    assert sum(method == "PATCH" and JOB.search(path) is not None for method, path in asked) == MANY
    logs = sum(method == "GET" and "/log?" in path for method, path in asked)
    assert MANY <= logs <= 2 * MANY  # some are looked at while they run
    looks = sum(method == "GET" and JOB.search(path) is not None for method, path in asked)
    assert looks <= 2  # one that seems to be stuck may be, on a slow machine
    sweeps = [path for method, path in asked if method == "DELETE" and "/pods?" in path]
    assert 1 <= len(sweeps) < MANY


def test_what_changed_since_it_was_seen_is_forgotten_all_the_same(rig: KubeRig) -> None:
    attempt = AttemptId(1, None, 1)
    rig.driver.start(launch(attempt, rig.node, run="echo ran"))
    settled(rig.driver, attempt)
    refusal = rig.kube.faults.fail(409, "PATCH", r"/jobs/")
    rig.driver.forget(attempt)
    assert refusal.hits == 1
    until(lambda: not rig.kube.all(PODS, rig.namespace))


def test_a_quota_that_is_counted_just_then_is_no_obstacle(rig: KubeRig) -> None:
    refusal = rig.kube.faults.fail(409, "POST", r"/jobs\?", times=2)
    attempt = AttemptId(1, None, 1)
    rig.driver.start(launch(attempt, rig.node, run="echo ran"))
    assert refusal.hits == 2
    settled(rig.driver, attempt)
