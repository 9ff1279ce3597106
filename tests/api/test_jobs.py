"""A job through the API: submitted, explained, looked at, controlled, reported."""

from typing import Any

import pytest

from domain.errors import Refused, Unavailable
from domain.jobs import Launch
from tests.support.centre import Centre
from tests.support.driver import Behaviour, by_command
from tests.support.factories import H100
from tests.support.marks import on_sqlite
from tests.support.serving import Api

JOB = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": H100, "gpus": 4, "walltime": "1h"}}


def test_a_job_from_submission_to_the_report(api: Api, centre: Centre) -> None:
    made = api.post("/jobs", {**JOB, "name": "ភាសាខ្មែរ"})
    assert made.status == 201
    assert made.headers["Location"] == f"/api/v1/jobs/{made.json['id']}"
    job = made.json
    assert job == api.get(f"/jobs/{job['id']}").json
    assert (job["name"], job["tenant"], job["user"], job["state"]) == ("ភាសាខ្មែរ", "cadt", "admin", "pending")
    assert job["tasks"]["pending"] == job["tasks"]["total"] == 1
    centre.settle()
    running = api.get(f"/jobs/{job['id']}").json
    cost = {"held_su": "8", "charged_su": "0", "held_money": {}, "charged_money": {}}
    assert (running["state"], running["cost"]) == ("running", cost)
    centre.run()
    done = api.get(f"/jobs/{job['id']}").json
    assert (done["state"], done["cost"]["held_su"]) == ("succeeded", "0")
    assert done["cost"]["charged_su"] == "0.133333"
    report = api.get("/usage", query={"by": "tenant"}).json
    assert report["agrees"] is True
    assert report["rows"] == [
        {"key": "cadt", "gpu_ms": {H100: 240_000}, "total_gpu_ms": 240_000, "charged_su": "0.133333"}
    ]
    assert report["metered"] == {H100: 240_000}
    (allocation,) = api.get("/allocations", query={"project": "speech"}).json["items"]
    assert (allocation["held_su"], allocation["consumed_su"], allocation["available_su"]) == (
        "0",
        "0.133333",
        "1000.866667",
    )


@on_sqlite
def test_roles_and_volumes_are_shown_as_they_were_given(api: Api, centre: Centre) -> None:
    roles = [
        {"name": "learner", "nodes": 1, "run": "python learn.py", "image": "learner:1", "env": {"LR": "3e-4"}},
        {"name": "actor", "nodes": 1, "command": ["python", "act.py"], "image": None, "env": {}},
    ]
    asked = {"project": "speech", "resources": {"flavor": H100}, "roles": roles, "volumes": {"/scratch": "scratch"}}
    made = api.post("/jobs", {**asked, "resources": {"flavor": H100, "gpus": 2}}).json
    shown = api.get(f"/jobs/{made['id']}").json["spec"]
    assert (shown["roles"], shown["volumes"], shown["resources"]["nodes"]) == (roles, {"/scratch": "scratch"}, 2)
    assert "run" not in shown
    assert "command" not in shown
    again = api.post("/jobs", {key: value for key, value in shown.items() if value is not None})
    assert api.get(f"/jobs/{again.json['id']}").json["spec"] == shown
    kept = centre.job(made["id"]).spec
    assert [role.nodes for role in kept.roles] == [1, 1]
    assert dict(kept.roles[0].env) == {"LR": "3e-4"}


@pytest.mark.promise(5)
@on_sqlite
def test_the_same_report_is_the_same_bytes(api: Api, centre: Centre) -> None:
    for _ in range(3):
        api.post("/jobs", JOB)
    centre.run()
    for by in ("tenant", "project", "funder", "user"):
        first = api.get("/usage", query={"by": by}).body
        centre.restart()
        assert api.get("/usage", query={"by": by}).body == first


def by_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    columns, reasons = answer["columns"], answer["reasons"]
    found = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        starts, low, high = (row.pop(name) for name in ("starts_ms", "low_ms", "high_ms"))
        estimate = None if starts is None else {"starts_ms": starts, "low_ms": low, "high_ms": high}
        reason = None if row["reason"] is None else reasons[row["reason"]]
        found.append({**row, "reason": reason, "estimate": estimate})
    return found


