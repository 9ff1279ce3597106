"""Draining nodes and labelling clusters, and what the planner makes of it."""

from dataclasses import replace
from typing import Any

import pytest

from domain.jobs import Constraint
from lifecycle.schedule import commit
from lifecycle.snapshot import snapshot
from scheduler.cycle import plan
from tests.support.centre import Centre
from tests.support.factories import resources, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Api

N1 = "/clusters/sim/nodes/n1"


def nodes(api: Api) -> dict[str, Any]:
    return {node["name"]: node for node in api.get("/clusters/sim").json["nodes"]}


def test_what_runs_on_a_drained_node_goes_on_and_nothing_new_starts_there(centre: Centre, api: Api) -> None:
    running = centre.submit(spec(needs=resources(4), command="run 1h"))
    centre.settle()
    assert centre.attempt(running.id).placements[0].node == "n1"
    drained = api.change(N1, {"state": "drained", "reason": "fan 3 is broken"})
    assert drained.status == 200
    assert drained.version == api.get("/clusters/sim").version
    node = nodes(api)["n1"]
    assert (node["state"], node["reason"]) == ("drained", "fan 3 is broken")
    assert nodes(api)["n2"]["state"] == "active"
    assert centre.attempt(running.id).state == "running"
    centre.run(hours=2)
    assert centre.job(running.id).state == "succeeded"
    wide = centre.submit(spec(needs=resources(4, nodes=2), command="run 1m"))
    here = centre.submit(spec(needs=resources(4), command="run 1h"))
    centre.settle()
    assert centre.job(wide.id).state == "pending", "it fits, though not now"
    assert centre.attempt(here.id).placements[0].node == "n2"
    assert api.change(N1, {"state": "active"}).status == 200
    assert nodes(api)["n1"]["reason"] is None
    centre.run(hours=2)
    assert centre.job(wide.id).state == "succeeded"


@on_sqlite
@pytest.mark.parametrize(
    ("path", "body"), [(N1, {"state": "drained", "reason": "a fan"}), ("/clusters/sim", {"state": "draining"})]
)
def test_what_was_planned_before_a_drain_does_not_start_after_it(
    centre: Centre, api: Api, path: str, body: dict[str, str]
) -> None:
    job = centre.submit(spec(needs=resources(4)))
    now_ms = centre.clock.now_ms()
    with centre.store.read() as uow:
        answer = plan(snapshot(uow, now_ms), now_ms)
    assert [placement.node for start in answer.starts for placement in start.placements] == ["n1"]
    assert api.change(path, body).status == 200
    with centre.store.write() as uow:
        assert commit(uow, answer, centre.epoch, now_ms) == 0
    assert centre.job(job.id).state == "pending"


@on_sqlite
@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        (N1, {"state": "drained"}, 422, "reason"),
        (N1, {"state": "drained", "reason": "x" * 201}, 422, "reason"),
        (N1, {"state": "asleep", "reason": "x"}, 422, "state"),
        (N1, {}, 422, "state"),
        ("/clusters/sim/nodes/n9", {"state": "active"}, 404, "node"),
        ("/clusters/none/nodes/n1", {"state": "active"}, 404, "cluster"),
        ("/clusters/sim", {}, 422, None),
        ("/clusters/sim", {"labels": {"clearance": "secret"}}, 422, "labels.clearance"),
        ("/clusters/sim", {"labels": {"cluster": "x"}}, 422, "labels.cluster"),
        ("/clusters/sim", {"labels": {"a b": "x"}}, 422, "labels.a b"),
        ("/clusters/sim", {"labels": {"rack": "x" * 64}}, 422, "labels.rack"),
        ("/clusters/sim", {"labels": {f"l{n}": "x" for n in range(33)}}, 422, "labels"),
        ("/clusters/sim", {"labels": {f"l{n}": "x" for n in range(65)}}, 422, "labels"),
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, path: str, body: Any, status: int, field: str | None) -> None:
    before = api.get("/clusters/sim").body
    answer = api.change(path, body)
    assert (answer.status, answer.json["errors"][0].get("field")) == (status, field)
    assert api.get("/clusters/sim").body == before


@on_sqlite
def test_nobody_drains_a_node_of_a_cluster_that_was_changed_meanwhile(api: Api) -> None:
    seen = api.get("/clusters/sim").headers["ETag"]
    assert api.change(N1, {"state": "drained", "reason": "x"}, headers={"If-Match": seen}).status == 200
    assert api.change(N1, {"state": "active"}, headers={"If-Match": seen}).status == 412


def test_labels_are_set_one_by_one_and_shown_on_every_node(api: Api) -> None:
    assert api.change("/clusters/sim", {"labels": {"clearance": "internal", "residency": "KH"}}).status == 200
    changed = api.change("/clusters/sim", {"labels": {"residency": None, "zone": "pp"}}).json
    assert changed["labels"] == {"clearance": "internal", "zone": "pp"}
    assert all(node["labels"] == {"clearance": "internal", "zone": "pp", "cluster": "sim"} for node in changed["nodes"])


@on_sqlite
def test_the_planner_sees_the_labels_and_no_drained_nodes(centre: Centre, api: Api) -> None:
    api.change("/clusters/sim", {"labels": {"clearance": "restricted"}})
    api.change(N1, {"state": "drained", "reason": "a fan"})
    with centre.store.read() as uow:
        seen = snapshot(uow, centre.clock.now_ms()).nodes
    assert [node.name for node in seen] == ["n2", "n3"]
    assert seen[0].labels == {"clearance": "restricted", "cluster": "sim"}
    secret = centre.submit(replace(spec(), constraint=Constraint(classification="confidential")))
    centre.run()
    assert centre.job(secret.id).state == "succeeded"


def test_a_flavor_without_a_rate_carries_no_job_until_it_has_one(api: Api) -> None:
    added = api.post("/flavors", {"name": "b200", "title": "B200"})
    assert (added.status, added.json["rate_su_per_hour"]) == (201, None)
    job = {
        "project": "speech", "name": "train", "command": ["run", "1m"],
        "resources": {"gpus": 1, "flavor": "b200", "walltime": "1h"},
    }  # fmt: skip
    refused = api.post("/jobs", job)
    assert refused.json["type"].endswith("no-rate")
    assert "ask the centre's allocator to set one" in str(refused.json)
    assert api.post("/flavors/b200/rates", {"from_ms": 0, "su_per_hour": "3"}).status == 201
    assert not api.post("/jobs", job).json["type"].endswith("no-rate")
