"""The history and the centre as a scenario, over HTTP and as the simulator reads them."""

from typing import Any

from domain.accounts import Quota
from domain.jobs import Array
from domain.quantities import DAY_MS, HOUR_MS
from lifecycle import accounts
from scheduler.rules import read_policy
from scheduler.sim.scenario import read_scenario
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import A100, H100, resources, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Api


def history(api: Api, **query: Any) -> list[Any]:
    return api.pages("/history", 2, **query)


def test_what_ran_to_its_end_is_told_with_what_it_asked_for_and_took(centre: Centre, api: Api) -> None:
    centre.submit(spec(needs=resources(2, (A100, H100), cpus=8, walltime="2h"), command="run 90m", qos="urgent"))
    centre.run(hours=3)
    assert history(api) == [
        {
            "job": "1", "tenant": "cadt", "project": "speech", "user": "dara", "qos": "urgent", "flavor": A100, "gpus": 2,
            "nodes": 1, "cpus": 8, "memory_bytes": 2**30, "submitted_ms": NEW_YEAR_MS, "started_ms": NEW_YEAR_MS,
            "ended_ms": NEW_YEAR_MS + 90 * 60_000, "walltime_ms": 2 * HOUR_MS, "state": "succeeded",
        }
    ]  # fmt: skip


def test_amounts_are_over_all_nodes(centre: Centre, api: Api) -> None:
    centre.submit(spec(needs=resources(4, H100, nodes=2, cpus=8)))
    centre.run(hours=1)
    (one,) = history(api)
    assert (one["gpus"], one["nodes"], one["cpus"], one["memory_bytes"]) == (8, 2, 16, 2 * 2**30)


def test_tasks_stand_for_themselves_page_by_page(centre: Centre, api: Api) -> None:
    centre.submit(spec(array=Array(0, 6)))
    centre.run(hours=1)
    assert sorted(one["job"] for one in history(api)) == [f"1_{index}" for index in range(7)]


def test_only_ends_of_ones_own_count_and_each_task_once(centre: Centre, api: Api) -> None:
    centre.submit(spec(command="run 30m", restartable=True))
    centre.submit(spec(command="run 10h"))
    centre.submit(spec(command="fail 3"))
    centre.run(minutes=5)
    centre.control("requeue", 1)
    centre.run(hours=1)
    rows = {one["job"]: one for one in history(api)}
    assert "2" not in rows or rows["2"]["state"] == "timed_out"
    assert rows["1"]["state"] == "succeeded"
    assert rows["1"]["ended_ms"] - rows["1"]["started_ms"] == 30 * 60_000
    assert len(history(api)) == len(rows)


def test_a_part_of_the_time(centre: Centre, api: Api) -> None:
    centre.submit()
    centre.run(hours=1)
    centre.submit()
    centre.run(hours=1)
    after = NEW_YEAR_MS + 1
    assert [one["job"] for one in history(api, from_ms=after)] == ["2"]
    assert [one["job"] for one in history(api, until_ms=after)] == ["1"]
    assert history(api, from_ms=after, until_ms=after) == []


@on_sqlite
def test_the_centre_as_it_is_is_a_scenario(centre: Centre, api: Api) -> None:
    with centre.store.write() as uow:
        accounts.put_quota(uow, uow.directory().by_name["speech"], H100, Quota(4_000, 2_000, None), None)
    api.post("/policies", {"document": {"half_life": "3d"}, "reason": "a test"})
    found = api.get("/scenario").json
    scenario = read_scenario(found)
    plans = {plan.name: plan for plan in scenario.accounts}
    assert plans["speech"].parent == "cadt"
    assert plans["cadt"].parent == "centre"
    assert plans["speech"].quotas == {H100: Quota(4_000, 2_000, None)}
    assert [(pool.cluster, pool.flavor, pool.names, pool.gpus, pool.cpus) for pool in scenario.capacity] == [
        ("sim", H100, ("n1", "n2"), 4, 32), ("sim", A100, ("n3",), 2, 16),
    ]  # fmt: skip
    assert scenario.policy is not None
    assert read_policy(scenario.policy).half_life_ms == 3 * 24 * HOUR_MS


@on_sqlite
def test_its_reservations_are_those_of_the_time_that_is_asked_for(centre: Centre, api: Api) -> None:
    at = {"starts_ms": NEW_YEAR_MS + DAY_MS, "length": "2h"}
    kept = {"name": "class", "account": "speech", "flavor": H100, "gpus": 4, "repeat": "daily", **at}
    down = {"name": "power", "maintenance": True, "cluster": "sim", "nodes": ["n3"], **at}
    assert [api.post("/reservations", body).status for body in (kept, down)] == [201, 201]
    query = {"from_ms": NEW_YEAR_MS, "until_ms": NEW_YEAR_MS + 3 * DAY_MS}
    windows = read_scenario(api.get("/scenario", query=query).json).windows
    assert [(one.account, one.flavor, one.gpus, one.nodes, (one.starts_ms - NEW_YEAR_MS) // DAY_MS) for one in windows] == [
        ("speech", H100, 4, (), 1), (None, None, 0, ("n3",), 1), ("speech", H100, 4, (), 2),
    ]  # fmt: skip
    assert {one.ends_ms - one.starts_ms for one in windows} == {2 * HOUR_MS}
    assert api.get("/scenario").json["windows"] == []  # they are still to come
