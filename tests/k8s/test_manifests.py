"""The objects of a job: valid for every Kubernetes that is served, and saying what was meant."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from domain.clusters import ClusterConfig
from domain.fleet import CPU_FLAVOR
from domain.jobs import Placement
from k8s import names
from k8s.manifests import errands
from k8s.manifests.build import build, is_bundled, name_of, needs_pass, shown
from k8s.manifests.job import deadline_s
from k8s.manifests.site import Made, Unstartable, owned_by
from tests.k8s.expansion import expand
from tests.k8s.launches import CONFIG, DIGEST, IMAGE, ROLES, bundle, configs, launch, launches, site
from tests.k8s.schemas import check, check_jobset

VERSIONS = ("1.34", "1.35", "1.36")
MIB = 1 << 20


def made(config: ClusterConfig = CONFIG, **spec: Any) -> Made:
    given = launch(**spec)
    return build(given, site(given, config))


def pod_of(found: Made) -> dict[str, Any]:
    pod: dict[str, Any] = found.body["spec"]["template"]["spec"]
    return pod


def main_of(found: Made) -> dict[str, Any]:
    (main,) = pod_of(found)["containers"]
    assert main["name"] == names.MAIN
    return main


def env_of(container: dict[str, Any]) -> dict[str, Any]:
    """The values by name, those that come from elsewhere as they are written."""
    entries = container["env"]
    assert len({entry["name"] for entry in entries}) == len(entries)
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}


def satellite(found: Made, kind: str) -> dict[str, Any] | None:
    return next((body for body in found.satellites if body["kind"] == kind), None)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_them(version: str) -> None:
    @settings(max_examples=25)
    @given(launches(), configs)
    def whatever_the_job(given_launch: Any, config: ClusterConfig) -> None:
        found = build(given_launch, site(given_launch, config, queue="baray"))
        bodies = [*found.satellites]
        if found.kind == "Job":
            bodies.append(found.body)
        else:  # a Job each
            template = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}
            bodies += [template | one["template"] for one in found.body["spec"]["replicatedJobs"]]
        for body in bodies:
            check(body, version)

    whatever_the_job()


def test_jobset_takes_them() -> None:
    @settings(max_examples=15)
    @given(launches().filter(lambda given_launch: bool(given_launch.spec.roles)))
    def whatever_the_roles(given_launch: Any) -> None:
        found = build(given_launch, site(given_launch, queue="baray"))
        check_jobset(found.body)
        for one in found.body["spec"]["replicatedJobs"]:
            longest = f"{found.name}-{one['name']}-0-{one['template']['spec']['completions'] - 1}-abcde"
            assert len(longest) <= 63

    whatever_the_roles()


@settings(max_examples=25)
@given(launches())
def test_nothing_asks_for_more_than_the_restricted_profile(given_launch: Any) -> None:
    found = build(given_launch, site(given_launch))
    jobs = [found.body["spec"]] if found.kind == "Job" else [
        one["template"]["spec"] for one in found.body["spec"]["replicatedJobs"]
    ]  # fmt: skip
    for job in jobs:
        pod = job["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert pod["automountServiceAccountToken"] is False
        assert pod["restartPolicy"] == "Never"
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "ports" not in container
        assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} <= {
            "emptyDir", "persistentVolumeClaim", "secret",
        }  # fmt: skip


@settings(max_examples=25)
@given(launches())
def test_the_same_launch_makes_the_same_objects(given_launch: Any) -> None:
    first, again = (build(given_launch, site(given_launch)) for _ in range(2))
    assert json.dumps(first.body) == json.dumps(again.body)
    assert first.name == name_of(given_launch)
    assert first.spec_hash == names.spec_hash(given_launch)
    attempts = names.attempts_of(first.body["metadata"])
    assert attempts == (tuple(one for one, _ in given_launch.bundle.members) if is_bundled(given_launch) else (given_launch.attempt,))  # fmt: skip
    for body in (first.body, *first.satellites):
        assert body["metadata"]["labels"][names.ORIGIN] == "c0ffee"
        assert body["metadata"]["namespace"] == "baray-speech"
        assert body["metadata"]["name"] == first.name


def test_a_job_runs_once_and_is_kept_until_its_result_is() -> None:
    body = made().body
    job = body["spec"]
    assert (body["kind"], body["metadata"]["name"]) == ("Job", "j-1842-a1")
    assert body["metadata"]["finalizers"] == [names.FINALIZER]
    assert (job["backoffLimit"], job["completions"], job["parallelism"]) == (0, 1, 1)
    assert job["podReplacementPolicy"] == "Failed"
    assert job["ttlSecondsAfterFinished"] >= 86_400
    assert "suspend" not in job
    assert "completionMode" not in job


def test_the_walltime_stands_behind_the_watchdogs() -> None:
    given = launch(walltime_ms=3_600_000, grace_ms=120_000)
    body = build(given, site(given)).body
    assert body["spec"]["activeDeadlineSeconds"] == deadline_s(given.spec, 3_600_000) > 3_600 + 120
    assert deadline_s(given.spec, 7_200_000) - deadline_s(given.spec, 3_600_000) == 3_600


def test_it_gets_what_was_booked_and_no_more() -> None:
    resources = main_of(made())["resources"]
    expected = {"cpu": "8", "memory": str(32 << 30), "nvidia.com/gpu": "2"}
    assert resources == {"requests": expected, "limits": expected}
    cpu = main_of(made(flavor=CPU_FLAVOR))
    assert set(cpu["resources"]["limits"]) == {"cpu", "memory"}


@pytest.mark.parametrize("name", ["NVIDIA_VISIBLE_DEVICES", "AMD_VISIBLE_DEVICES"])
def test_a_job_without_gpus_sees_none_whatever_its_image_wants(name: str) -> None:
    env = env_of(main_of(made(flavor=CPU_FLAVOR, env={name: "all"})))
    assert (env[name], env["CUDA_VISIBLE_DEVICES"], env["BARAY_GPUS"]) == ("void", "", "0")


@pytest.mark.parametrize("name", ["NVIDIA_VISIBLE_DEVICES", "AMD_VISIBLE_DEVICES"])
def test_no_job_chooses_its_gpus_itself(name: str) -> None:
    asked = made(env={name: "all"}, secrets={name: "all"})
    assert name not in env_of(main_of(asked))


def test_it_goes_to_the_placed_nodes_and_no_others() -> None:
    affinity = pod_of(made())["affinity"]
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]
    assert "podAntiAffinity" not in affinity


def test_kueue_gets_it_suspended() -> None:
    given = launch()
    body = build(given, site(given, queue="baray")).body
    assert body["spec"]["suspend"] is True
    assert body["metadata"]["labels"][names.QUEUE_NAME] == "baray"


def test_the_environment_is_as_everywhere() -> None:
    env = env_of(main_of(made(env={"LR": "3e-4", "RANK": "9"}, secrets={"HF_TOKEN": "hush"})))
    assert env["LR"] == "3e-4"
    assert env["HF_TOKEN"] == {"secretKeyRef": {"name": "j-1842-a1", "key": "HF_TOKEN"}}
    assert (env["BARAY_JOB"], env["BARAY_TASK"], env["BARAY_ATTEMPT"]) == ("1842", "", "1842.1")
    assert (env["BARAY_GPUS"], env["BARAY_NODES"], env["WORLD_SIZE"], env["RANK"]) == ("2", "1", "1", "0")
    assert (env["MASTER_ADDR"], env["HOME"]) == ("127.0.0.1", env["BARAY_WORK_DIR"])
    assert env["BARAY_NODE"]["fieldRef"]["fieldPath"] == "spec.nodeName"


def test_secrets_and_passes_are_in_the_secret_alone() -> None:
    found = made(secrets={"HF_TOKEN": "hush-hush"}, outputs=("results/**",), source="ab" * 32)
    secret = satellite(found, "Secret")
    assert secret is not None
    assert secret["immutable"] is True
    assert secret["stringData"] == {"HF_TOKEN": "hush-hush", errands.PASS: "pass-of-1842.1"}
    everywhere = json.dumps([found.body, *(body for body in found.satellites if body is not secret)])
    assert "hush-hush" not in everywhere
    assert "pass-of" not in everywhere
    read = json.dumps(shown(found))
    assert "hush-hush" not in read
    assert "pass-of" not in read
    assert "HF_TOKEN" in read


def test_the_errands_see_no_secret_and_the_job_no_pass() -> None:
    found = made(secrets={"HF_TOKEN": "x"}, outputs=("results/**",), source="ab" * 32)
    fetch, collect = pod_of(found)["initContainers"]
    for errand in (fetch, collect):
        assert "HF_TOKEN" not in env_of(errand)
        assert env_of(errand)["BARAY_PASS"] == {"secretKeyRef": {"name": "j-1842-a1", "key": errands.PASS}}
        assert env_of(errand)["BARAY_CENTRE_URL"] == CONFIG.centre_url
    assert "BARAY_PASS" not in env_of(main_of(found))


def test_a_source_is_fetched_before_and_outputs_are_collected_after() -> None:
    found = made(outputs=("results/**", "*.log"), source="ab" * 32, grace_ms=30_000)
    fetch, collect = pod_of(found)["initContainers"]
    assert (fetch["name"], collect["name"]) == (names.FETCH, names.COLLECT)
    assert "restartPolicy" not in fetch
    assert collect["restartPolicy"] == "Always"
    assert env_of(fetch)["BARAY_SOURCE"] == "ab" * 32
    assert env_of(collect)["BARAY_OUTPUTS"] == "results/**\n*.log"
    assert collect["resources"]["requests"] == {"cpu": "0", "memory": "0"}  # a full node has no room for more
    assert pod_of(found)["terminationGracePeriodSeconds"] == 30 + errands.COLLECT_S
    assert pod_of(made(grace_ms=30_000))["terminationGracePeriodSeconds"] == 30
    assert "initContainers" not in pod_of(made())


def test_the_errands_know_the_centre_by_its_certificates_and_the_job_waits_for_its_collector() -> None:
    found = made(replace(CONFIG, centre_ca="PEM $(HOME)"), outputs=("results/**",), source="ab" * 32)
    fetch, collect = pod_of(found)["initContainers"]
    assert env_of(fetch)["BARAY_CENTRE_CA"] == env_of(collect)["BARAY_CENTRE_CA"] == "PEM $$(HOME)"
    assert collect["startupProbe"]["exec"]["command"][-1] == env_of(collect)["BARAY_READY"]
    assert "BARAY_CENTRE_CA" not in env_of(pod_of(made(outputs=("a",)))["initContainers"][0])


def test_the_errands_run_the_agent(tmp_path: Path) -> None:
    """And nothing of the job's: of its working directory, where they run, no module is taken for one of Python's."""
    for module in ("zlib", "random", "tarfile"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('the job was here')")
    (collect,) = pod_of(made(outputs=("a",)))["initContainers"]
    python, *options, program = collect["command"]
    assert (python, collect["args"]) == ("python3", ["collect"])
    assert len(program) < 128 * 1024
    run = [sys.executable, *options, expand(program), "collect-nothing"]
    said = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (said.returncode, said.stderr) == (1, "the agent knows fetch and collect alone\n")


def test_a_grace_of_nothing_is_a_second() -> None:
    """With 0 a pod's object would be gone before its processes are."""
    assert pod_of(made(grace_ms=0))["terminationGracePeriodSeconds"] == 1