@on_sqlite
def test_a_job_that_waits_says_why_and_what_would_help(api: Api, centre: Centre) -> None:
    first = api.post("/jobs", {**JOB, "command": ["run", "1h"], "resources": {"flavor": H100, "gpus": 3, "nodes": 2}})
    (starting,) = api.get("/queue").json["items"]
    assert (starting["job"], starting["rank"], starting["reason"]) == (first.json["id"], None, None)
    assert starting["estimate"]["starts_ms"] == centre.clock.now_ms()
    assert by_rows(api.get("/queue/columns").json) == [starting]
    centre.settle()
    waiting = api.post("/jobs", JOB).json["id"]
    behind = api.post("/jobs", JOB).json["id"]
    at_ms, hour_ms = centre.clock.now_ms(), 3_600_000
    told = api.get(f"/jobs/{waiting}/why").json
    assert told["reasons"] == [
        {
            "code": "capacity",
            "message": f"asks 4 of {H100}; 2 free in all",
            "facts": {"flavor": H100, "asked": 4, "free": 2},
            "fixes": [],
        }
    ]
    assert told["estimate"]["starts_ms"] == at_ms + hour_ms
    assert at_ms < told["estimate"]["low_ms"] < told["estimate"]["starts_ms"] < told["estimate"]["high_ms"]
    assert told["fixes"] == [
        {"change": {"resources.gpus": 1}, "starts_ms": at_ms, "message": "1 instead of 4 GPUs starts now"}
    ]
    entries = api.get("/queue").json["items"]
    assert [(entry["job"], entry["rank"], entry["reason"]["code"]) for entry in entries] == [
        (waiting, 1, "capacity"),
        (behind, 2, "capacity"),
    ]
    assert entries[0]["estimate"] == told["estimate"]
    held = api.post("/jobs", {**JOB, "held": True}).json["id"]
    everything = api.get("/queue").json["items"]
    assert [(entry["job"], entry["state"], entry["rank"]) for entry in everything[2:]] == [(held, "held", None)]
    assert by_rows(api.get("/queue/columns").json) == everything
    assert api.get("/queue", query={"project": "flood"}).json["items"] == []
    assert api.get("/queue/columns", query={"project": "flood"}).json["columns"]["job"] == []
    again = api.post("/jobs", JOB, query={"dry_run": True}).json
    assert (again["starts_now"], again["place"], again["fixes"]) == (False, None, told["fixes"])
    assert again["estimate"]["starts_ms"] >= told["estimate"]["starts_ms"]
    smaller = {**JOB, "resources": {"flavor": H100, "gpus": 1}}
    assert api.post("/jobs", {**smaller, "qos": "urgent"}, query={"dry_run": True}).json["starts_now"] is True


@on_sqlite
def test_a_dry_run_says_what_would_happen_and_does_nothing(api: Api, centre: Centre) -> None:
    before = centre.database.dump()
    answer = api.post("/jobs", JOB, query={"dry_run": True})
    assert answer.status == 200
    assert answer.json == {
        "admitted": True, "flavor": H100, "cost_su": "8", "available_su": "1001", "starts_now": True,
        "place": {"cluster": "sim", "nodes": ["n1"]}, "reason": None, "estimate": None, "fixes": [], "gates": [],
        "rates": [{"from_ms": centre.clock.now_ms(), "su_per_hour": "2"}], "qos_factor": "1", "cost_money": {}, "manifest": [],
    }  # fmt: skip
    assert api.post("/jobs", {**JOB, "project": "nope"}, query={"dry_run": True}).status == 422
    assert centre.database.dump() == before


