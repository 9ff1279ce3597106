"""What a cluster's objects mean: every way to wait, to run and to end, from made-up objects."""

from typing import Any

import pytest

from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation
from k8s import marks, names, trim
from k8s.marks import Stop, Why
from k8s.status import indices, is_evicted, lags, lasting, observations, observe
from k8s.units import Unit
from k8s.waiting import waits_for
from tests.k8s.objects import (
    BEGAN_MS,
    COMPLETE,
    ENDED_MS,
    FAILED,
    LATE,
    NAMESPACE,
    ONE,
    condition,
    ended,
    job,
    pod,
    running,
    unit,
)
from tests.k8s.objects import waiting as waits

S = AttemptState


def see(found: Unit, stop: Stop | None = None) -> Observation:
    return observe(found, 0, stop)


def disrupted(reason: str, message: str = "") -> dict[str, Any]:
    return condition("DisruptionTarget", reason, message)


# What is not an end

NOT_OVER = {
    "no pods yet": unit(job()),
    "running": unit(job(active=1), pod(running())),
    "its container ended, the Job has not said so": unit(job(active=1), pod(ended(0))),
    "success criteria met is no end": unit(job(condition("SuccessCriteriaMet"), terminating=1), pod(ended(0), deleted=True)),
    "failure target is no end": unit(job(condition("FailureTarget"), terminating=1), pod(running(), deleted=True)),
    "Failed with a pod that is still terminating": unit(job(FAILED, terminating=1), pod(ended(3), phase="Failed")),
    "Failed by its object, while its pod runs": unit(job(FAILED), pod(running())),
    "Complete, while another rank runs": unit(job(COMPLETE, pods=2), pod(ended(0), phase="Succeeded"), pod(running(), rank=1)),
    "suspended": unit(job(condition("Suspended"), suspend=True)),
    "being deleted, its pod still there": unit(job(deleted=True), pod(running(), deleted=True)),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_OVER)
@pytest.mark.parametrize("stop", [None, Stop(Why.ASKED), Stop(Why.WALLTIME)])
def test_nothing_else_ends_an_attempt(case: str, stop: Stop | None) -> None:
    seen = see(NOT_OVER[case], stop)
    assert not seen.state.final
    assert (seen.state is S.STOPPING) is (stop is not None)
    assert (seen.ended_ms, seen.exit_code, seen.signal) == (None, None, None)


def test_it_runs_when_all_its_ranks_do() -> None:
    owner = job(pods=2, active=2)
    assert see(unit(owner, pod(running()))).state is S.STARTING
    assert (
        see(unit(owner, pod(running()), pod(waits("ContainerCreating"), phase="Pending", rank=1))).state is S.STARTING
    )
    both = see(unit(owner, pod(running()), pod(running(), rank=1)))
    assert (both.state, both.started_ms) == (S.RUNNING, BEGAN_MS)
    assert see(unit(owner, pod(ended(0)), pod(running(), rank=1))).state is S.RUNNING


# What it waits for

