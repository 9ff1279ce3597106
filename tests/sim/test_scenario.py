"""Scenario documents: what they say, what is wrong with them all at once, and the case that comes of one."""

from typing import Any

import pytest

from domain.accounts import AccountKind, Quota
from domain.errors import Invalid
from domain.quantities import DAY_MS, HOUR_MS
from scheduler.sim.case import build
from scheduler.sim.scenario import Capacity, Reserved, Scenario, read_scenario, shortfalls, uniform
from scheduler.sim.traces import Trace, TraceJob, read_csv
from tests.sim.workloads import trace

H100 = "h100-80gb"


def faults(document: Any) -> dict[str | None, str]:
    with pytest.raises(Invalid) as error:
        read_scenario(document)
    return {fault.field: fault.message for fault in error.value.faults}


def test_sixteen_more_in_march() -> None:
    scenario = read_scenario(
        {
            "date": "2026-01-01",
            "capacity": [
                {"flavor": H100, "nodes": 8, "gpus": 8, "cpus": 96, "memory": "1Ti", "labels": {"rack": "r1"}},
                {"flavor": H100, "nodes": 2, "gpus": 8, "from": "2026-03-01", "until": "2026-04-01T12:00Z"},
            ],
        }
    )
    first, march = scenario.capacity
    assert first == Capacity(H100, 8, 8, cpus=96, memory_bytes=2**40, labels={"rack": "r1"})
    assert (march.from_ms, march.until_ms) == (59 * DAY_MS, 90 * DAY_MS + 12 * HOUR_MS)
    case = build(trace(("a", 0, 1, 1)), scenario)
    assert [gpus for _, gpus in case.capacity] == [64, 80, 64]
    assert [(change.at_ms // DAY_MS, change.joins) for change in case.changes] == [
        (59, True), (59, True), (90, False), (90, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("date", "days"), [("1970-01-01", 0), ("2000-02-29", 11_016), ("2024-03-01", 19_783)])
def test_dates_are_counted_from_1970(date: str, days: int) -> None:
    assert read_scenario({"date": date}).zero_ms == days * DAY_MS


@pytest.mark.parametrize("date", ["2023-02-29", "2024-13-01", "2024-04-31", "2024-01-01T25:00"])
def test_there_is_no_such_date(date: str) -> None:
    assert list(faults({"date": date})) == ["date"]


def test_accounts_with_quotas_in_whole_gpus() -> None:
    scenario = read_scenario(
        {
            "accounts": {
                "cadt": {"weight": 3, "quotas": {H100: {"guaranteed": 16, "borrow_limit": 8, "lend_limit": 0}}},
                "speech": {"parent": "cadt"},
                "rupp": None,
            },
            "capacity": [{"flavor": H100, "gpus": 8, "nodes": 4}],
        }
    )
    rows = [("speech", "cadt"), ("", "rupp"), ("", "itc"), ("floods", "cadt")]
    jobs = tuple(TraceJob(str(n), tenant, 0, 1, 1_000, project=project) for n, (project, tenant) in enumerate(rows))
    case = build(Trace(jobs), scenario)
    tree = case.tree
    names = {account.id: account.name for account in tree.accounts.values()}
    assert [[names[above] for above in tree.path(job.pending.project_id)] for job in case.jobs] == [
        ["speech", "cadt", "centre"], ["rupp/jobs", "rupp", "centre"], ["itc/jobs", "itc", "centre"],
        ["cadt/floods", "cadt", "centre"],
    ]  # fmt: skip
    by_name = {account.name: account for account in tree.accounts.values()}
    assert (by_name["cadt"].weight, by_name["cadt"].kind) == (3, AccountKind.TENANT)
    assert by_name["speech"].kind is AccountKind.PROJECT
    assert tree.quotas == {(by_name["cadt"].id, H100): Quota(16_000, 8_000, 0)}
    assert case.tenants == ("cadt", "rupp", "itc")


def test_a_circle_of_accounts_is_named() -> None:
    found = faults({"accounts": {"a": {"parent": "b"}, "b": {"parent": "a"}, "c": {"parent": "b"}}})
    assert found == {
        "accounts.a.parent": "accounts.a.parent: 'a' is above itself",
        "accounts.b.parent": "accounts.b.parent: 'b' is above itself",
    }


@pytest.mark.parametrize(
    ("weight", "told"),
    [(-1, "'-1' is no whole number"), (0, "no whole number from 1"), (float("inf"), "infinite is no"),
     (float("nan"), "not a number is no"), (1.5, "'1.5' is no whole"), (True, "'True' is no"), (10**7, "more than")],
)  # fmt: skip
def test_wrong_weights_are_named(weight: float, told: str) -> None:
    found = faults({"accounts": {"a": {"weight": weight}}})
    assert list(found) == ["accounts.a.weight"]
    assert told in found["accounts.a.weight"]


def test_everything_wrong_is_named_at_once() -> None:
    assert set(
        faults(
            {
                "acounts": {},
                "date": 5.5,
                "accounts": {"a": {"parent": "nobody", "quotas": {H100: {"guaranteed": -4}}}, "centre": {}},
                "capacity": [{"gpus": 0, "flavor": H100}, {"gpus": 8, "memory": "lots"}, 5],
                "windows": [{"name": "w", "starts": "2h", "ends": "1h", "gpus": 4, "flavor": H100}],
                "policy": [1],
                "restartable": "yes",
            }
        )
    ) == {
        "acounts", "date", "accounts.a.parent", "accounts.a.quotas.h100-80gb.guaranteed", "accounts.centre.name",
        "capacity[0].gpus", "capacity[1].flavor", "capacity[1].memory", "capacity[2].flavor", "capacity[2].gpus",
        "capacity[2]", "windows[0].ends", "policy", "restartable",
    }  # fmt: skip


def test_nodes_have_the_names_that_they_are_given() -> None:
    pools = [{"flavor": H100, "gpus": 8, "names": ["gpu7", "gpu8"]}, {"flavor": H100, "gpus": 4, "nodes": 2}]
    window = {"name": "w", "starts": 0, "ends": "1h", "cluster": "sim", "nodes": ["gpu8"]}
    case = build(trace(("a", 0, 1, 1)), read_scenario({"capacity": pools, "windows": [window]}))
    assert [(node.name, node.devices[H100]) for node in case.nodes] == [("gpu7", 8), ("gpu8", 8), ("n1", 4), ("n2", 4)]
    assert case.windows[0].nodes == ("gpu8",)
    assert "capacity[0].names" in faults({"capacity": [{"flavor": H100, "gpus": 8, "names": ["a", "b"], "nodes": 3}]})
    assert "capacity" in faults(
        {"capacity": [{"flavor": H100, "gpus": 8, "names": ["n1"]}, {"flavor": H100, "gpus": 8}]}
    )


def test_dates_need_the_date_of_the_trace() -> None:
    document = {"windows": [{"name": "w", "starts": "2026-03-01", "ends": "2026-03-02", "gpus": 1, "flavor": "gpu"}]}
    assert "windows[0].starts" in faults(document)
    assert read_scenario({**document, "date": "2026-03-01"}).windows[0].starts_ms == 0


def test_a_window_repeats() -> None:
    document = {
        "accounts": {"a": {}},
        "windows": [
            {"name": "class", "account": "a", "starts": "9h", "ends": "11h", "every": "7d", "times": 3,
             "flavor": H100, "gpus": 8},
            {"name": "power", "starts": "1d", "ends": "2d", "cluster": "sim", "nodes": ["n1", "n2"]},
        ],
        "capacity": [{"flavor": H100, "nodes": 2, "gpus": 8}],
    }  # fmt: skip
    scenario = read_scenario(document)
    assert [(w.name, w.starts_ms // HOUR_MS, w.ends_ms // HOUR_MS) for w in scenario.windows] == [
        ("class", 9, 11), ("class-2", 177, 179), ("class-3", 345, 347), ("power", 24, 48),
    ]  # fmt: skip
    assert scenario.windows[3] == Reserved("power", None, DAY_MS, 2 * DAY_MS, "sim", ("n1", "n2"))
    windows = build(trace(("a", 0, 1, 1)), scenario).windows
    assert [window.name for window in windows] == ["class", "power", "class-2", "class-3"]
    assert windows[1].account_id is None


@pytest.mark.parametrize(
    "window",
    [
        {"account": "nobody", "flavor": H100, "gpus": 8},
        {"account": "a", "flavor": "v100", "gpus": 8},
        {"nodes": ["n9"]},
        {"nodes": ["n1"], "flavor": H100, "gpus": 8},
        {},
        {"flavor": H100, "gpus": 8, "every": "1h", "times": 5},
    ],
)
def test_windows_that_make_no_sense(window: dict[str, Any]) -> None:
    base = {"accounts": {"a": {}}, "capacity": [{"flavor": H100, "nodes": 2, "gpus": 8}]}
    assert faults({**base, "windows": [{"name": "w", "starts": 0, "ends": "2h", **window}]})


def test_guarantees_above_the_capacity_are_allowed_and_told() -> None:
    accounts = {
        "a": {"quotas": {H100: {"guaranteed": 4}}},
        "a1": {"parent": "a", "quotas": {H100: {"guaranteed": 6}}},
        "b": {"quotas": {H100: {"guaranteed": 8}}},
    }
    scenario = read_scenario({"accounts": accounts, "capacity": [{"flavor": H100, "gpus": 8}]})
    assert shortfalls(scenario) == ("guarantees of h100-80gb add up to 14, the capacity to 8: 6 short",)


def test_uniform_capacity() -> None:
    assert [(pool.nodes, pool.gpus) for pool in uniform(20, 8)] == [(2, 8), (1, 4)]
    assert [(pool.nodes, pool.gpus) for pool in uniform(4, 8)] == [(1, 4)]


@pytest.mark.parametrize(
    ("gpus", "nodes", "shape"),
    [(1, None, (1, 1)), (8, None, (1, 8)), (16, None, (2, 8)), (12, None, (2, 6)), (12, 3, (3, 4)), (9, 2, (2, 5)),
     (11, None, (2, 6)),
     (17, None, (3, 6)), (127, None, (16, 8)), (129, None, None)],
)  # fmt: skip
def test_gangs_are_even_and_take_as_few_nodes_as_can_be(
    gpus: int, nodes: int | None, shape: tuple[int, int] | None
) -> None:
    job = TraceJob("1", "a", 0, gpus, 1_000, nodes=nodes)
    case = build(Trace((job,)), Scenario(capacity=uniform(128, 8)))
    if shape is None:
        assert case.rejected == ("1",)
    else:
        asked = case.jobs[0].pending.resources
        assert (asked.nodes, asked.gpus) == shape


def test_cores_and_memory_count_where_the_capacity_says_them() -> None:
    lines = ["tenant,submit_s,gpus,runtime_s,cpus,mem_gib", "a,0,1,60,16,64", "a,0,1,60,65,64"]
    counted = build(read_csv(lines), Scenario(capacity=(Capacity("gpu", 1, 8, cpus=64, memory_bytes=2**40),)))
    assert [(job.pending.resources.cpus, job.pending.resources.memory_bytes) for job in counted.jobs] == [(16, 2**36)]
    assert len(counted.rejected) == 1
    free = build(read_csv(lines), Scenario(capacity=uniform(8, 8)))
    assert {job.pending.resources.cpus for job in free.jobs} == {0}


def test_the_walltime_is_what_was_asked_but_never_less_than_the_run_time() -> None:
    lines = ["tenant,submit_s,gpus,runtime_s,requested_walltime_s", "a,0,1,60,100", "a,0,1,60,50", "a,0,1,60,"]
    case = build(read_csv(lines), Scenario(capacity=uniform(8, 8)))
    assert [job.pending.resources.walltime_ms for job in case.jobs] == [100_000, 60_000, 60_000]


def test_flavors_that_no_capacity_offers_are_refused() -> None:
    jobs = Trace((TraceJob("1", "a", 0, 1, 1_000, gpu_type="v100"),))
    with pytest.raises(Invalid, match="no capacity offers 'v100'"):
        build(jobs, Scenario(capacity=uniform(8, 8, H100)))