def test_every_rank_of_a_gang_knows_the_first_and_has_a_node_of_its_own() -> None:
    found = made(nodes=4)
    job = found.body["spec"]
    assert (job["completions"], job["parallelism"], job["completionMode"]) == (4, 4, "Indexed")
    env = env_of(main_of(found))
    index = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{names.COMPLETION_INDEX}']"}}
    assert env["RANK"] == env["BARAY_RANK"] == index
    assert (env["WORLD_SIZE"], env["BARAY_NODES"]) == ("4", "4")
    assert env["MASTER_ADDR"] == "j-1842-a1-0.j-1842-a1"
    service = satellite(found, "Service")
    assert service is not None
    assert pod_of(found)["subdomain"] == service["metadata"]["name"] == "j-1842-a1"
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert service["spec"]["selector"].items() <= job["template"]["metadata"]["labels"].items()
    affinity = pod_of(found)["affinity"]
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchFields"][0]["values"] for term in terms] == [["n1"], ["n2"], ["n3"], ["n4"]]
    (apart,) = affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert apart["labelSelector"]["matchLabels"].items() <= job["template"]["metadata"]["labels"].items()


def test_ranks_that_were_placed_on_one_node_are_not_kept_apart() -> None:
    found = made(nodes=2, placed=("n1", "n1"))
    assert "podAntiAffinity" not in pod_of(found)["affinity"]


