"""An attempt runs at most once and its end is told truly, whatever is lost, late, doubled or done by hand on the cluster."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Unavailable
from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation
from k8s import names
from k8s.start import ARRIVES_S
from store.shelf import FileShelf
from tests.contracts.driver_contract import SLEEP, launch, log, running, seen, settled, until
from tests.k8s.rig import KubeRig
from tests.support.kube.table import JOBS, NAMESPACES, PODS

pytestmark = pytest.mark.promise(2)

S = AttemptState
ONE, TWO = AttemptId(1842, None, 1), AttemptId(1843, None, 1)
CREATES = r"/jobs\?"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[KubeRig]:
    made = KubeRig(tmp_path, patience_s=1.0, pace={"arrives_s": 0.5, "relist_s": 60.0})
    yield made
    made.kube.faults.lift()
    made.close()
    assert made.kube.strange == []
    assert made.kube.violations == []


def short(rig: KubeRig, attempt: AttemptId = ONE, **more: Any) -> Any:
    return launch(attempt, rig.node, run="echo ran; sleep 0.1", **more)


def ran_once(rig: KubeRig, attempt: AttemptId = ONE) -> Observation:
    """Its end, when its program ran exactly once."""
    end = settled(rig.driver, attempt)
    assert rig.kube.runs[names.object_name(attempt)] == 1
    assert log(rig.driver, attempt) == b"ran\n"
    return end


def start(rig: KubeRig, job: Any) -> None:
    """As dispatch does it: again and again, until it is taken."""

    def taken() -> bool:
        try:
            rig.driver.start(job)
        except Unavailable:
            return False
        return True

    until(taken)


# Creation

FAULTS = ("lose", "cut")


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unanswered_create_is_looked_up(rig: KubeRig, fault: str) -> None:
    getattr(rig.kube.faults, fault)("POST", CREATES)
    start(rig, short(rig))
    assert ran_once(rig).state is S.SUCCEEDED


def test_while_a_create_may_still_arrive_absence_proves_nothing(rig: KubeRig) -> None:
    until(lambda: rig.driver.observe().whole)
    late = rig.kube.faults.late("POST", CREATES)
    with pytest.raises(Unavailable, match="in time"):
        rig.driver.start(short(rig))
    assert rig.driver.observe() == rig.driver.observe().__class__((), False, None)
    rig.kube.faults.lift(late)
    until(lambda: seen(rig.driver, ONE))
    start(rig, short(rig))
    assert ran_once(rig).state is S.SUCCEEDED
    until(lambda: rig.driver.observe().whole)


def test_what_an_earlier_driver_sent_may_still_arrive_when_another_opens(rig: KubeRig) -> None:
    age = [0.0]
    rig.pace = {"monotonic": lambda: age[0]}  # type: ignore[dict-item]
    rig.reopen()
    assert rig.driver.eyes.synced
    assert not rig.driver.observe().whole
    age[0] += ARRIVES_S + 1
    assert rig.driver.observe().whole


def test_one_told_to_stop_before_its_late_create_arrives_is_stopped_when_it_does(rig: KubeRig) -> None:
    late = rig.kube.faults.late("POST", CREATES)
    with pytest.raises(Unavailable):
        rig.driver.start(launch(ONE, rig.node, command=SLEEP))
    rig.driver.stop(ONE, 1_000)
    rig.kube.faults.lift(late)
    assert settled(rig.driver, ONE).state is S.CANCELLED


def test_a_cluster_that_is_busy_is_asked_again(rig: KubeRig) -> None:
    rig.kube.faults.fail(429, "POST", CREATES, times=3)
    start(rig, short(rig))
    assert ran_once(rig).state is S.SUCCEEDED


@pytest.mark.parametrize("code", [500, 503, 504, 403])
def test_a_cluster_in_trouble_takes_it_later(rig: KubeRig, code: int) -> None:
    rig.kube.faults.fail(code, "POST", CREATES, times=2)
    start(rig, short(rig))
    assert ran_once(rig).state is S.SUCCEEDED


def test_a_name_that_is_anothers_fails_loudly(rig: KubeRig) -> None:
    rig.driver.start(short(rig, TWO))
    settled(rig.driver, TWO)
    found = rig.kube.get(JOBS, names.object_name(TWO), rig.namespace)
    assert found is not None
    about = {"name": names.object_name(ONE), "labels": {"theirs": "yes"}}
    spec = {"template": found["spec"]["template"], "suspend": True}
    spec["template"]["metadata"]["labels"] = {}
    rig.admin.create(f"/apis/batch/v1/namespaces/{rig.namespace}/jobs", {"apiVersion": "batch/v1", "kind": "Job", "metadata": about, "spec": spec})  # fmt: skip
    rig.driver.start(short(rig))
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (S.FAILED, None)
    assert "another Job called j-1842-a1" in end.detail
    assert rig.kube.runs[names.object_name(ONE)] == 0
    rig.driver.stop(ONE, 0)
    rig.driver.forget(ONE)
    assert seen(rig.driver, ONE) is None
    assert rig.kube.get(JOBS, names.object_name(ONE), rig.namespace) is not None


def test_one_that_is_asked_for_differently_fails_loudly(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, command=SLEEP))
    running(rig.driver, ONE)
    rig.driver.start(launch(ONE, "node-2", command=("sleep", "299")))
    assert "another Job" in settled(rig.driver, ONE).detail
    rig.driver.forget(ONE)
    running(rig.driver, ONE)  # what is there under that name comes to light, and is a stray
    rig.driver.stop(ONE, 1_000)
    assert settled(rig.driver, ONE).state is S.CANCELLED
    assert rig.kube.runs[names.object_name(ONE)] == 1


@pytest.mark.parametrize("fault", [*FAULTS, "fail"])
def test_a_satellite_that_was_not_made_is_made_by_the_next_start(rig: KubeRig, fault: str) -> None:
    job = short(rig, secrets={"TOKEN": "s3cret"})
    if fault == "fail":
        rig.kube.faults.fail(500, "POST", "/secrets", times=2)
    else:
        getattr(rig.kube.faults, fault)("POST", "/secrets", times=2)
    start(rig, job)
    assert ran_once(rig).state is S.SUCCEEDED


# Two at once, and restarts in between


def test_two_controllers_by_mistake_start_and_stop_the_same(rig: KubeRig, tmp_path: Path) -> None:
    shelves = [FileShelf(tmp_path / name, log_limit_bytes=1 << 20, output_limit_bytes=1 << 20) for name in "ab"]
    others = [rig.made(shelf) for shelf in shelves]
    job = launch(ONE, rig.node, run="echo ran; sleep 300")

    def both(driver: Any) -> None:
        for _ in range(3):
            driver.start(job)

    threads = [threading.Thread(target=both, args=(driver,)) for driver in (rig.driver, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running(rig.driver, ONE)
    until(lambda: log(rig.driver, ONE))
    for driver in (rig.driver, *others):
        driver.stop(ONE, 1_000)
    assert ran_once(rig).state is S.CANCELLED
    assert [settled(driver, ONE).state for driver in others] == [S.CANCELLED] * 2
    for driver in others:
        driver.forget(ONE)
        driver.close()
    rig.driver.forget(ONE)
    until(lambda: rig.driver.observe().observations == ())


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_killed_at_every_request_it_runs_once(rig: KubeRig, fault: str) -> None:
    """At every request that changes something the driver dies, and another begins anew."""
    at = 0
    while _live(rig, AttemptId(100 + at, None, 1), fault, at):
        at += 1
    assert at >= 4  # the object, its Secret, its stop, its end


def _live(rig: KubeRig, attempt: AttemptId, fault: str, dies_at: int) -> bool:
    """Start, stop and forget an attempt, with a driver that dies at the request of that number. True if it came to that."""
    job = launch(attempt, rig.node, run="echo ran; sleep 300", secrets={"TOKEN": "x"})
    counted = 0
    died = threading.Event()
    plain = rig.kube.faults.around

    def around(handler: Any, request: Any) -> Any:
        nonlocal counted
        if request.method != "GET" and attempt_in(request, attempt):
            counted += 1
            if counted == dies_at + 1:
                died.set()
                getattr(rig.kube.faults, fault)(request.method, request.path)
        return plain(handler, request)

    rig.kube.faults.around = around  # type: ignore[method-assign]

    def again(deed: Any) -> Any:
        """Until it is through; a driver that died is followed by another."""

        def through() -> Any:
            try:
                answer = deed(rig.driver)
            except Unavailable:
                answer = None
            if died.is_set() and answer is None:
                rig.reopen()
            return answer

        return until(through)

    try:
        again(lambda driver: driver.start(job) or True)
        if died.is_set():
            rig.reopen().start(job)
        until(lambda: (found := seen(rig.driver, attempt)) and found.state is S.RUNNING)
        again(lambda driver: driver.stop(attempt, 2_000) or True)
        if died.is_set():
            rig.reopen().stop(attempt, 2_000)
        assert settled(rig.driver, attempt).state is S.CANCELLED
        again(lambda driver: driver.forget(attempt) or True)
        if died.is_set():
            rig.reopen()
            until(lambda: rig.driver.forget(attempt) or seen(rig.driver, attempt) is None)
    finally:
        rig.kube.faults.around = plain  # type: ignore[method-assign]
    assert rig.kube.runs[names.object_name(attempt)] == 1, f"died at {dies_at}"
    return died.is_set()


def attempt_in(request: Any, attempt: AttemptId) -> bool:
    name = names.object_name(attempt)
    return name in request.path or name.encode() in (request.body or b"")


# What is seen


def test_lost_doubled_delayed_and_reordered_events_are_harmless(tmp_path: Path) -> None:
    rig = KubeRig(tmp_path, pace={"relist_s": 2.0, "arrives_s": 0.5})
    turn = 0
    held: list[Any] = []

    def edit(resource: Any, event: Any) -> list[Any]:
        nonlocal turn
        turn += 1
        if turn % 5 == 0:
            return []  # lost
        if turn % 3 == 0:
            return [event, event]
        if turn % 7 == 0:
            held.append(event)
            return []
        old, held[:] = list(held), []
        return [event, *[one for one in old if one["object"]["kind"] == event["object"]["kind"]]]

    rig.kube.watches.edit = edit
    attempts = [AttemptId(500 + number, None, 1) for number in range(12)]
    try:
        for number, attempt in enumerate(attempts):
            start(rig, launch(attempt, rig.node, run=f"echo ran; exit {number % 3}"))
        for number, attempt in enumerate(attempts):
            end = ran_once(rig, attempt)
            assert (end.state is S.SUCCEEDED) is (number % 3 == 0)
            assert end.exit_code == number % 3
            rig.driver.forget(attempt)
        until(lambda: rig.driver.observe().observations == ())
    finally:
        rig.close()


def test_history_that_is_gone_is_listed_anew(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, command=SLEEP))
    running(rig.driver, ONE)
    for _ in range(3):
        rig.kube.compact()
        rig.kube.watches.lost += 1
        assert seen(rig.driver, ONE) is not None
    rig.driver.start(short(rig, TWO))
    assert ran_once(rig, TWO).state is S.SUCCEEDED
    rig.driver.stop(ONE, 1_000)
    assert settled(rig.driver, ONE).state is S.CANCELLED


def test_a_cluster_that_restarts_is_found_again(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, run="echo ran; sleep 1"))
    running(rig.driver, ONE)
    rig.kube.restart()
    start(rig, short(rig, TWO))
    assert ran_once(rig, TWO).state is S.SUCCEEDED
    assert ran_once(rig).state is S.SUCCEEDED


@pytest.mark.slow
def test_a_cluster_out_of_sight_is_told_to_be_silent_and_loses_nothing(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, run="echo ran; sleep 3; exit 5"))
    running(rig.driver, ONE)
    rig.kube.refuse()
    began = time.time_ns() // 1_000_000
    sight = until(lambda: (found := rig.driver.observe()).silent_ms is not None and found, 20)
    assert abs(sight.silent_ms - began) < 6_000
    assert not sight.whole
    assert [one.state for one in sight.observations] == [S.RUNNING]
    rig.kube.accept()
    end = ran_once(rig)
    assert (end.state, end.exit_code) == (S.FAILED, 5)
    until(lambda: (found := rig.driver.observe()).silent_ms is None and found.whole)


# Done by hand on the cluster


def test_a_job_deleted_by_hand_has_vanished_and_its_pods_are_ended(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, run="echo ran; sleep 300"))
    running(rig.driver, ONE)
    until(lambda: log(rig.driver, ONE))
    rig.admin.delete(f"/apis/batch/v1/namespaces/{rig.namespace}/jobs/{names.object_name(ONE)}")
    end = ran_once(rig)
    assert (end.state, end.detail) == (S.VANISHED, "It was deleted on the cluster by somebody else.")
    rig.driver.forget(ONE)
    until(lambda: rig.kube.get(JOBS, names.object_name(ONE), rig.namespace) is None)


def test_a_job_struck_off_by_force_is_not_there(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, command=SLEEP))
    running(rig.driver, ONE)
    rig.kube.edit(JOBS, names.object_name(ONE), rig.namespace, lambda job: job["metadata"].update(finalizers=[]))
    rig.admin.delete(f"/apis/batch/v1/namespaces/{rig.namespace}/jobs/{names.object_name(ONE)}")
    until(lambda: rig.driver.observe().whole and seen(rig.driver, ONE) is None)


def test_a_pod_deleted_by_hand_ends_its_attempt(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, run="echo ran; sleep 300"))
    running(rig.driver, ONE)
    until(lambda: log(rig.driver, ONE))
    (pod,) = rig.kube.all(PODS, rig.namespace)
    rig.admin.delete(f"/api/v1/namespaces/{rig.namespace}/pods/{pod['metadata']['name']}")
    end = ran_once(rig)
    assert end.state is S.VANISHED
    assert "somebody else" in end.detail


def test_a_namespace_deleted_under_running_jobs_is_told_and_made_again(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, run="echo ran; sleep 300"))
    running(rig.driver, ONE)
    until(lambda: log(rig.driver, ONE))
    rig.admin.delete(f"/api/v1/namespaces/{rig.namespace}")
    with pytest.raises(Unavailable):
        rig.driver.start(short(rig, TWO))
    assert settled(rig.driver, ONE).state is S.VANISHED
    rig.driver.forget(ONE)
    until(lambda: rig.kube.get(NAMESPACES, rig.namespace) is None)
    start(rig, short(rig, TWO))
    assert ran_once(rig, TWO).state is S.SUCCEEDED


def test_a_forgotten_attempt_keeps_its_name_taken(rig: KubeRig) -> None:
    rig.driver.start(short(rig))
    end = ran_once(rig)
    rig.driver.forget(ONE)
    found = rig.kube.get(JOBS, names.object_name(ONE), rig.namespace)
    assert found is not None
    assert found["spec"]["ttlSecondsAfterFinished"] == 3_600
    assert "finalizers" not in found["metadata"] or names.FINALIZER not in found["metadata"]["finalizers"]
    until(lambda: rig.kube.all(PODS, rig.namespace) == [])
    rig.reopen().start(short(rig))
    assert settled(rig.driver, ONE) == end
    assert ran_once(rig) == end
