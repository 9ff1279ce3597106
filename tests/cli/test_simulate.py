"""``baray simulate``: files are handed over, the history is fetched first; what comes out is the runtime's."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Centre

TRACE = "job_id,tenant,user,submit_s,gpus,runtime_s\n" + "".join(
    f"{n},t{n % 2},u{n % 3},{n * 60},{1 + n % 4},{600 + n % 5 * 300}\n" for n in range(40)
)
PAST = {
    "tenant": "cadt", "project": "speech", "user": "dara", "qos": "normal", "flavor": "h100-80gb", "gpus": 2, "nodes": 1,
    "cpus": 4, "memory_bytes": 2**30, "walltime_ms": 7_200_000, "state": "succeeded",
}  # fmt: skip
SCENARIO = {
    "date": "1970-01-01",
    "accounts": {"cadt": {"parent": "centre"}, "speech": {"parent": "cadt", "weight": 2}},
    "capacity": [{"cluster": "main", "flavor": "h100-80gb", "nodes": 1, "gpus": 4, "cpus": 32, "memory": "256Gi"}],
    "policy": {"half_life": "3d"},
}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(TRACE)
    return path


def test_a_trace_is_replayed_under_two_policies(spawn: Run, trace: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.yaml").write_text("fair_share: false\npatience: null\n")
    found = spawn("simulate", "--trace", str(trace), "--gpus", "8", "--policy", "strict.yaml", "-o", "json", "-q")
    assert (found.code, found.err) == (0, "")
    columns = json.loads(found.out)["columns"]
    assert [column["name"] for column in columns] == ["default", "strict"]
    assert all(column["measures"]["started"] == 40 for column in columns)
    assert columns[0]["policy"]["digest"] != columns[1]["policy"]["digest"]
    assert columns[1]["policy"]["document"]["patience"] is None


def test_faults_of_the_file_are_wrong_usage(spawn: Run, trace: Path) -> None:
    trace.write_text(TRACE.replace("0,t0,u0,0,1,", "0,t0,u0,0,minus,", 1))
    found = spawn("simulate", "--trace", str(trace), "--gpus", "8")
    assert found.code == 2
    assert "row 2, column gpus" in found.err
    assert found.out == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "which workload?"),
        (("--trace", "a.csv", "--history"), "which workload?"),
        (("--trace", "a.csv", "--save", "b.csv"), "nothing to keep"),
        (("--trace", "a.csv", "-o", "name"), "no names"),
        (("--trace", "a.csv", "--gpus", "0"), "--gpus"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], told: str) -> None:
    found = run("simulate", *arguments)
    assert found.code == 2
    assert told in found.err


def test_the_history_is_replayed_on_the_centre_as_it_is(spawn: Run, centre: Centre, tmp_path: Path) -> None:
    rows = [
        {**PAST, "job": f"{n}", "submitted_ms": 1_700_000_000_000 + n * 1_500, "started_ms": 1_700_000_100_000,
         "ended_ms": 1_700_003_700_500}
        for n in (3, 1, 2)
    ]  # fmt: skip
    centre.on("GET /scenario", SCENARIO)
    centre.on("GET /history", {"items": rows, "next": None})
    (tmp_path / "more.yaml").write_text("added_capacity: [{cluster: main, flavor: h100-80gb, gpus: 4}]\n")
    found = spawn("simulate", "--history", "--save", "kept.csv", "--scenario", "more.yaml", "-o", "json", "-q")
    assert (found.code, found.err) == (0, "")
    asis, more = json.loads(found.out)["columns"]
    assert (asis["name"], more["name"]) == ("as it is", "more")
    assert asis["policy"]["name"] == "in force"
    assert asis["policy"]["document"]["half_life"] == "3d"
    assert asis["measures"]["wait"]["max_s"] > 0
    assert more["measures"]["wait"]["max_s"] == 0
    lines = (tmp_path / "kept.csv").read_text().splitlines()
    assert lines[1] == "1,cadt,dara,1700000001.5,2,h100-80gb,1,4,1.0,7200,3600.5,succeeded,speech,normal"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]


def test_an_empty_history_is_told(run: Run, centre: Centre) -> None:
    centre.on("GET /scenario", SCENARIO)
    centre.on("GET /history", {"items": [], "next": None})
    found = run("simulate", "--history", "--from", "7d")
    assert found.code == 2
    assert "nothing ran to its end" in found.err