def test_a_bundle_is_one_job_with_a_task_an_index() -> None:
    given_launch = bundle(4, placed=("n1", "n2"), run="echo", outputs=("results/**",))
    found = build(given_launch, site(given_launch))
    job = found.body["spec"]
    assert found.name == "b-1842-5-a1"
    assert (job["completions"], job["parallelism"], job["completionMode"]) == (4, 4, "Indexed")
    assert job["backoffLimitPerIndex"] == 0
    assert "backoffLimit" not in job  # it would count over all tasks
    assert {rule["action"] for rule in job["podFailurePolicy"]["rules"]} == {"FailIndex"}
    assert found.body["metadata"]["annotations"][names.MEMBERS] == "5.1 7.2 9.1 11.2"
    assert names.ATTEMPT not in job["template"]["metadata"]["labels"]
    terms = pod_of(found)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [term["matchFields"][0]["values"] for term in terms["nodeSelectorTerms"]] == [["n1"], ["n2"]]
    (collect,) = pod_of(found)["initContainers"]
    assert env_of(collect)["BARAY_PASS_FILE"].endswith("/$(BARAY_INDEX)")
    listed = [entry["name"] for entry in collect["env"]]
    assert listed.index("BARAY_INDEX") < listed.index("BARAY_PASS_FILE")  # or it would not be taken up
    secret = satellite(found, "Secret")
    assert secret is not None
    assert secret["stringData"][f"{errands.PASS}.1"] == "pass-of-1842_7.2"
    (passes,) = [volume for volume in pod_of(found)["volumes"] if volume["name"] == "passes"]
    assert {item["key"] for item in passes["secret"]["items"]} == set(secret["stringData"])


