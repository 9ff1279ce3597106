"""Jobs that wait for others, as people see them: submitted, shown, explained, opened and failed, over HTTP."""

from pathlib import Path

import pytest

from cli.main import main
from domain.jobs import Launch
from tests.support.centre import Centre
from tests.support.driver import by_command
from tests.support.factories import H100
from tests.support.marks import on_sqlite
from tests.support.serving import Api

JOB = {"project": "speech", "name": "train", "command": ["run", "1m"], "resources": {"flavor": H100, "gpus": 1}}


def test_a_job_waits_for_another_and_says_so_until_it_may_start(api: Api, centre: Centre) -> None:
    first = api.post("/jobs", JOB).json["id"]
    then = api.post("/jobs", {**JOB, "after": f"ok:{first}", "priority": -3}).json
    assert (then["state"], then["waits_for"], then["priority"]) == ("pending", [f"ok:{first}"], -3)
    assert then["spec"]["after"] == [f"ok:{first}"]
    assert then == api.get(f"/jobs/{then['id']}").json
    centre.settle()
    (why,) = api.get(f"/jobs/{then['id']}/why").json["reasons"]
    assert why == {
        "code": "dependency", "message": f"waits for job {first} to succeed", "facts": {"after": f"ok:{first}"},
        "fixes": [],
    }  # fmt: skip
    (line,) = api.get("/queue").json["items"]
    assert (line["job"], line["reason"]["code"], line["estimate"]) == (then["id"], "dependency", None)
    dry = api.post("/jobs", {**JOB, "after": [f"any:{first}", "singleton"]}, query={"dry_run": True}).json
    assert (dry["starts_now"], dry["reason"]["code"]) == (False, "dependency")
    assert dry["reason"]["message"] == f"waits for job {first} to end, your earlier jobs of the same name to end"
    centre.run(seconds=61)
    assert api.get(f"/jobs/{then['id']}").json["state"] == "running"
    centre.run()
    over = api.get(f"/jobs/{then['id']}").json
    assert (over["state"], over["waits_for"]) == ("succeeded", [])


def test_a_job_whose_dependency_can_never_be_met_is_over_with_that_reason(api: Api, centre: Centre) -> None:
    first = api.post("/jobs", {**JOB, "command": ["run", "1m", "exit", "1"]}).json["id"]
    then = api.post("/jobs", {**JOB, "after": [f"ok:{first}"]}).json["id"]
    centre.run()
    over = api.get(f"/jobs/{then}").json
    assert (over["state"], over["started_ms"], over["waits_for"]) == ("failed", None, [])
    assert over["reason"] == f"dependency ok:{first} can never be met: job {first} ended failed"
    assert over["cost"] == {"held_su": "0", "charged_su": "0", "held_money": {}, "charged_money": {}}
    refused = api.post("/jobs", {**JOB, "after": [f"failed:{first}", f"ok:{first}"]})
    assert (refused.status, refused.code) == (409, "never-met")
    assert [error["field"] for error in refused.json["errors"]] == ["after.1", "after"]


@on_sqlite
def test_a_workflow_in_one_request(api: Api, centre: Centre) -> None:
    jobs = [JOB, {**JOB, "after": "ok:@0"}, {**JOB, "after": ["ok:@0", "ok:@1"]}]
    one, two, three = api.post("/jobs/batch", {"jobs": jobs}).json["ids"]
    assert api.get(f"/jobs/{three}").json["spec"]["after"] == [f"ok:{one}", f"ok:{two}"]
    centre.run()
    assert {api.get(f"/jobs/{job}").json["state"] for job in (one, two, three)} == {"succeeded"}
    refused = api.post("/jobs/batch", {"jobs": [{**JOB, "after": "ok:@1"}, JOB]})
    assert (refused.status, refused.json["errors"][0]["field"]) == (409, "jobs.0.after.0")


