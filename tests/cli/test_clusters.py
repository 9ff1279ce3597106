"""Clusters on the command line: what is sent of a kubeconfig, what is shown of what was found, and how it ends."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Answer, Centre, page, problem

SECRET = "this-must-never-be-seen"
NODE = {
    "name": "gpu-1", "devices": {"l40s": 4}, "free": {"l40s": 4}, "cpus": 64, "cpus_free": 60, "memory": "512Gi",
    "memory_free": "500Gi", "state": "active", "reason": None, "labels": {"rack": "r1"},
}  # fmt: skip
CONFIG = {"prefix": "baray-", "registries": [], "flavors": [], "volumes": {"data": "shared"}, "exec": True, "image": ""}
CLUSTER = {
    "name": "pp", "driver": "kubernetes", "state": "active", "notes": ["a note"], "labels": {}, "nodes": [NODE],
    "version": 3, "config": CONFIG, "pull_secret": True,
    "contact": {
        "version": "v1.36.3", "kueue": "v1beta2", "jobset": None, "silent_since_ms": None, "trouble": "", "drift": [],
    },
}  # fmt: skip
FOUND = {
    "version": "v1.36.3", "uid": "u-1", "problems": [], "missing": [], "skew_ms": -40, "nodes": 2, "kueue": "v1beta2",
    "jobset": None, "notes": ["it is newer than what is known"],
    "flavors": [
        {
            "flavor": "l40s", "resource": "nvidia.com/gpu", "product": "NVIDIA-L40S", "milli": 1000, "nodes": 1,
            "devices": 4, "derived": True, "new": True, "rate_su_per_hour": None,
        },
        {
            "flavor": "h100-80gb", "resource": "nvidia.com/gpu", "product": "NVIDIA-H100", "milli": 1000, "nodes": 1,
            "devices": 8, "derived": True, "new": False, "rate_su_per_hour": "2",
        },
    ],
}  # fmt: skip
ADDED = {"cluster": CLUSTER, "examination": FOUND, "without_rate": ["l40s"]}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Two clusters; the login of the first is in files beside it."""
    (tmp_path / "pki").mkdir()
    for name in ("ca.crt", "client.crt", "client.key"):
        (tmp_path / "pki" / name).write_text(f"the {name}")
    (tmp_path / "token").write_text(f"{SECRET}\n")
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: one
contexts:
  - {{name: one, context: {{cluster: c1, user: u1}}}}
  - {{name: two, context: {{cluster: c2, user: u2}}}}
clusters:
  - {{name: c1, cluster: {{server: "https://one:6443", certificate-authority: pki/ca.crt}}}}
  - {{name: c2, cluster: {{server: "https://two:6443", certificate-authority-data: eA==}}}}
users:
  - {{name: u1, user: {{client-certificate: pki/client.crt, client-key: pki/client.key}}}}
  - {{name: u2, user: {{tokenFile: {tmp_path}/token}}}}