def test_each_member_of_a_bundle_makes_the_same_object_whoever_is_skipped() -> None:
    given_launch = bundle(3, run="echo")
    assert given_launch.bundle is not None
    first = build(given_launch, site(given_launch))
    for member, placements in given_launch.bundle.members[1:]:
        other = replace(given_launch, attempt=member, placements=placements)
        assert json.dumps(build(other, site(other)).body) == json.dumps(first.body)
    less = bundle(3, run="echo", skipped=(1,))
    assert build(less, site(less)).spec_hash == first.spec_hash


def test_tasks_of_several_nodes_and_a_bundle_of_one_are_started_one_by_one() -> None:
    alone = bundle(1, run="echo")
    assert not is_bundled(alone)
    assert name_of(alone) == "j-1842-5-a1"
    wide = bundle(2, run="echo")
    assert wide.bundle is not None
    both = (Placement("n1", (0,)), Placement("n2", (0,)))
    members = tuple((member, both) for member, _ in wide.bundle.members)
    wide = replace(wide, placements=both, bundle=replace(wide.bundle, members=members))
    assert not is_bundled(wide)
    assert names.attempts_of(build(wide, site(wide)).body["metadata"]) == (wide.attempt,)
    assert needs_pass(wide) == ()


def test_roles_are_a_jobset_with_ranks_over_all() -> None:
    found = made(nodes=4, roles=ROLES, env={"LR": "1"}, secrets={"HF_TOKEN": "x"})
    learner, actor = found.body["spec"]["replicatedJobs"]
    assert (found.kind, found.name) == ("JobSet", "j-1842-a1")
    assert (learner["name"], actor["name"]) == ("learner", "actor")
    assert (learner["template"]["spec"]["completions"], actor["template"]["spec"]["completions"]) == (1, 3)
    mains = [one["template"]["spec"]["template"]["spec"]["containers"][0] for one in (learner, actor)]
    assert [main["image"] for main in mains] == [IMAGE, "registry.centre.example/actor:1"]
    for main, role in zip(mains, ("learner", "actor"), strict=True):
        env = env_of(main)
        assert (env["WORLD_SIZE"], env["BARAY_ROLE"], env["LR"]) == ("4", role, "1")
        assert env["MASTER_ADDR"] == "j-1842-a1-learner-0-0.j-1842-a1"
        assert env["HF_TOKEN"]["secretKeyRef"]["name"] == "j-1842-a1"
    assert env_of(mains[0])["ROLE_LR"] == "1"
    assert "ROLE_LR" not in env_of(mains[1])
    terms = actor["template"]["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    nodes = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchFields"][0]["values"] for term in nodes] == [["n2"], ["n3"], ["n4"]]
    assert found.body["spec"]["failurePolicy"] == {"maxRestarts": 0}
    assert found.body["spec"]["successPolicy"] == {"operator": "All"}
    assert satellite(found, "Service") is None
    collectors = [
        one["template"]["spec"]["template"]["spec"]["initContainers"][0]
        for one in made(nodes=4, roles=ROLES, outputs=("a",)).body["spec"]["replicatedJobs"]
    ]
    assert [env_of(collector).get("BARAY_OFFSET") for collector in collectors] == [None, "1"]
    assert names.ORIGIN not in learner["template"].get("metadata", {}).get("labels", {})  # not a second object of ours


