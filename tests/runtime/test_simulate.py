"""A rehearsal from files to columns, and what is printed and drawn of it."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from domain.errors import Invalid
from runtime.simulate.command import run
from runtime.simulate.files import read_document, read_trace
from runtime.simulate.outcome import Outcome
from runtime.simulate.plots import write
from runtime.simulate.show import duration, render
from runtime.simulate.trials import Trial, Wanted, prepare
from scheduler.policy import Policy
from scheduler.rules import digest, read_policy
from scheduler.sim.engine import simulate
from scheduler.sim.measures import measure
from scheduler.sim.series import series
from tests.sim.workloads import first_come

ROWS = [(n, f"t{n % 3}", n * 300, 1 + n % 8, 1_800 + n % 5 * 900) for n in range(60)]
TRACE = "job_id,tenant,submit_s,gpus,runtime_s\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS)
SWF = "; a log\n1 0 5 100 4 -1 -1 8 3600 -1 1 7 3 -1 1 -1 -1 -1\n"


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def told(wanted: Wanted) -> list[str]:
    with pytest.raises(Invalid) as error:
        prepare(wanted)
    return [fault.message for fault in error.value.faults]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return put(tmp_path, "small.csv", TRACE)


@pytest.mark.parametrize(
    ("name", "text", "jobs"), [("a.csv", TRACE, 60), ("a.csv.gz", TRACE, 60), ("a.swf", SWF, 1), ("a.SWF.gz", SWF, 1)]
)
def test_traces_are_known_by_their_ending(tmp_path: Path, name: str, text: str, jobs: int) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.lower().endswith(".gz") else text.encode())
    assert len(read_trace(path).jobs) == jobs


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [("a.txt", b"", "does not end in"), ("a.csv.gz", b"no archive", "cannot be read"), ("a.csv", b"\xff\xfe\x00", "no UTF-8"),
     ("a.csv.gz", gzip.compress(TRACE.encode())[:200], "cannot be read")],
)  # fmt: skip
def test_files_that_are_no_traces(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Invalid, match=message):
        read_trace(tmp_path / name)


def test_documents_keep_dates_as_texts_and_json_is_yaml(tmp_path: Path) -> None:
    assert read_document(put(tmp_path, "a.yaml", "date: 2026-03-01\nat: 2026-03-01T09:00:00\n")) == {
        "date": "2026-03-01", "at": "2026-03-01T09:00:00",
    }  # fmt: skip
    assert read_document(put(tmp_path, "a.json", '{"a": [1, {"b": null}]}')) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize("text", ["a: [1", "- 1", "", "a: 1\na: 2", "\ta: 1", "x: " + "y" * 1_100_000])
def test_documents_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid, match=r"bad\.yaml"):
        read_document(put(tmp_path, "bad.yaml", text))


def test_each_scenario_under_each_policy(trace: Path, tmp_path: Path) -> None:
    strict = put(tmp_path, "strict.yaml", "fair_share: false\n")
    more = put(tmp_path, "more.yaml", "capacity: [{flavor: gpu, nodes: 3, gpus: 8}]\n")
    found = prepare(Wanted(trace, [strict], [more], gpus=16))
    assert [trial.name for trial in found] == ["as it is, default", "as it is, strict", "more, default", "more, strict"]
    assert [trial.case.capacity[0][1] for trial in found] == [16, 16, 24, 24]
    assert [trial.case.policy.fair_share for trial in found] == [True, False, True, False]
    assert [trial.name for trial in prepare(Wanted(trace, [strict], gpus=16))] == ["default", "strict"]


def test_capacity_is_added_to_a_number_of_gpus_too(trace: Path, tmp_path: Path) -> None:
    added = put(tmp_path, "added.yaml", "added_capacity: [{flavor: gpu, gpus: 8, from: 1h}]\n")
    asis, more = prepare(Wanted(trace, scenarios=[added], gpus=20))
    assert [gpus for _, gpus in asis.case.capacity] == [20]
    assert [gpus for _, gpus in more.case.capacity] == [20, 28]


def test_a_scenario_changes_the_base_section_by_section(trace: Path, tmp_path: Path) -> None:
    base = put(
        tmp_path, "base.json",
        json.dumps({"accounts": {"t0": {"weight": 3}}, "capacity": [{"flavor": "gpu", "nodes": 2, "gpus": 8}],
                    "policy": {"half_life": "3d"}, "date": "1970-01-01"}),
    )  # fmt: skip
    more = put(tmp_path, "march.yaml", "added_capacity: [{flavor: gpu, nodes: 2, gpus: 8, from: 1970-01-02}]\n")
    own = put(tmp_path, "own.yaml", "policy: {half_life: 1d}\ncapacity: [{flavor: gpu, gpus: 8}]\n")
    asis, march, changed = prepare(Wanted(trace, scenarios=[more, own], base=base))
    assert [gpus for _, gpus in march.case.capacity] == [16, 32]
    assert march.case.capacity[1][0] == 86_400_000
    assert [gpus for _, gpus in changed.case.capacity] == [8]
    assert [trial.case.policy.half_life_ms // 86_400_000 for trial in (asis, march, changed)] == [3, 3, 1]
    weights = [{a.name: a.weight for a in trial.case.tree.accounts.values()}["t0"] for trial in (asis, march, changed)]
    assert weights == [3, 3, 3]


def test_a_part_of_the_trace(trace: Path) -> None:
    (trial,) = prepare(Wanted(trace, gpus=16, from_="1h", until="7200", limit=5))
    assert [job.pending.submitted_ms // 1_000 for job in trial.case.jobs] == [3_600 + 300 * n for n in range(5)]


def test_what_is_wrong_is_told_with_its_file(trace: Path, tmp_path: Path) -> None:
    policy = put(tmp_path, "bad.yaml", "half_life: soon\nfair_share: 3\n")
    assert [message.split(":")[0] for message in told(Wanted(trace, [policy], gpus=8))] == ["bad.yaml", "bad.yaml"]
    scenario = put(tmp_path, "worse.yaml", "capacity: [{flavor: gpu, gpus: -1}]\naccounts: {a: {parent: b}}\n")
    messages = told(Wanted(trace, scenarios=[scenario]))
    assert all(message.startswith("worse.yaml: ") for message in messages)
    assert len(messages) == 2
    broken = put(tmp_path, "broken.csv", TRACE.replace("7,t1,2100,8,3600", "7,t1,2100,-8,3600"))
    assert told(Wanted(broken, gpus=8)) == ["broken.csv: row 9, column gpus: '-8' is no number from 0 to 1e+12"]
    assert "how many GPUs" in told(Wanted(trace))[0]
    assert "no job was submitted" in told(Wanted(trace, gpus=8, from_="9d"))[0]
    assert "has no date" in told(Wanted(trace, gpus=8, from_="2026-01-01"))[0]
    assert "is no duration" in told(Wanted(trace, gpus=8, until="soon"))[0]


def test_the_trace_must_ask_for_what_every_scenario_offers(tmp_path: Path) -> None:
    lines = "tenant,submit_s,gpus,runtime_s,gpu_type\na,0,1,60,h100\na,1,1,60,v100\n"
    trace = put(tmp_path, "two.csv", lines)
    one = put(tmp_path, "one.yaml", "capacity: [{flavor: h100, gpus: 8}]\n")
    both = put(tmp_path, "both.yaml", "capacity: [{flavor: h100, gpus: 8}, {flavor: v100, gpus: 8}]\n")
    assert told(Wanted(trace, scenarios=[both, one])) == ["two.csv: row 3, column gpu_type: no capacity offers 'v100'"]
    assert len(prepare(Wanted(trace, scenarios=[both]))) == 1
    assert "names 2 flavors" in told(Wanted(trace, gpus=8))[0]


def test_too_many_columns(trace: Path, tmp_path: Path) -> None:
    policies = [put(tmp_path, f"p{n}.yaml", "reservations: 1\n") for n in range(12)]
    assert "13 columns" in told(Wanted(trace, policies, gpus=8))[0]


def outcomes(trials: list[Trial]) -> list[Outcome]:
    """Run with the planner of the tests, which plans nothing but first come, first served."""
    found = []
    for trial in trials:
        record = simulate(trial.case, first_come)
        found.append(Outcome(trial, measure(trial.case, record), series(trial.case, record), 0.5))
    return found


@pytest.fixture
def two(trace: Path, tmp_path: Path) -> list[Outcome]:
    more = put(tmp_path, "more.yaml", "capacity: [{flavor: gpu, nodes: 3, gpus: 8}]\n")
    return outcomes(prepare(Wanted(trace, scenarios=[more], gpus=16)))


def test_the_table_lays_columns_side_by_side_with_their_difference(two: list[Outcome]) -> None:
    lines = render(two, "table").splitlines()
    assert lines[0].split() == ["as", "it", "is", "more"]
    mean = next(line for line in lines if line.startswith("wait, mean  "))
    first, second = two[0].measures.wait.mean_s, two[1].measures.wait.mean_s
    assert duration(first) in mean
    assert f"{duration(second)} ({(second - first) / first * 100:+.0f} %)" in mean
    assert lines[-1] == f"policy default: sha256 {digest(Policy())}"


def test_machines_get_everything(two: list[Outcome]) -> None:
    data: Any = json.loads(render(two, "json"))
    assert YAML(typ="safe", pure=True).load(render(two, "yaml")) == data
    asis, more = data["columns"]
    assert asis["measures"]["wait"]["jobs"] == 60
    assert set(asis["measures"]["by_tenant"]) == {"t0", "t1", "t2"}
    assert read_policy(more["policy"]["document"]) == Policy()
    assert more["policy"]["digest"] == digest(Policy())
    rows = list(csv.reader(io.StringIO(render(two, "csv"))))
    assert rows[0] == ["measure", "as it is", "more"]
    values = {row[0]: row[1:] for row in rows}
    assert values["wait, mean"] == [str(column["measures"]["wait"]["mean_s"]) for column in (asis, more)]
    assert values["policy digest"] == [digest(Policy())] * 2
    assert "wait, mean, t2" in values


def test_pictures_are_svg_with_a_curve_for_each_column(two: list[Outcome], tmp_path: Path) -> None:
    paths = write(two, tmp_path)
    assert [path.name for path in paths] == ["wait.svg", "utilisation.svg", "tenants.svg"]
    for path in paths:
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert {"as it is", "more"} <= set(words)
        assert not {"nan", "inf"} & set(path.read_text().replace(",", " ").split())
    curves = ET.fromstring(paths[0].read_text()).findall("{http://www.w3.org/2000/svg}polyline")
    assert len(curves) == 2


def test_names_are_only_text_in_a_picture(trace: Path, tmp_path: Path) -> None:
    put(tmp_path, "small.csv", TRACE.replace("t1", "<b>&"))
    (path, *_) = write(outcomes(prepare(Wanted(trace, gpus=16))), tmp_path)[::-1]
    assert "<b>" not in path.read_text()
    ET.fromstring(path.read_text())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m 0s"), (3_599, "59m 59s"), (7_260, "2h 1m"), (200_000, "2d 7h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_whole_command(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accounts = "accounts: {t0: {quotas: {gpu: {guaranteed: 99}}}}\n"
    scenario = put(tmp_path, "promise.yaml", accounts)
    wanted = Wanted(trace, scenarios=[scenario], gpus=16, limit=20)
    assert run(wanted, form="csv", svg=tmp_path / "pictures") == 0
    found = capsys.readouterr()
    assert found.out.startswith("measure,as it is,promise\n")
    assert "warning: guarantees of gpu add up to 99, the capacity to 16: 83 short" in found.err
    assert (tmp_path / "pictures" / "wait.svg").exists()


def test_nothing_that_fits_is_told(tmp_path: Path) -> None:
    trace = put(tmp_path, "wide.csv", "tenant,submit_s,gpus,runtime_s\na,0,64,60\n")
    with pytest.raises(Invalid, match="none of the jobs could run"):
        run(Wanted(trace, gpus=8))
