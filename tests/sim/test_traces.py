"""Reading workloads: what is understood, and what is refused with its row and column."""

import pytest

from domain.errors import Invalid
from scheduler.sim.traces import COLUMNS, FAULTS, Trace, TraceJob, read_csv, read_swf

HEADER = ",".join(COLUMNS)


def read(*rows: str, flavors: set[str] | None = None) -> Trace:
    return read_csv([HEADER, *rows], flavors)


def refused(*rows: str, flavors: set[str] | None = None) -> list[tuple[str | None, str]]:
    with pytest.raises(Invalid) as error:
        read(*rows, flavors=flavors)
    assert all(fault.fix and "nothing was replayed" in fault.fix for fault in error.value.faults)
    return [(fault.field, fault.message) for fault in error.value.faults]


def test_a_full_row() -> None:
    assert read("7,cadt,dara,12.5,8,h100,1,16,64,3600,1800.25,COMPLETED").jobs == (
        TraceJob(
            "7", "cadt", 12_500, 8, 1_800_250, "dara", "h100", 1, 16, 64 * 2**30, 3_600_000, "COMPLETED"
        ),
    )  # fmt: skip


def test_empty_fields_are_unknown() -> None:
    job = read("7,cadt,,0,1,,,,,,60,").jobs[0]
    assert (job.user, job.gpu_type, job.nodes, job.cpus, job.memory_bytes, job.walltime_ms) == (
        "",
        "",
        None,
        None,
        None,
        None,
    )


def test_needed_columns_are_enough_and_their_order_is_free() -> None:
    assert read_csv(["gpus,runtime_s,submit_s,tenant", "2,60,5,cadt"]).jobs == (TraceJob("", "cadt", 5_000, 2, 60_000),)


def test_a_centres_own_history_says_project_and_qos() -> None:
    job = read_csv([f"{HEADER},project,qos", "1,cadt,dara,0,1,,,,,,60,,speech,urgent"]).jobs[0]
    assert (job.project, job.qos) == ("speech", "urgent")


def test_fractions_are_rounded_up() -> None:
    assert read("1,a,,0,0.46,,,,,,60,").jobs[0].gpus == 1


def test_rows_that_cannot_be_replayed_are_skipped_and_counted() -> None:
    found = read("1,a,,0,0,,,,,,60,", "2,a,,0,,,,,,,60,", "3,a,,0,1,,,,,,,", "4,a,,0,1,,,,,,0,", "5,a,,0,1,,,,,,1,")
    assert [job.name for job in found.jobs] == ["5"]
    assert found.skipped == {"no GPUs": 2, "no run time": 2}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("1,a,,-5,1,,,,,,60,", "row 2.submit_s"),
        ("1,a,,,1,,,,,,60,", "row 2.submit_s"),
        ("1,a,,0,nan,,,,,,60,", "row 2.gpus"),
        ("1,a,,0,1,,,,,,inf,", "row 2.runtime_s"),
        ("1,a,,0,1,,,,,-1,60,", "row 2.requested_walltime_s"),
        ("1,a,,0,1,,x,,,,60,", "row 2.nodes"),
        ("1,a,,0,1_000,,,,,,60,", "row 2.gpus"),
        ("1,a,,0,1,v100,,,,,60,", "row 2.gpu_type"),
    ],
)
def test_a_wrong_field_is_named_by_row_and_column(row: str, field: str) -> None:
    faults = refused(row, flavors={"h100-80gb"})
    assert [name for name, _ in faults] == [field]
    column = field.split(".")[1]
    assert f"row 2, column {column}" in faults[0][1]


def test_all_faults_are_named_at_once_up_to_a_bound() -> None:
    assert [field for field, _ in refused("1,a,,x,-1,,,,,,y,", "2,a,,0,1,,,,,,60,", "3,a,,0,z,,,,,,60,")] == [
        "row 2.submit_s", "row 2.gpus", "row 2.runtime_s", "row 4.gpus",
    ]  # fmt: skip
    assert FAULTS <= len(refused(*["1,a,,0,-1,,,,,,60,"] * 100)) <= FAULTS + 4


def test_times_that_fall_are_refused() -> None:
    faults = refused("1,a,,10,1,,,,,,60,", "2,a,,9,1,,,,,,60,")
    assert faults == [("row 3.submit_s", "row 3, column submit_s: 9 is before 10, the row above")]


def test_missing_columns_are_named() -> None:
    with pytest.raises(Invalid) as error:
        read_csv(["tenant,gpus", "a,1"])
    assert [fault.field for fault in error.value.faults] == ["row 1.submit_s", "row 1.runtime_s"]


def test_a_row_of_another_length_is_refused() -> None:
    assert "3 fields, where the header has 12" in refused("1,a,0")[0][1]


@pytest.mark.parametrize("lines", [[], [HEADER], [HEADER, "1,a,,0,0,,,,,,60,"]])
def test_a_trace_without_jobs_is_refused(lines: list[str]) -> None:
    with pytest.raises(Invalid):
        read_csv(lines)


def test_broken_quotes_are_refused_with_their_row() -> None:
    with pytest.raises(Invalid, match="row 2"):
        read('1,"a"b,,0,1,,,,,,60,')


SWF = "; Version: 2.2\n;\n 1 0 5 100 4 -1 -1 8 3600 -1 1 7 3 -1 1 -1 -1 -1\n 2 10 0 50 -1 -1 -1 2 -1 1024 5 7 -1 -1 1 -1 -1 -1"


def test_standard_workload_format() -> None:
    assert read_swf(SWF.splitlines()).jobs == (
        TraceJob("1", "g3", 0, 4, 100_000, "u7", walltime_ms=3_600_000, status="COMPLETED"),
        TraceJob("2", "", 10_000, 2, 50_000, "u7", memory_bytes=2 * 1024 * 1024, status="CANCELLED"),
    )


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("1 x 5 100 4 -1 -1 8 3600 -1 1 7 3 -1 1 -1 -1 -1", "row 1.2 (submit time)"),
        ("1 -1 5 100 4 -1 -1 8 3600 -1 1 7 3 -1 1 -1 -1 -1", "row 1.2 (submit time)"),
        ("1 0 5 -100 4 -1 -1 8 3600 -1 1 7 3 -1 1 -1 -1 -1", "row 1.4 (run time)"),
        ("1 0 5 100 4", "row 1.6"),
    ],
)
def test_a_wrong_field_of_swf_is_named(row: str, field: str) -> None:
    with pytest.raises(Invalid) as error:
        read_swf([row])
    assert [fault.field for fault in error.value.faults] == [field]


def test_unknown_run_times_of_swf_are_skipped() -> None:
    assert read_swf([*SWF.splitlines(), "3 11 0 -1 4 -1 -1 8 -1 -1 1 7 3 -1 1 -1 -1 -1"]).skipped == {"no run time": 1}


def test_a_part_of_a_trace() -> None:
    found = read(*[f"{n},a,,{n},1,,,,,,60," for n in range(10)])
    assert [job.name for job in found.part(from_ms=3_000, until_ms=8_000, limit=2).jobs] == ["3", "4"]
