"""The steps of the script that run Jobs, with the script itself as the kubelet."""

from typing import Any

from tests.support.kube.patches import MERGE, STRATEGIC
from tests.support.kube.script import RUNNING, Step, config, ended, job

MAPS = "/api/v1/namespaces/{ns}/configmaps"
PODS = "/api/v1/namespaces/{ns}/pods"
JOBS = "/apis/batch/v1/namespaces/{ns}/jobs"
_COUNTED: dict[str, Any] = {"status.uncountedTerminatedPods": {}}  # what is between, only one who is quick sees


def _without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = {k: v for k, v in body.items() if k != path[0] or len(path) > 1}
    return inner if len(path) == 1 else {**inner, path[0]: _without(body[path[0]], *path[1:])}


def _to(name: str, code: int | None) -> list[Step]:
    """Play the kubelet for the one pod of a Job."""
    pods = f"{PODS}?labelSelector=job-name%3D{name}"
    return [
        Step(
            f"{name}: its pod",
            "GET",
            pods,
            until={"items.0.kind": None, "items.0.status.phase": "Pending"},
            keep={"pod": "items.0.metadata.name"},
        ),
        Step(f"{name}: it runs", "PATCH", f"{PODS}/{{pod}}/status", RUNNING, STRATEGIC),
        Step(f"{name}: the Job knows", "GET", f"{JOBS}/{name}", until={"status.active": 1, "status.ready": 1}),
        *(
            []
            if code is None
            else [Step(f"{name}: it ends", "PATCH", f"{PODS}/{{pod}}/status", ended(code), STRATEGIC)]
        ),
    ]


RUNS = [
    Step("a Job", "POST", f"{JOBS}?fieldManager=baray", job("job-a")),
    *_to("job-a", 0),
    Step("it is complete", "GET", f"{JOBS}/job-a", until={"status.conditions[Complete].status": "True"}),
    Step("a Job that fails", "POST", JOBS, job("job-b")),
    *_to("job-b", 3),
    Step("it failed", "GET", f"{JOBS}/job-b", until={"status.conditions[Failed].status": "True"}),
    Step("its pod was let go", "GET", f"{PODS}/{{pod}}", until={"metadata.finalizers": None}),
    Step("a Job that is restarted always", "POST", JOBS, job("job-x", pod={"restartPolicy": "Always"})),
    Step("a Job without a template", "POST", JOBS, _without(job("job-x"), "spec", "template")),
    Step("a Job with an index but no number", "POST", JOBS, job("job-x", completionMode="Indexed", parallelism=1)),
    Step("a Job with less than nothing", "POST", JOBS, job("job-x", parallelism=-1)),
    Step(
        "a Job's template is fixed",
        "PATCH",
        f"{JOBS}/job-b",
        {"spec": {"template": {"metadata": {"labels": {"app": "y"}}}}},
        MERGE,
    ),
    Step("and its number", "PATCH", f"{JOBS}/job-b", {"spec": {"completions": 2}}, MERGE),
    Step("a Job's status is its own", "PATCH", f"{JOBS}/job-b", {"status": {"active": 7}}, MERGE),
    Step("deleted without a word", "DELETE", f"{JOBS}/job-b"),
    Step("its pod stays behind", "GET", f"{PODS}/{{pod}}", until={"metadata.ownerReferences": None}),
    Step("the other, with all of it", "DELETE", f"{JOBS}/job-a?propagationPolicy=Foreground"),
    Step("is away", "GET", f"{JOBS}/job-a", until={"code": 404}),
    Step("a Job that is suspended", "POST", JOBS, job("job-s", suspend=True)),
    Step("says so", "GET", f"{JOBS}/job-s", until={"status.conditions[Suspended].status": "True"}),
    Step(
        "may go elsewhere",
        "PATCH",
        f"{JOBS}/job-s",
        {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}},
        MERGE,
    ),
    Step("resumed", "PATCH", f"{JOBS}/job-s", {"spec": {"suspend": False}}, MERGE),
    *_to("job-s", None),
    Step("suspended again", "PATCH", f"{JOBS}/job-s", {"spec": {"suspend": True}}, MERGE),
    Step("its pod is told", "GET", f"{PODS}/{{pod}}", until={"metadata.deletionGracePeriodSeconds": 30}),
    Step(
        "the Job waits for it",
        "GET",
        f"{JOBS}/job-s",
        until={"status.terminating": 1, "status.conditions[Suspended].status": "True"},
    ),
    Step("its kubelet says it failed", "PATCH", f"{PODS}/{{pod}}/status", ended(143), STRATEGIC),
    Step("but the Job does not count it", "GET", f"{JOBS}/job-s", until={"status.terminating": 0}),
    Step("and removes it", "DELETE", f"{PODS}/{{pod}}?gracePeriodSeconds=0"),
]

INDEXED = [
    Step(
        "an indexed Job",
        "POST",
        JOBS,
        job("index", completionMode="Indexed", completions=3, parallelism=3, backoffLimitPerIndex=0, backoffLimit=None),
    ),
    Step("its pods", "GET", f"{PODS}?labelSelector=job-name%3Dindex", until={"items.2.status.phase": "Pending"}),
    *(
        Step(
            f"the pod {n}",
            "GET",
            f"{PODS}?labelSelector=job-name%3Dindex,batch.kubernetes.io/job-completion-index%3D{n}",
            keep={f"pod{n}": "items.0.metadata.name"},
        )
        for n in range(3)
    ),
    Step("it counts them", "GET", f"{JOBS}/index", until={"status.active": 3}),
    Step("pod 1 fails", "PATCH", f"{PODS}/{{pod1}}/status", ended(1), STRATEGIC),
    Step("it knows", "GET", f"{JOBS}/index", until={"status.failedIndexes": "1", "status.failed": 1, **_COUNTED}),
    Step("pod 0 is done", "PATCH", f"{PODS}/{{pod0}}/status", ended(0), STRATEGIC),
    Step(
        "it knows that too",
        "GET",
        f"{JOBS}/index",
        until={"status.completedIndexes": "0", "status.active": 1, **_COUNTED},
    ),
    Step("pod 2 is done", "PATCH", f"{PODS}/{{pod2}}/status", ended(0), STRATEGIC),
    Step("it failed as a whole", "GET", f"{JOBS}/index", until={"status.conditions[Failed].status": "True"}),
    Step("one with a deadline", "POST", JOBS, job("job-d", activeDeadlineSeconds=1)),
    Step(
        "is over when it is past",
        "GET",
        f"{JOBS}/job-d",
        until={"status.conditions[FailureTarget].status": "True", "status.failed": 1, **_COUNTED},
    ),
    Step(
        "its pod",
        "GET",
        f"{PODS}?labelSelector=job-name%3Djob-d",
        until={"items.0.metadata.deletionGracePeriodSeconds": 30},
        keep={"pod": "items.0.metadata.name"},
    ),
    Step("its pod goes", "DELETE", f"{PODS}/{{pod}}?gracePeriodSeconds=0"),
    Step("and it has failed", "GET", f"{JOBS}/job-d", until={"status.conditions[Failed].status": "True"}),
    Step(
        "what is owned by nobody",
        "POST",
        MAPS,
        {
            **config("lost"),
            "metadata": {
                "name": "lost",
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": "none",
                        "uid": "00000000-0000-4000-8000-000000000000",
                    }
                ],
            },
        },
    ),
    Step("goes", "GET", f"{MAPS}/lost", until={"code": 404}),
]