@on_sqlite
def test_a_dry_run_shows_the_objects_where_the_job_would_start_or_else_where_it_is_booked(
    api: Api, centre: Centre
) -> None:
    def objects(launch: Launch) -> tuple[dict[str, Any], ...]:
        nodes = [placement.node for placement in launch.placements]
        return ({"kind": "Job", "nodes": nodes, "gpus": [len(placement.devices) for placement in launch.placements]},)

    def shown(**job: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.post("/jobs", {**JOB, **job}, query={"dry_run": True}).json["manifest"]
        return found

    centre.driver.objects = objects
    assert shown() == [{"kind": "Job", "nodes": ["n1"], "gpus": [4]}]
    wide = {"flavor": H100, "gpus": 4, "nodes": 2, "walltime": "1h"}
    api.post("/jobs", {**JOB, "resources": wide})
    centre.settle()
    assert shown() == [{"kind": "Job", "nodes": ["n1"], "gpus": [4]}]  # booked
    assert shown(after=["singleton"], resources=wide)[0]["nodes"] == ["n1", "n2"]  # neither
    assert shown(resources={"flavor": "cpu", "gpus": 0, "nodes": 3})[0]["gpus"] == [0, 0, 0]
    assert shown(array="3-9", env={"A": "1"})[0]["kind"] == "Job"


@on_sqlite
def test_a_dry_run_is_refused_what_the_cluster_could_not_start(api: Api, centre: Centre) -> None:
    def never(launch: Launch) -> tuple[dict[str, Any], ...]:
        raise Refused("the job's Job would be too large", code="unstartable")

    centre.driver.objects = never
    answer = api.post("/jobs", JOB, query={"dry_run": True})
    assert answer.status == 409
    assert "too large" in str(answer.json)


@on_sqlite
def test_a_dry_run_needs_no_cluster_that_answers(api: Api, centre: Centre) -> None:
    def away(launch: Launch) -> tuple[dict[str, Any], ...]:
        raise Unavailable("the cluster was not looked at yet")

    centre.driver.objects = away
    answer = api.post("/jobs", JOB, query={"dry_run": True})
    assert (answer.status, answer.json["starts_now"], answer.json["manifest"]) == (200, True, [])


@on_sqlite
def test_a_dry_run_and_the_planner_agree(api: Api, centre: Centre) -> None:
    """What a dry run says of now is what happens."""
    for gpus in (4, 3, 2, 1, 1, 4):
        job = {**JOB, "command": ["run", "1h"], "resources": {"flavor": H100, "gpus": gpus}}
        said = api.post("/jobs", job, query={"dry_run": True}).json["starts_now"]
        number = api.post("/jobs", job).json["id"]
        centre.settle()
        assert (api.get(f"/jobs/{number}").json["state"] == "running") is said, f"{gpus} GPUs"
        centre.clock.advance(seconds=1)


@on_sqlite
def test_tasks_and_attempts_of_an_array(api: Api, centre: Centre) -> None:
    job = api.post("/jobs", {**JOB, "array": "1-5:2%1", "resources": {"flavor": H100}}).json["id"]
    centre.run(seconds=70)
    tasks = api.get(f"/jobs/{job}/tasks").json["items"]
    assert [(task["id"], task["state"]) for task in tasks] == [(f"{job}_1", "succeeded"), (f"{job}_3", "running")]
    (attempt,) = api.get(f"/jobs/{job}_3/attempts").json["items"]
    assert attempt["id"] == f"{job}_3.1"
    assert api.get(f"/jobs/{job}").json["tasks"] | {"total": 3} == api.get(f"/jobs/{job}").json["tasks"]
    assert api.get(f"/jobs/{job}_2").status == 404, "no task has this index"
    assert api.post(f"/jobs/{job}_5/cancel").json["tasks"]["cancelled"] == 1
    centre.run()
    assert api.get(f"/jobs/{job}").json["state"] == "cancelled"


@on_sqlite
def test_hold_and_release(api: Api, centre: Centre) -> None:
    job = api.post("/jobs", {**JOB, "held": True}).json
    assert job["state"] == "held"
    (why,) = api.get(f"/jobs/{job['id']}/why").json["reasons"]
    assert why["code"] == "held"
    assert api.post(f"/jobs/{job['id']}/release").json["state"] == "pending"
    assert api.post(f"/jobs/{job['id']}/release").code == "not-held"
    assert api.post(f"/jobs/{job['id']}/hold").json["state"] == "held"
    assert api.post(f"/jobs/{job['id']}/hold").code == "already-held"


@on_sqlite
def test_a_drained_cluster_starts_nothing_new(api: Api, centre: Centre) -> None:
    running = api.post("/jobs", JOB).json["id"]
    centre.settle()
    assert api.change("/clusters/sim", {"state": "draining"}).status == 200
    waiting = api.post("/jobs", JOB)
    assert waiting.status == 201, "it waits: the cluster comes back"
    centre.run()
    assert api.get(f"/jobs/{running}").json["state"] == "succeeded"
    assert api.get(f"/jobs/{waiting.json['id']}").json["state"] == "pending"
    assert api.get(f"/jobs/{waiting.json['id']}/why").json["reasons"][0]["code"] == "never-fits"
    api.change("/clusters/sim", {"state": "active"})
    centre.run()
    assert api.get(f"/jobs/{waiting.json['id']}").json["state"] == "succeeded"


@on_sqlite
def test_a_secret_reaches_the_job_and_nobody_else(api: Api, centre: Centre) -> None:
    assert api.put("/projects/speech/secrets/HF_TOKEN", {"value": "hunter2"}).json == {"name": "HF_TOKEN"}
    seen: dict[str, str] = {}

    def note(launch: Launch) -> Behaviour:
        seen.update(launch.secrets)
        return by_command(launch)

    centre.driver.behaviour = note
    api.post("/jobs", {**JOB, "secrets": ["HF_TOKEN"]})
    centre.run()
    assert seen == {"HF_TOKEN": "hunter2"}
    rows = str(centre.database.dump())
    assert "hunter2" not in rows, "it is kept sealed"
    for path in ("/projects/speech/secrets", "/projects/speech/secrets/HF_TOKEN", "/jobs/1", "/jobs/1/attempts"):
        assert b"hunter2" not in api.get(path).body


@on_sqlite
def test_the_service_tells_that_it_is_there(api: Api, centre: Centre) -> None:
    assert api.as_(None).get("//healthz").json == {"status": "ok"}
    assert api.as_(None).get("//readyz").json == {"status": "ready"}
    api.post("/jobs", JOB)
    centre.settle()
    page = api.get("//metrics").body.decode()
    assert f'baray_devices{{cluster="sim",flavor="{H100}",state="used"}} 4.0' in page
    assert 'baray_jobs{state="running"} 1.0' in page