def test_roles_with_long_names_have_short_ones() -> None:
    long = tuple(replace(role, name=role.name * 30) for role in ROLES)
    found = made(nodes=4, roles=long)
    first, second = (one["name"] for one in found.body["spec"]["replicatedJobs"])
    assert first != second
    assert len(f"{found.name}-{second}-0-2-abcde") <= 63


def test_volumes_are_mounted_where_they_are_wanted() -> None:
    found = made(volumes={"/data": "dataset/khmer-ocr@v3", "/mnt/all/": "shared", "/scratch": "scratch"})
    mounts = {mount["mountPath"]: mount for mount in main_of(found)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_of(found)["volumes"]}
    data = volumes[mounts["/data"]["name"]]["persistentVolumeClaim"]
    assert data == {"claimName": "khmer-ocr-v3", "readOnly": True}
    assert mounts["/data"]["readOnly"] is True
    shared = mounts["/mnt/all"]
    assert volumes[shared["name"]]["persistentVolumeClaim"] == {"claimName": "shared"}
    assert "readOnly" not in shared
    assert volumes[mounts["/scratch"]["name"]]["emptyDir"] == {}
    assert {"/baray/work", "/tmp", "/dev/shm"} <= set(mounts)
    own = {mount["mountPath"] for mount in main_of(made(volumes={"/tmp": "scratch"}))["volumeMounts"]}
    assert len(own) == len(main_of(made(volumes={"/tmp": "scratch"}))["volumeMounts"])


def test_shared_memory_is_within_what_was_booked() -> None:
    (shm,) = [volume for volume in pod_of(made())["volumes"] if volume["name"] == "shm"]
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": str(16 << 30)}


