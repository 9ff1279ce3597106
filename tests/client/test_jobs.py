"""The calls of jobs and the rest: right routes, right bodies."""

from client import Baray
from tests.client.scripted import JOB, TOKEN, Answer, Centre, ended, page


def test_waiting_asks_until_the_job_is_over(centre: Centre, baray: Baray) -> None:
    centre.on("GET /jobs/1842/wait", JOB, ended("succeeded"))
    assert baray.jobs.wait_until_final(1842)["state"] == "succeeded"
    assert [request.query["timeout_s"] for request in centre.requests] == [["30"], ["30"]]


def test_a_wait_may_be_longer_than_other_answers(centre: Centre) -> None:
    centre.on("GET /jobs/1842/wait", Answer(json=JOB, delay_s=0.4))
    with Baray(centre.address, TOKEN, timeout_s=0.2, retries=0) as baray:
        assert baray.jobs.wait(1842, timeout_s=1)["state"] == "pending"


def test_a_dry_run_says_so_in_the_address(centre: Centre, baray: Baray) -> None:
    centre.on("POST /jobs", {"admitted": True})
    assert baray.jobs.dry_run({"project": "speech"})["admitted"]
    assert centre.requests[0].query == {"dry_run": ["true"]}


def test_many_jobs_at_once(centre: Centre, baray: Baray) -> None:
    centre.on("POST /jobs/batch", {"ids": [1, 2]})
    assert baray.jobs.submit_many([{"name": "a"}, {"name": "b"}]) == [1, 2]
    assert centre.requests[0].json == {"jobs": [{"name": "a"}, {"name": "b"}]}


def test_steering(centre: Centre, baray: Baray) -> None:
    for action in ("cancel", "hold", "release", "requeue"):
        centre.on(f"POST /jobs/1842_7/{action}", JOB)
        getattr(baray.jobs, action)("1842_7")
    assert len(centre.requests) == 4


def test_usage_names_its_span(centre: Centre, baray: Baray) -> None:
    centre.on("GET /usage", {"by": "project", "rows": []})
    baray.usage("project", from_ms=1, to_ms=2)
    assert centre.requests[0].query == {"by": ["project"], "from_ms": ["1"], "to_ms": ["2"]}


def test_status_clusters_and_flavors(centre: Centre, baray: Baray) -> None:
    centre.on("GET /status", {"version": "0.1.0"})
    centre.on("PATCH /clusters/here", {"name": "here", "state": "draining"})
    centre.on("GET /flavors/h100/rates", page({"from_ms": 0, "su_per_hour": "1"}))
    assert baray.status()["version"] == "0.1.0"
    assert baray.clusters.drain("here")["state"] == "draining"
    assert [rate["su_per_hour"] for rate in baray.flavors.rates("h100")] == ["1"]