"""
    )
    return path


def sent(centre: Centre, route: str) -> dict[str, Any]:
    body = centre.asked(route)[-1].json
    if body.get("kubeconfig"):
        body["kubeconfig"] = json.loads(body["kubeconfig"])
    return body


def test_one_context_is_sent_with_its_files_put_in(centre: Centre, run: Run, kubeconfig: Path) -> None:
    centre.on("POST /clusters", ADDED)
    found = run("admin", "cluster", "add", "pp", "--kubeconfig", str(kubeconfig))
    assert found.code == 0, found.err
    body = sent(centre, "POST /clusters")
    assert (body["name"], body["config"], "context" in body) == ("pp", {}, False)
    document = body["kubeconfig"]
    (cluster,), (user,) = document["clusters"], document["users"]
    assert cluster["cluster"] == {
        "server": "https://one:6443", "certificate-authority-data": base64.b64encode(b"the ca.crt").decode(),
    }  # fmt: skip
    assert user["user"]["client-key-data"] == base64.b64encode(b"the client.key").decode()
    assert "two" not in str(document), "what is not needed is not told"
    assert run("admin", "cluster", "add", "pp", "--kubeconfig", str(kubeconfig), "--context", "two").code == 0
    body = sent(centre, "POST /clusters")
    assert body["context"] == "two"
    assert body["kubeconfig"]["users"][0]["user"] == {"token": SECRET}


def test_the_context_of_the_login_is_named_before_the_command(centre: Centre, run: Run, kubeconfig: Path) -> None:
    centre.on("POST /clusters", ADDED)
    found = run("--context", "nowhere", "admin", "cluster", "add", "pp", "--kubeconfig", str(kubeconfig))
    assert found.code != 0
    assert "nowhere" in found.err
    assert centre.asked("POST /clusters") == []


def test_an_added_cluster_says_what_has_no_rate_yet(centre: Centre, run: Run, kubeconfig: Path) -> None:
    centre.on("POST /clusters", ADDED)
    found = run("admin", "cluster", "add", "pp", "--kubeconfig", str(kubeconfig))
    assert found.out == "added cluster pp: 1 node, l40s=4\n"
    assert found.err.splitlines() == [
        "note: it is newer than what is known",
        "l40s has no rate yet, and carries no jobs until: baray admin rate add l40s SU",
    ]
    assert json.loads(run("admin", "cluster", "add", "pp", "--in-cluster", "-o", "json").out) == CLUSTER
    assert sent(centre, "POST /clusters") == {"name": "pp", "in_cluster": True, "config": {}}


def test_every_option_says_how_the_cluster_is_dealt_with(
    centre: Centre, run: Run, kubeconfig: Path, tmp_path: Path
) -> None:
    centre.on("POST /clusters", ADDED)
    (tmp_path / "pull.json").write_text('{"auths": {}}')
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    line = (
        "--flavor nvidia.com/gpu=l40s --flavor nvidia.com/gpu@nvidia.com/gpu.product=H100=h100-80gb "
        "--registry registry.example/ --registry other.example/ --digest-only --image a/b:1 --helper-image c/d:2 "
        "--centre-url https://baray.example --volume data=shared --egress 10.0.0.0/8:443 --toleration gpu:NoSchedule "
        "--priority-class low --runtime-class nvidia --no-kueue --no-exec --allow-exec-plugin --lost-after 90s "
        f"--give-up 1h30m --prefix ai- --pull-secret {tmp_path / 'pull.json'} --centre-ca {tmp_path / 'ca.pem'}"
    )
    assert run("admin", "cluster", "add", "pp", "--kubeconfig", str(kubeconfig), *line.split()).code == 0
    body = sent(centre, "POST /clusters")
    assert body["pull_secret"] == '{"auths": {}}'
    assert body["config"] == {
        "flavors": [
            {"resource": "nvidia.com/gpu", "flavor": "l40s", "label": "", "value": ""},
            {"resource": "nvidia.com/gpu", "flavor": "h100-80gb", "label": "nvidia.com/gpu.product", "value": "H100"},
        ],
        "registries": ["registry.example/", "other.example/"], "digest_only": True, "image": "a/b:1",
        "helper_image": "c/d:2", "centre_url": "https://baray.example", "volumes": {"data": "shared"},
        "egress": ["10.0.0.0/8:443"], "tolerations": ["gpu:NoSchedule"], "priority_class": "low",
        "runtime_class": "nvidia", "kueue": False, "exec": False, "exec_plugin": True, "lost_after_ms": 90_000,
        "give_up_ms": 5_400_000, "prefix": "ai-",
        "centre_ca": "-----BEGIN CERTIFICATE-----",
    }  # fmt: skip


def test_what_is_not_named_stays_and_none_takes_away(centre: Centre, run: Run) -> None:
    centre.on("PATCH /clusters/pp", CLUSTER)
    line = "--registry none --volume none --image none --kueue --pull-secret none"
    found = run("admin", "cluster", "set", "pp", *line.split())
    assert (found.code, found.out) == (0, "changed cluster pp\n")
    assert sent(centre, "PATCH /clusters/pp") == {
        "config": {"registries": [], "volumes": {}, "image": "", "kueue": True}, "pull_secret": "",
    }  # fmt: skip
    assert run("admin", "cluster", "set", "pp").code == 2


def test_a_look_shows_everything_and_adds_nothing(centre: Centre, run: Run, kubeconfig: Path) -> None:
    centre.on("POST /clusters/check", Answer(200, json=FOUND))
    line = ("admin", "cluster", "add", "pp", "--kubeconfig", str(kubeconfig), "--dry-run")
    found = run(*line)
    assert found.code == 0
    lines = [" ".join(line.split()) for line in found.out.splitlines()]
    assert lines[:5] == ["version v1.36.3", "clock 40 ms behind", "kueue v1beta2", "jobset not there", "nodes 2"]
    assert "l40s 4 1 1000 nvidia.com/gpu NVIDIA-L40S has no rate yet" in lines
    assert "h100-80gb 8 1 1000 nvidia.com/gpu NVIDIA-H100 2" in lines
    assert lines[-1] == "note: it is newer than what is known"
    assert json.loads(run(*line, "-o", "json").out) == FOUND
    assert "name" not in sent(centre, "POST /clusters/check")


def test_a_cluster_that_cannot_be_used_says_all_that_is_wrong_and_ends_so(centre: Centre, run: Run) -> None:
    missing = {**FOUND, "problems": ["it is of version 1.30"], "missing": ["create jobs.batch", "watch nodes"]}
    centre.on("POST /clusters/pp/check", Answer(200, json=missing))
    found = run("admin", "cluster", "check", "pp")
    assert found.code == 5
    assert found.out.splitlines()[-3:] == [
        "not allowed to create jobs.batch", "not allowed to watch nodes", "problem: it is of version 1.30",
    ]  # fmt: skip
    unseen = {**FOUND, "version": "", "skew_ms": None, "kueue": None, "nodes": 0, "flavors": [], "notes": []}
    centre.on("POST /clusters/pp/check", Answer(200, json={**unseen, "problems": ["it cannot be reached"]}))
    said = [" ".join(line.split()) for line in run("admin", "cluster", "check", "pp").out.splitlines()]
    assert said == ["version -", "", "problem: it cannot be reached"], "nothing is told of what was not seen"
    wrong = [{"message": "it is of version 1.30", "field": "kubeconfig"}, {"message": "not allowed to watch nodes"}]
    centre.on("POST /clusters", problem(409, "unfit-cluster", "the cluster cannot be used", wrong))
    refused = run("admin", "cluster", "add", "pp", "--in-cluster")
    assert refused.code == 5
    assert "version 1.30" in refused.err
    assert "watch nodes" in refused.err


def test_credentials_are_renewed_and_clusters_given_up_and_removed(centre: Centre, run: Run, kubeconfig: Path) -> None:
    centre.on("PUT /clusters/pp/access", CLUSTER)
    centre.on("POST /clusters/pp/abandon", Answer(200, json={"attempts": 2}))
    centre.on("DELETE /clusters/pp", Answer(204))
    renewed = run("admin", "cluster", "renew", "pp", "--kubeconfig", str(kubeconfig), "--context", "two")
    assert (renewed.code, renewed.out) == (0, "cluster pp has new credentials\n")
    assert sent(centre, "PUT /clusters/pp/access")["kubeconfig"]["users"][0]["name"] == "u2"
    assert run("admin", "cluster", "abandon", "pp").code == 2, "without a reason"
    given_up = run("admin", "cluster", "abandon", "pp", "--reason", "the hall burnt down")
    assert given_up.out == "gave up 2 attempts of cluster pp\n"
    assert sent(centre, "POST /clusters/pp/abandon") == {"reason": "the hall burnt down"}
    assert run("admin", "cluster", "remove", "pp").out == "cluster pp is removed\n"


def test_a_cluster_is_shown_with_what_was_said_of_it(centre: Centre, run: Run) -> None:
    silent = {**CLUSTER, "contact": {**CLUSTER["contact"], "silent_since_ms": 0}}
    centre.on("GET /clusters/pp", silent)
    centre.on("GET /clusters", page(silent))
    shown = [" ".join(line.split()) for line in run("admin", "cluster", "show", "pp").out.splitlines()]
    assert "version v1.36.3" in shown
    assert "silent since 1970-01-01 00:00:00 UTC" in shown
    assert "kueue v1beta2" in shown
    assert "volumes data=shared" in shown
    assert "pull secret set" in shown
    assert any(line.startswith("gpu-1 active l40s=4") for line in shown)
    listed = run("admin", "cluster", "list").out
    assert "v1.36.3" in listed
    assert "1970-01-01" in listed
    local = {"name": "local", "driver": "local", "state": "active", "notes": [], "nodes": []}
    centre.on("GET /clusters", page(local))
    assert "SILENT" not in run("admin", "cluster", "list").out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("add pp", "which cluster?"),
        ("add pp --kubeconfig {file} --in-cluster", "which cluster?"),
        ("add pp --kubeconfig {missing}", "No such file"),
        ("add pp --kubeconfig {nothing}", "is no kubeconfig"),
        ("add pp --kubeconfig {large}", "longer than 256 KiB"),
        ("add pp --kubeconfig {torn}", "certificate-authority"),
        ("add pp --in-cluster --flavor h100", "names no flavor"),
        ("add pp --in-cluster --volume data", "names no claim"),
        ("add pp --in-cluster --lost-after soon", "no span of time"),
        ("set pp --pull-secret {missing}", "No such file"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(
    centre: Centre, run: Run, kubeconfig: Path, tmp_path: Path, line: str, said: str
) -> None:
    (tmp_path / "large").write_text("x" * (2**18 + 1))
    (tmp_path / "nothing").write_text(f"{SECRET}: [")
    torn = kubeconfig.read_text().replace("pki/ca.crt", "pki/gone.crt")
    (tmp_path / "torn").write_text(torn)
    names = {name: str(tmp_path / name) for name in ("missing", "large", "nothing", "torn")}
    found = run("admin", "cluster", *line.format(file=kubeconfig, **names).split())
    assert found.code == 2
    assert said in found.err
    assert SECRET not in found.err + found.out
    assert centre.requests == []