@on_sqlite
def test_a_shown_job_file_is_read_as_the_same_again(api: Api) -> None:
    wishes = {
        "after": [],
        "priority": 7,
        "constraint": {"require": {}, "forbid": {"rack": "r9", "zone": "b"}, "together": None},
        "data": {"classification": "public", "residency": None},
    }
    made = api.post("/jobs", {**JOB, **wishes}).json
    shown = {name: value for name, value in made["spec"].items() if value is not None}
    assert {name: shown[name] for name in wishes} == wishes
    assert api.post("/jobs", shown).json["spec"] == made["spec"]


@on_sqlite
def test_one_sees_and_starts_one_s_jobs_by_priority(api: Api, centre: Centre) -> None:
    """A user's later job overtakes the earlier ones once its priority says so."""
    big = {"flavor": H100, "gpus": 4, "nodes": 2}
    blocker = api.post("/jobs", {**JOB, "resources": big}).json["id"]
    centre.settle()
    early, late = (api.post("/jobs", {**JOB, "resources": big}).json["id"] for _ in range(2))
    order: list[int] = []

    def noted(launch: Launch):
        order.append(launch.attempt.job)
        return by_command(launch)

    centre.driver.behaviour = noted
    assert api.change(f"/jobs/{late}", {"priority": 100}).status == 200
    centre.run()
    assert order == [late, early]
    assert api.get(f"/jobs/{blocker}").json["state"] == "succeeded"


@on_sqlite
def test_each_user_has_bounds_that_are_set_like_the_others(api: Api, centre: Centre) -> None:
    set_ = api.put("/limits/speech", {"user_running_jobs": 1, "user_queued_jobs": 3})
    assert set_.json == api.get("/limits/speech").json
    assert (set_.json["user_running_jobs"], set_.json["user_queued_jobs"]) == (1, 3)
    mine, theirs = (api.as_(centre.population.tokens[user]) for user in ("dara", "sok"))
    for user in (mine, theirs):
        assert {user.post("/jobs", JOB).status for _ in range(3)} == {201}
        refused = user.post("/jobs", JOB)
        assert (refused.status, refused.code) == (409, "user-queued-limit")
        assert (
            refused.json["errors"][0]["message"]
            == "you have 3 unfinished jobs in project speech, as many as each user may"
        )
    centre.settle()
    states = [(job["user"], job["state"]) for job in api.get("/jobs").json["items"]]
    assert sorted(user for user, state in states if state == "running") == ["dara", "sok"]
    centre.run()
    assert {job["state"] for job in api.get("/jobs").json["items"]} == {"succeeded"}


@on_sqlite
def test_a_script_with_sbatch_lines_and_a_job_file_on_the_command_line(
    api: Api, centre: Centre, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command line, over HTTP, to the planner and back."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(
            list(arguments), {"HOME": str(tmp_path), "BARAY_ADDRESS": api.address, "BARAY_TOKEN": api.token or ""}
        )
        return code, *capfd.readouterr()

    (tmp_path / "one.yaml").write_text(
        "project: speech\nname: one\ncommand: [run, 1m]\nresources: {flavor: h100-80gb}\n"
    )
    (tmp_path / "two.sh").write_text(
        "#!/bin/bash\n#SBATCH -A speech --gres=gpu:h100-80gb:1 --nice=5\n#SBATCH -d afterok:1,singleton\necho\n"
    )
    (tmp_path / "bad.yaml").write_text("project: speech\ncommand: [run, 1m]\nafter:\n- ok:1\n- ok:99\n")
    assert run("submit", str(tmp_path / "one.yaml"))[1] == "submitted job 1\n"
    assert run("submit", str(tmp_path / "two.sh"))[1] == "submitted job 2\n"
    centre.settle()
    assert "waits for job 1 to succeed" in run("why", "2")[1]
    shown = run("show", "2")[1]
    assert "ok:1" in shown
    assert "-5" in shown
    assert run("priority", "2", "-7")[1] == "set the priority of job 2 to -7\n"
    code, _, said = run("submit", str(tmp_path / "bad.yaml"))
    assert code == 2
    assert "bad.yaml:5:3: after.1: there is no job 99" in said
    centre.run()
    assert api.get("/jobs/2").json["state"] == "succeeded"
    assert run("submit", "--after", "failed:1", "-p", "speech", "--", "true")[0] == 5
