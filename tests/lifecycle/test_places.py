"""Jobs go only to clusters that can take them; where none can, they are refused and each cluster's reason is told."""

from dataclasses import replace
from typing import Any

import pytest

from domain.clusters import ClusterConfig
from domain.errors import Refused
from domain.jobs import Array, JobSpec, JobState, Role
from lifecycle.reach import NO_CONTACT
from tests.support.centre import Centre
from tests.support.factories import CLUSTER, resources, spec
from tests.support.far import CONFIG, another, far

DIGEST = "@sha256:" + "0123456789abcdef" * 4
LACKS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "a volume": ({"volumes": {"/data": "d@v3"}}, {"volumes": {"e": "pvc"}}, "no-such-volume", "it has no volume 'd@v3'"),
    "no image": ({}, {"image": ""}, "no-image", "names no image"),
    "an image from elsewhere": (
        {"image": "evil.example/team/x:1"}, {"registries": ("registry.example",)}, "image-not-allowed", "comes from elsewhere",
    ),
    "an image from nearly there": (
        {"image": "registry.example.evil.example/x:1"}, {"registries": ("registry.example",)}, "image-not-allowed", "elsewhere",
    ),
    "an image that is none": ({"image": "Not An Image"}, {}, "image-not-allowed", "is no name of an image"),
    "no digest": ({"image": "registry.example/x:1"}, {"digest_only": True}, "needs-digest", "not named by digest"),
    "a source": ({"outputs": ("r/**",)}, {}, "no-files", "do not know where the centre is"),
    "roles": ({"command": (), "roles": (Role("a", 1, run="x"),)}, {}, "no-jobset", "no JobSet"),
    "an image of a role": (
        {"command": (), "roles": (Role("a", 1, run="x", image="evil.example/x:1"),)}, {"registries": ("registry.example",)},
        "image-not-allowed", "elsewhere",
    ),
}  # fmt: skip
TAKEN: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"volumes": {"/scratch": "scratch"}}, {}),
    ({"volumes": {"/data": "d@v3"}}, {"volumes": {"d@v3": "pvc"}}),
    ({"image": "registry.example/team/x:1"}, {"registries": ("registry.example/",)}),
    ({"image": "python:3.13"}, {"registries": ("docker.io",)}),
    ({"image": f"registry.example/x:1{DIGEST}"}, {"digest_only": True}),
    ({"outputs": ("r/**",)}, {"centre_url": "https://centre.example"}),
)


def asking(asked: dict[str, Any]) -> JobSpec:
    return replace(spec(command="run 1m"), **asked)


@pytest.mark.parametrize(("asked", "config", "code", "message"), LACKS.values(), ids=list(LACKS))
def test_a_job_that_no_cluster_can_take_is_refused(
    centre: Centre, asked: dict[str, Any], config: dict[str, Any], code: str, message: str
) -> None:
    far(centre, replace(CONFIG, **config))
    with pytest.raises(Refused) as refused:
        centre.submit(asking(asked))
    assert refused.value.code == code
    assert f"sim: {message}" in refused.value.message or message in refused.value.message
    assert "no cluster with h100-80gb can take it: sim: " in refused.value.message


@pytest.mark.parametrize(("asked", "config"), TAKEN)
def test_a_job_that_the_cluster_can_take_runs_there(
    centre: Centre, asked: dict[str, Any], config: dict[str, Any]
) -> None:
    far(centre, replace(CONFIG, **config))
    job = centre.submit(asking(asked)).id
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED


def test_of_several_clusters_each_tells_its_reason(centre: Centre) -> None:
    far(centre, replace(CONFIG, image=""))
    another(centre, config=replace(CONFIG, image="", volumes={"d": "pvc"}))
    with pytest.raises(Refused) as refused:
        centre.submit(asking({"volumes": {"/d": "d"}}))
    (fault,) = refused.value.faults
    assert fault.message == (
        "no cluster with h100-80gb can take it: kpt: the job names no image, and the cluster has none for such jobs; "
        "sim: it has no volume 'd'"
    )


def test_a_job_goes_where_it_can_be_taken_though_it_must_wait_there(centre: Centre) -> None:
    far(centre)
    another(centre, config=replace(CONFIG, volumes={"d": "pvc"}))
    asked = replace(asking({"volumes": {"/d": "d"}}), resources=resources(4), array=Array(0, 3))
    job = centre.submit(asked).id
    centre.settle()
    assert [attempt.cluster for attempt in centre.attempts(job)] == ["kpt", "kpt"]
    assert not centre.job(job).spec.constraint.forbid, "nothing of it is asked for by the job"
    centre.run()
    assert {attempt.cluster for attempt in centre.attempts(job)} == {"kpt"}


def test_what_is_set_up_while_a_job_waits_counts(centre: Centre) -> None:
    far(centre, replace(CONFIG, volumes={"d": "pvc"}))
    blocking = centre.submit(spec(command="run 1h", needs=resources(4, nodes=2))).id
    centre.settle()
    job = centre.submit(asking({"volumes": {"/d": "d"}})).id
    centre.settle()
    configure(centre, CONFIG)
    centre.control("cancel", blocking)
    centre.run(minutes=10)
    assert centre.job(job).state is JobState.PENDING
    configure(centre, replace(CONFIG, volumes={"d": "pvc"}))
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED


def test_roles_run_where_jobset_is_found(centre: Centre) -> None:
    far(centre)
    with centre.store.write() as uow:
        uow.clusters.set_contact(CLUSTER, replace(NO_CONTACT, jobset="v1alpha2"))
    job = centre.submit(asking({"command": (), "roles": (Role("a", 1, run="x"),)})).id
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED


def configure(centre: Centre, config: ClusterConfig) -> None:
    with centre.store.write() as uow:
        uow.clusters.set_config(CLUSTER, config)