WAITS = {
    "nothing is said": (unit(job()), ""),
    "quota": (unit(job(), said=("pods are forbidden: exceeded quota",)), "The cluster makes no pods for it: pods are forbidden: exceeded quota"),
    "suspended": (unit(job(suspend=True)), "It is suspended on the cluster."),
    "unschedulable": (
        unit(job(), pod(phase="Pending", conditions=(condition("PodScheduled", "Unschedulable", "0/3 nodes are available", "False"),))),
        "No node takes it: 0/3 nodes are available.",
    ),
    "image": (
        unit(job(), pod(waits("ImagePullBackOff", 'Back-off pulling image "registry/x:1": ErrImagePull: 401 Unauthorized'), phase="Pending")),
        'The image registry/x:1 cannot be pulled: Back-off pulling image "registry/x:1": ErrImagePull: 401 Unauthorized.',
    ),
    "an older kubelet tells why in an event alone": (
        unit(job(), pod(waits("ImagePullBackOff", 'Back-off pulling image "registry/x:1"'), phase="Pending"), said=("Failed to pull: not found",)),
        "The image registry/x:1 cannot be pulled: Failed to pull: not found.",
    ),
    "image's name": (unit(job(), pod(waits("InvalidImageName", "couldn't parse"), phase="Pending")), "The image registry/x:1 cannot be pulled: couldn't parse."),
    "secret": (
        unit(job(), pod(waits("CreateContainerConfigError", 'secret "j-1842-a1" not found'), phase="Pending")),
        'Its container cannot be started: secret "j-1842-a1" not found.',
    ),
    "the source": (
        unit(job(), pod(phase="Pending", steps={names.FETCH: waits("CreateContainerError", "no space")})),
        "Its source cannot be brought: no space.",
    ),
    "a rank of several": (
        unit(job(pods=2), pod(running()), pod(waits("ErrImagePull", "denied"), phase="Pending", rank=1)),
        "Rank 1: The image registry/x:1 cannot be pulled: denied.",
    ),
    "creating": (unit(job(), pod(waits("ContainerCreating"), phase="Pending")), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", WAITS)
def test_what_it_waits_for_is_said(case: str) -> None:
    found, words = WAITS[case]
    seen = see(found)
    assert (seen.state, seen.detail) == (S.STARTING, words)


def test_what_will_never_start_is_told_apart_from_what_may_yet() -> None:
    assert waits_for(unit(job(), pod(waits("InvalidImageName"), phase="Pending")), 0).hopeless
    pulling = waits_for(unit(job(), pod(waits("ImagePullBackOff", "Back-off"), phase="Pending")), 0)
    assert (pulling.hopeless, pulling.stuck_ms, pulling.vague) == (False, 1_767_261_660_000, True)
    assert waits_for(unit(job()), 0).vague


def workload(*conditions: dict[str, Any]) -> dict[str, Any]:
    return trim.workload({"metadata": {"name": "w", "uid": "w"}, "status": {"conditions": list(conditions)}})


KUEUE = {
    "": "It waits for Kueue.",
    "insufficient unused quota for nvidia.com/gpu": "It waits for Kueue: insufficient unused quota for nvidia.com/gpu.",
}


@pytest.mark.parametrize("message", KUEUE)
def test_kueues_reason_is_told(message: str) -> None:
    held = workload(condition("QuotaReserved", "Pending", message, "False"))
    assert see(unit(job(suspend=True), workload=held)).detail == KUEUE[message]


def test_kueues_tokens_are_put_into_words() -> None:
    held = workload(condition("QuotaReserved", "WaitingForQuota", "2 more needed", "False"))
    found = unit(job(suspend=True), workload=held)
    assert see(found).detail == "It waits for Kueue: its queue's quota is taken (2 more needed.)"
    assert is_evicted(found) is None
    gone = workload(
        condition("QuotaReserved", "", "", "False"), condition("Evicted", "Preempted", "Preempted to accommodate")
    )
    assert is_evicted(unit(job(suspend=True), workload=gone)) == "Preempted to accommodate"


# How it ended: state, exit code, signal, out of memory, words

ENDS: dict[str, tuple[Unit, Stop | None, tuple[Any, ...]]] = {
    "success": (unit(job(COMPLETE), pod(ended(0), phase="Succeeded")), None, (S.SUCCEEDED, 0, None, False, "")),
    "a success whose outputs were not collected": (
        unit(job(COMPLETE), pod(ended(0), phase="Succeeded", steps={names.COLLECT: ended(1, message="no space")})), None,
        (S.SUCCEEDED, 0, None, False, "Its outputs could not be collected: no space"),
    ),
    "exit code": (unit(job(FAILED), pod(ended(3), phase="Failed")), None, (S.FAILED, 3, None, False, "")),
    "signal": (unit(job(FAILED), pod(ended(139), phase="Failed")), None, (S.FAILED, None, 11, False, "It was ended by SIGSEGV.")),
    "255 is no signal": (unit(job(FAILED), pod(ended(255), phase="Failed")), None, (S.FAILED, 255, None, False, "")),
    "out of memory": (
        unit(job(FAILED), pod(ended(137, "OOMKilled"), phase="Failed")), None,
        (S.FAILED, None, 9, True, "It needed more than its 8Gi of memory on n1, and the kernel killed a process of it."),
    ),
    "no such program": (
        unit(job(FAILED), pod(ended(128, "StartError", 'exec: "no-such": executable file not found in $PATH'), phase="Failed")), None,
        (S.FAILED, 127, None, False, 'Its container could not be started: exec: "no-such": executable file not found in $PATH'),
    ),
    "a program that may not be run": (
        unit(job(FAILED), pod(ended(128, "StartError", 'exec: "./x": permission denied'), phase="Failed")), None,
        (S.FAILED, 126, None, False, 'Its container could not be started: exec: "./x": permission denied'),
    ),
    "the first rank that failed is to blame": (
        unit(job(FAILED, pods=3), pod(ended(143), phase="Failed", deleted=True), pod(ended(5), phase="Failed", rank=1),
             pod(ended(1, at="2026-01-01T10:00:36Z"), phase="Failed", rank=2)), None,
        (S.FAILED, 5, None, False, "Rank 1 on n1 ended with exit code 5; the other ranks were stopped."),
    ),
    "the source was not brought": (
        unit(job(FAILED), pod(waits("PodInitializing"), phase="Failed", steps={names.FETCH: ended(1, message="log\nThe checksum differs.")})), None,
        (S.FAILED, None, None, False, "Its source could not be brought: The checksum differs."),
    ),
    "cancelled": (unit(job(LATE), pod(ended(143), phase="Failed", deleted=True)), Stop(Why.ASKED), (S.CANCELLED, None, 15, False, "")),
    "cancelled, and it ended well by that": (unit(job(COMPLETE), pod(ended(0), phase="Succeeded", deleted=True)), Stop(Why.ASKED), (S.CANCELLED, 0, None, False, "")),
    "done before the stop came": (unit(job(COMPLETE), pod(ended(0), phase="Succeeded")), Stop(Why.ASKED), (S.SUCCEEDED, 0, None, False, "")),
    "cancelled and killed": (
        unit(job(LATE), pod(ended(137), phase="Failed", deleted=True)), Stop(Why.ASKED),
        (S.CANCELLED, None, 9, False, "It did not end within its grace after the stop signal, and was killed."),
    ),
    "cancelled before it started": (unit(job(LATE)), Stop(Why.ASKED), (S.CANCELLED, None, None, False, "It was cancelled before it was started.")),
    "walltime": (unit(job(LATE), pod(ended(143), phase="Failed", deleted=True)), Stop(Why.WALLTIME), (S.TIMED_OUT, None, 15, False, "It reached its walltime of 1m.")),
    "the cluster's own deadline": (unit(job(LATE), pod(ended(143), phase="Failed", deleted=True)), None, (S.TIMED_OUT, None, 15, False, "It reached its walltime of 1m.")),
    "never started in time": (unit(job(LATE), said=("no quota",)), None, (S.FAILED, None, None, False, "It could not be started in time. no quota")),
    "hopeless": (unit(job(LATE)), Stop(Why.HOPELESS, say="The image cannot be pulled."), (S.FAILED, None, None, False, "The image cannot be pulled.")),
    "Kueue took its place": (unit(job(deleted=True)), Stop(Why.EVICTED, say="Kueue took its place away: fair sharing"), (S.PREEMPTED, None, None, False, "Kueue took its place away: fair sharing")),
    "preempted by the scheduler": (
        unit(job(FAILED), pod(ended(143), phase="Failed", deleted=True, conditions=(disrupted("PreemptionByScheduler"),))), None,
        (S.PREEMPTED, None, 15, False, "It made way for a pod of higher priority on n1."),
    ),
    "node lost": (
        unit(job(FAILED), pod(running(), phase="Failed", deleted=True, conditions=(disrupted("DeletionByTaintManager"),))), None,
        (S.NODE_FAILED, None, None, False, "Its node n1 was lost, or tainted."),
    ),
    "node removed": (
        unit(job(FAILED), pod(running(), phase="Failed", conditions=(disrupted("DeletionByPodGC"),))), None,
        (S.NODE_FAILED, None, None, False, "Its node n1 is gone."),
    ),
    "node drained": (
        unit(job(FAILED), pod(ended(143), phase="Failed", conditions=(disrupted("EvictionByEvictionAPI"),))), None,
        (S.NODE_FAILED, None, 15, False, "It was evicted from n1, which is being drained."),
    ),
    "node short of memory": (
        unit(job(FAILED), pod(ended(137), phase="Failed", reason="Evicted", message="The node was low on resource: memory.", conditions=(disrupted("TerminationByKubelet"),))), None,
        (S.NODE_FAILED, None, 9, False, "The node n1 ended it. The node was low on resource: memory."),
    ),
    "more disk than allowed": (
        unit(job(FAILED), pod(ended(137), phase="Failed", reason="Evicted", message="Pod ephemeral local storage usage exceeds 1Ti.")), None,
        (S.FAILED, None, 9, False, "The node n1 evicted it: Pod ephemeral local storage usage exceeds 1Ti."),
    ),
    "refused by the node": (
        unit(job(FAILED), pod(phase="Failed", reason="UnexpectedAdmissionError", message="devices unavailable")), None,
        (S.NODE_FAILED, None, None, False, "The node n1 did not run it: devices unavailable"),
    ),
    "no room on the node": (
        unit(job(FAILED), pod(phase="Failed", reason="OutOfnvidia.com/gpu", message="")), None,
        (S.NODE_FAILED, None, None, False, "The node n1 did not run it: OutOfnvidia.com/gpu"),
    ),
    "status lost": (
        unit(job(FAILED), pod(ended(137, "ContainerStatusUnknown"), phase="Failed")), None,
        (S.NODE_FAILED, None, None, False, "The node n1 lost it and cannot say how it ended."),
    ),
    "its pod deleted by hand": (
        unit(job(FAILED), pod(ended(143), phase="Failed", deleted=True)), None,
        (S.VANISHED, None, 15, False, "Its pod was deleted on the cluster by somebody else."),
    ),
    "deleted by hand": (unit(job(deleted=True)), None, (S.VANISHED, None, None, False, "It was deleted on the cluster by somebody else.")),
    "no pods, no words": (unit(job(FAILED)), None, (S.FAILED, None, None, False, "Job has reached the specified backoff limit")),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_how_it_ended(case: str) -> None:
    found, stop, told = ENDS[case]
    seen = see(found, stop)
    assert (seen.state, seen.exit_code, seen.signal, seen.out_of_memory, seen.detail) == told
    assert seen.ended_ms is not None


def test_times_are_the_clusters_own() -> None:
    seen = see(unit(job(COMPLETE, pods=2, completionTime="2026-01-01T12:00:00Z"), pod(ended(0), phase="Succeeded"),
                    pod(ended(0, at="2026-01-01T10:00:20Z"), phase="Succeeded", rank=1)))  # fmt: skip
    assert (seen.started_ms, seen.ended_ms) == (BEGAN_MS, ENDED_MS)
    unseen = see(unit(job(COMPLETE, completionTime="2026-01-01T12:00:00Z")))
    assert (unseen.started_ms, unseen.ended_ms) == (None, 1_767_268_800_000)


def test_an_end_that_was_written_down_stands() -> None:
    end = Observation(ONE, S.FAILED, BEGAN_MS, ENDED_MS, None, 9, "ឈប់ words", True)
    owner = job(COMPLETE, annotations={marks.RESULT: marks.write_result(end)})
    assert see(unit(owner, pod(running()))) == end
    assert marks.result_of(job(annotations={marks.RESULT: "{no json"}), 0, ONE) is None


def test_why_it_stops_is_read_off_the_object() -> None:
    stop = Stop(Why.WALLTIME, 5, "x")
    (seen,) = observations(unit(job(annotations={names.STOP: stop.write()}), pod(running()))).values()
    assert (seen.state, seen.detail) == (S.STOPPING, "x")
    assert marks.stop_of(job(annotations={names.STOP: stop.write()}), 0) == stop
    assert marks.stop_of(job(annotations={names.STOP: "by hand"}), 0) == Stop(Why.ASKED)
    (asked,) = observations(unit(job(), pod(running())), {ONE: Stop(Why.ASKED)}).values()
    assert asked.state is S.STOPPING


def test_what_lasts_and_what_lags() -> None:
    assert lasting(unit(job(COMPLETE), pod(ended(0), phase="Succeeded")), 0)
    assert not lasting(unit(job(COMPLETE), pod(ended(0), phase="Succeeded", deleted=True)), 0)
    assert not lasting(unit(job(COMPLETE), pod(ended(0), phase="Succeeded"), gone=frozenset({"uid-of-0"})), 0)
    assert not lasting(unit(job(COMPLETE)), 0)
    assert lags(unit(job(COMPLETE), pod(running())), 0)
    assert lags(unit(job(active=1), pod(ended(0), phase="Succeeded")), 0)
    assert not lags(unit(job(active=1), pod(running())), 0)


# Bundles

MEMBERS = tuple(AttemptId(7, index, 1) for index in range(4))


def test_each_member_of_a_bundle_is_told_by_itself() -> None:
    owner = job(pods=4, members=MEMBERS, active=1, completedIndexes="0", failedIndexes="2", annotations={
        names.JOB: "", f"{names.STOP}.3": Stop(Why.ASKED).write(),
    })  # fmt: skip
    owner["metadata"]["labels"][names.JOB] = "7"
    found = unit(
        owner, pod(ended(0), phase="Succeeded"), pod(running(), rank=1), pod(ended(4), phase="Failed", rank=2),
        pod(running(), rank=3, deleted=True),
    )  # fmt: skip
    seen = {one.attempt.index: (one.state, one.exit_code) for one in observations(found).values()}
    assert seen == {0: (S.SUCCEEDED, 0), 1: (S.RUNNING, None), 2: (S.FAILED, 4), 3: (S.STOPPING, None)}
    done = job(pods=4, members=MEMBERS, annotations={f"{marks.done_key(owner, 0)}": "true"})
    done["metadata"]["labels"][names.JOB] = "7"
    assert set(observations(unit(done))) == {1, 2, 3}


def test_members_that_never_came_up_end_with_their_job() -> None:
    owner = job(LATE, pods=4, members=MEMBERS, completedIndexes="0-1,3")
    owner["metadata"]["labels"][names.JOB] = "7"
    stops = {MEMBERS[2]: Stop(Why.ASKED)}
    states = [one.state for one in observations(unit(owner), stops).values()]
    assert states == [S.SUCCEEDED, S.SUCCEEDED, S.CANCELLED, S.SUCCEEDED]


def test_indices_are_read() -> None:
    assert indices("0,3-5") == {0, 3, 4, 5}
    assert indices(None) == indices("") == indices("x,1-y,-") == frozenset()


def test_ranks_of_a_jobset_are_counted_over_its_roles() -> None:
    raw = {
        "metadata": {"name": "j-1842-a1", "namespace": NAMESPACE, "uid": "u", "labels": {names.ATTEMPT: "1842.1"}},
        "spec": {"replicatedJobs": [{"name": role, "template": {"spec": {"completions": count}}} for role, count in (("learner", 1), ("actor", 2))]},
    }  # fmt: skip
    pods = []
    for role, index in (("actor", 1), ("learner", 0), ("actor", 0)):
        one = pod(running(), rank=index)
        one["metadata"]["uid"] = f"{role}-{index}"
        one["metadata"]["labels"]["jobset.sigs.k8s.io/replicatedjob-name"] = role
        pods.append(one)
    found = unit(trim.jobset(raw), *pods)
    assert {rank: one["metadata"]["uid"] for rank, one in found.by_rank.items()} == {
        0: "learner-0",
        1: "actor-0",
        2: "actor-1",
    }
    assert see(found).state is S.RUNNING
    assert see(unit(trim.jobset(raw), *pods[:2])).state is S.STARTING
