"""The whole centre with two real clusters and one queue: from the command line to the pods, and through what goes wrong."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.centres import Up
from tests.cluster.rig import fleet
from tests.cluster.rig.control_plane import BARAY, RESTRICTED, Cluster
from tests.cluster.rig.wire import Wire
from tests.support.serving import Served

_LONG = {"KWOK_SECONDS": "600"}


@pytest.fixture(scope="module")
def wire(second_cluster: Cluster) -> Iterator[Wire]:
    with Wire(second_cluster.port) as laid:
        yield laid


@pytest.fixture(scope="module")
def up(cluster: Cluster, second_cluster: Cluster, wire: Wire, server: Served) -> Iterator[Up]:
    with tempfile.TemporaryDirectory(prefix="baray-centre-") as root:
        Path(root).chmod(0o711)
        made = Up(Path(root), server)
        try:
            made.add_cluster("one", cluster.kubeconfig(BARAY), "--image", "registry.example/base:1")
            made.add_cluster("two", wire.kubeconfig(second_cluster.kubeconfig(BARAY)), "--lost-after", "10s")
            yield made
        finally:
            made.close()


@pytest.fixture(autouse=True)
def _calm(up: Up) -> Iterator[None]:
    """Whatever a test leaves running makes room for the next."""
    yield
    living = [job for job in up.admin.pages("/jobs", 1000) if job["state"] not in {"succeeded", "failed", "cancelled", "timed_out"}]  # fmt: skip
    for job in living:
        up.ask("POST", f"/jobs/{job['id']}/cancel")
    up.soon(lambda: not [job for job in living if up.job(job["id"])["state"] != "cancelled"], 60)


def test_a_cluster_is_added_by_the_command_line_and_shown_with_its_nodes(up: Up) -> None:
    found = json.loads(up.baray("admin", "cluster", "show", "one", "-o", "json").stdout)
    assert (found["driver"], found["state"]) == ("kubernetes", "active")
    assert (found["contact"]["version"], found["contact"]["kueue"]) == ("v1.36.3", "v1beta2")
    assert Counter(next(iter(node["devices"])) for node in found["nodes"]) == {"h100-80gb": 10, "a100-40gb": 10}
    assert "token" not in json.dumps(found)


def test_one_that_lacks_permissions_is_refused_by_their_names(up: Up, cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "restricted"
    file.write_text(json.dumps(cluster.kubeconfig(RESTRICTED)))
    done = up.baray("admin", "cluster", "add", "three", "--kubeconfig", str(file), check=False)
    assert done.returncode == 5
    assert "create jobs.batch" in done.stderr
    again = up.baray("admin", "cluster", "add", "three", "--kubeconfig", "-", check=False, text=json.dumps(cluster.kubeconfig(BARAY)))  # fmt: skip
    assert again.returncode == 5, "a cluster is never added twice"


def test_a_job_goes_its_whole_way(up: Up, cluster: Cluster) -> None:
    job = up.submit(env={"KWOK_PRINT": "hello\nworld", "KWOK_SECONDS": "1"})
    (done,) = up.wait([job], "succeeded")
    assert up.admin.get(f"/jobs/{job}/logs").body == b"hello\nworld\n"
    (attempt,) = up.attempts(job)
    assert (attempt["state"], attempt["exit_code"], attempt["cluster"]) in [("succeeded", 0, name) for name in ("one", "two")]  # fmt: skip
    assert done["ended_ms"] >= done["started_ms"]
    assert up.ask("GET", "/usage")["agrees"]


def test_failures_reach_the_user_in_words(up: Up) -> None:
    bad, short = up.submit(env={"KWOK_EXIT": "3"}), up.submit(env={"KWOK_OOM": "1"})
    up.wait([bad, short], "failed")
    assert up.attempts(bad)[0]["exit_code"] == 3
    assert "memory" in up.attempts(short)[0]["detail"]


def test_an_array_and_a_gang_and_roles_run(up: Up, cluster: Cluster) -> None:
    array = up.submit(array="0-7", env={"KWOK_SECONDS": "1"})
    gang = up.submit(nodes=2, gpus=8, env={"KWOK_SECONDS": "1"})
    up.wait([array, gang], "succeeded")
    assert len(up.attempts(array)) == 8


def test_two_clusters_are_one_queue(up: Up) -> None:
    """Twelve nodes of H100 on both; fourteen jobs want one each."""
    jobs = [up.submit(gpus=8, env=_LONG) for _ in range(14)]
    up.soon(lambda: Counter(up.job(job)["state"] for job in jobs) == {"running": 12, "pending": 2}, 60)
    where = Counter(up.attempts(job)[-1]["cluster"] for job in jobs if up.job(job)["state"] == "running")
    assert where == {"one": 10, "two": 2}
    waiting = [job for job in jobs if up.job(job)["state"] == "pending"]
    assert up.ask("GET", f"/jobs/{waiting[0]}/why")
    up.ask("POST", f"/jobs/{next(job for job in jobs if job not in waiting)}/cancel")
    up.soon(lambda: up.job(waiting[0])["state"] == "running", 60)


def test_a_cluster_that_is_lost_and_comes_back_keeps_its_jobs(up: Up, wire: Wire) -> None:
    up.ask("PATCH", "/clusters/one", {"state": "draining"})
    try:
        short, long_ = up.submit(env={"KWOK_SECONDS": "5", "KWOK_EXIT": "6"}), up.submit(env=_LONG)
        up.wait([short, long_], "running")
        wire.stall()
        up.soon(lambda: up.attempts(long_)[0]["state"] == "lost", 60)
        assert up.job(long_)["state"] == "running"
        nodes = {node["name"]: node for node in up.ask("GET", "/clusters/two")["nodes"]}
        assert sum(8 - node["free"].get("h100-80gb", 8) for node in nodes.values()) == 2, "it is booked still"
        wire.cut()
        wire.mend()
        up.wait([short], "failed", 90)
        up.soon(lambda: up.attempts(long_)[0]["state"] == "running", 60)
        assert [len(up.attempts(job)) for job in (short, long_)] == [1, 1]
    finally:
        wire.mend()
        up.ask("PATCH", "/clusters/one", {"state": "active"})


def test_a_guarantee_takes_its_gpus_back_with_grace(up: Up, cluster: Cluster) -> None:
    """flood is guaranteed 80 GPUs that speech has borrowed: what makes way ends politely, and runs again."""
    borrowed = [
        up.submit(gpus=8, qos="preemptible", checkpoint={"grace": "5s", "restartable": True}, env={**_LONG, "KWOK_TERM": "1"})
        for _ in range(12)
    ]  # fmt: skip
    up.wait(borrowed, "running")
    up.ask("PUT", "/quotas/itc/h100-80gb", {"guaranteed": 40})
    claimed = [up.submit("flood", gpus=8, env=_LONG) for _ in range(2)]
    up.wait(claimed, "running", 90)
    stopped = [up.attempts(job) for job in borrowed if up.job(job)["state"] == "pending"]
    assert len(stopped) == 2
    assert {attempts[-1]["state"] for attempts in stopped} == {"preempted"}


def test_jobs_survive_a_restart_of_the_centre(up: Up) -> None:
    jobs = [up.submit(env={"KWOK_SECONDS": "4"}) for _ in range(6)]
    up.soon(lambda: any(up.job(job)["state"] == "running" for job in jobs))
    up.restart()
    up.wait(jobs, "succeeded")
    assert [len(up.attempts(job)) for job in jobs] == [1] * 6


def test_inventory_follows_the_nodes_within_seconds(up: Up, cluster: Cluster) -> None:
    fleet.add(cluster.admin, fleet.Fake("late-1", fleet.A100))
    began = time.monotonic()
    try:
        up.soon(lambda: "late-1" in {node["name"] for node in up.ask("GET", "/clusters/one")["nodes"]}, 20)
        assert time.monotonic() - began < 15
    finally:
        cluster.admin.delete("/api/v1/nodes/late-1")
    up.soon(lambda: "late-1" not in {node["name"] for node in up.ask("GET", "/clusters/one")["nodes"]}, 20)


def test_a_preview_of_the_manifest_is_what_would_be_made(up: Up) -> None:
    done = up.baray("submit", "--project", "speech", "--image", "registry.example/train:1", "--gpus", "1", "--flavor", "h100-80gb", "--dry-run", "-o", "yaml", "--", "train")  # fmt: skip
    assert "kind: Job" in done.stdout
    assert "podReplacementPolicy: Failed" in done.stdout