def test_the_cluster_decides_classes_tolerations_and_pull_secrets() -> None:
    config = replace(
        CONFIG, priority_class="batch", runtime_class="nvidia", pull_secret="{}", tolerations=("a=b:NoExecute",)
    )
    pod = pod_of(made(config))
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("batch", "nvidia")
    assert pod["imagePullSecrets"] == [{"name": names.PULL_SECRET}]
    assert {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute"} in pod["tolerations"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in pod["tolerations"]


@pytest.mark.parametrize(
    ("config", "spec", "words"),
    [
        (CONFIG, {"image": None}, "names no image"),
        (CONFIG, {"image": "no image at all"}, "no name of an image"),
        (replace(CONFIG, registries=("registry.centre.example/",)), {"image": "ubuntu"}, "elsewhere"),
        (replace(CONFIG, registries=("registry.centre.example",)), {"image": "registry.centre.example.evil/a"}, "elsewhere"),
        (replace(CONFIG, registries=("r.example/team",)), {"image": "r.example/team2/app"}, "elsewhere"),
        (replace(CONFIG, digest_only=True), {}, "digest"),
        (CONFIG, {"volumes": {"/data": "nowhere"}}, "no volume 'nowhere'"),
        (CONFIG, {"volumes": {"/": "scratch"}}, "cannot be mounted"),
        (CONFIG, {"volumes": {"/x/../baray/work": "scratch"}}, "not the job's own"),
        (CONFIG, {"volumes": {"/etc/ssl": "scratch"}}, "not the job's own"),
        (CONFIG, {"volumes": {"relative": "scratch"}}, "cannot be mounted"),
        (CONFIG, {"volumes": {"/a": "scratch", "/a/": "shared"}}, "cannot be mounted"),
        (replace(CONFIG, centre_url=""), {"outputs": ("a",)}, "do not know where the centre is"),
        (CONFIG, {"env": {"BIG": "x" * 2 * MIB}}, "environment (env)"),
        (CONFIG, {"run": "x" * 2 * MIB}, "its script"),
        (CONFIG, {"secrets": {"BIG": "x" * 2 * MIB}}, "its secrets"),
        (CONFIG, {"run": "echo \ud800"}, "no text"),
        (CONFIG, {"placed": ("gone",)}, "has devices of h100-80gb"),
        (CONFIG, {"nodes": 3, "roles": ROLES}, "do not add up"),
    ],
)  # fmt: skip
def test_what_cannot_start_says_why(config: ClusterConfig, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(Unstartable, match=".") as caught:
        made(config, **spec)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "xxxxxxxx" not in str(caught.value)


@pytest.mark.parametrize(
    ("registries", "image"),
    [
        (("registry.centre.example/",), IMAGE),
        (("docker.io",), "ubuntu"),
        (("docker.io/library/",), "ubuntu:24.04"),
        (("other.example", "pytorch/"), "pytorch/pytorch:2"),
        (("registry.centre.example/pytorch",), IMAGE + DIGEST),
        ((), "localhost:5000/x"),
    ],
)
def test_images_come_from_where_they_may(registries: tuple[str, ...], image: str) -> None:
    config = replace(CONFIG, registries=registries, digest_only="@" in image)
    assert main_of(made(config, image=image))["image"] == image


def test_a_job_without_an_image_runs_in_the_clusters() -> None:
    assert main_of(made(replace(CONFIG, image="ubuntu"), image=None))["image"] == "ubuntu"


def test_devices_of_two_names_are_not_one_job() -> None:
    given_launch = launch(nodes=2)
    called = {"n1": "nvidia.com/gpu", "n2": "nvidia.com/mig-7g.80gb"}
    with pytest.raises(Unstartable, match=r"nvidia.com/gpu and nvidia.com/mig-7g.80gb"):
        build(given_launch, site(given_launch, resources=called))


def test_roles_need_jobset() -> None:
    given_launch = launch(nodes=4, roles=ROLES)
    with pytest.raises(Unstartable, match="JobSet"):
        build(given_launch, site(given_launch, jobset=False))


def test_a_pass_that_was_not_issued_is_told() -> None:
    given_launch = launch(outputs=("a",))
    with pytest.raises(Unstartable, match=r"no pass to the pods of 1842\.1"):
        build(given_launch, site(given_launch, passes={}))


def test_satellites_go_with_their_object() -> None:
    found = made(secrets={"A": "b"})
    (secret,) = found.satellites
    created = {**found.body, "metadata": {**found.body["metadata"], "uid": "u-1"}}
    (reference,) = owned_by(secret, created)["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["name"], reference["uid"]) == ("Job", "j-1842-a1", "u-1")
    check(owned_by(secret, created), "1.36")
    assert "ownerReferences" not in secret["metadata"]
