"""The reader of traces: what it takes, and that it refuses the rest in one message that names line and column."""

import gzip
from pathlib import Path

import pytest

from domain.errors import Invalid
from runtime.workload.trace import COLUMNS, Request, read_trace

HEADER = ",".join(COLUMNS)


def row(submit: str = "0", gpus: str = "1", runtime: str = "60", tenant: str = "vc") -> str:
    return f"17,{tenant},,{submit},{gpus},,1,,,,{runtime},"


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reads_jobs_and_leaves_out_those_without_gpus(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, row("0", "0.46", "12.5"), row("3", "0"), "", row("3", "16", "0", "b"))
    trace = read_trace(path)
    assert trace.requests == (Request(0, 12.5, 0.46, "vc"), Request(3, 0, 16, "b"))
    assert trace.without_gpus == 1


def test_reads_gzip_whatever_the_file_is_called(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(f"\ufeff{HEADER}\r\n{row()}\r\n".encode()))
    assert read_trace(path).requests == (Request(0, 60, 1, "vc"),)


def test_needs_only_four_columns_in_any_order(tmp_path: Path) -> None:
    path = written(tmp_path, "runtime_s, gpus, note, submit_s, tenant", "60,2,x,5,vc")
    assert read_trace(path).requests == (Request(5, 60, 2, "vc"),)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["job_id,tenant,submit_s", "1,a,0"], "line 1: 2 columns are missing: gpus, runtime_s"),
        ([HEADER.replace("runtime_s", "run_s"), row()], "line 1: 1 column is missing: runtime_s"),
        ([], "line 1: 4 columns are missing: tenant, submit_s, gpus, runtime_s"),
        ([HEADER, row("0"), row("9"), row("8.5")], "line 4, column submit_s: 8.5 is before 9, the row above"),
        ([HEADER, row(), row(gpus="two")], "line 3, column gpus: 'two' is no number"),
        ([HEADER, row(gpus="")], "line 2, column gpus: is empty"),
        ([HEADER, row(runtime="-1")], "line 2, column runtime_s: '-1' is no number from 0"),
        ([HEADER, row(runtime="nan")], "line 2, column runtime_s: 'nan' is no number"),
        ([HEADER, row(runtime="inf")], "line 2, column runtime_s: 'inf' is no number"),
        ([HEADER, row(submit="1_000")], "line 2, column submit_s: '1_000' is no number"),
        ([HEADER, row(), "18,vc,,5"], "line 3: 4 fields, where the header has 12"),
        ([HEADER, row(), '18,"vc'], "line 3: is no CSV"),
        ([HEADER], "holds no job that asks for GPUs"),
        ([HEADER, row(gpus="0")], "holds no job that asks for GPUs"),
    ],
)
def test_refuses_what_it_cannot_read(tmp_path: Path, lines: list[str], says: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(Invalid) as refused:
        read_trace(path)
    assert f"trace.csv: {says}" in refused.value.message
    assert len(refused.value.faults) == 1
    assert "nothing was replayed" in (refused.value.faults[0].fix or "")


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(f"{HEADER}\n{row()}\n".encode() * 50)[:-20],
        b"\x1f\x8b but no archive",
        gzip.compress(f"{HEADER}\n{row()}\n".encode())[:-8] + b"\0" * 8,
        (HEADER + "\n" + row(tenant="caf\xe9")).encode("latin-1"),
    ],
    ids=["cut off", "no archive", "wrong checksum", "no UTF-8"],
)
def test_refuses_broken_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"trace\.csv\.gz: "):
        read_trace(path)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No such file"):
        read_trace(tmp_path / "none.csv")
