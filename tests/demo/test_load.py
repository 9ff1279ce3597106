"""Which workload the demo takes: the given trace, else one that the environment offers, else a generated one."""

from pathlib import Path

import pytest

from domain.errors import Invalid
from runtime.demo.load import OFFERED, TRACES, find_load


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / OFFERED.removesuffix(".gz")
    rows = [f"{n},vc-{n % 3},,{n * 10},{(1, 8, 0, 0.5, 3)[n % 5]},,1,,,,100," for n in range(50)]
    header = "job_id,tenant,user,submit_s,gpus,gpu_type,nodes,cpus,mem_gib,requested_walltime_s,runtime_s,final_status"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


def test_takes_consecutive_jobs_of_the_trace_and_says_what_it_did(trace: Path) -> None:
    load = find_load(str(trace), 8, 4)
    assert [request.submit_s for request in load.requests] == [50, 60, 80, 90, 100, 110, 130, 140]
    assert "8 consecutive jobs of philly-2017-sepoct.csv, 5 to 12 of 40" in load.title
    told = "\n".join(load.notes)
    assert "10 jobs of the trace ask for no GPU" in told
    assert "2 jobs wider than a pool are cut to its 4 GPUs" in told
    assert "4 jobs are rounded up" in told


def test_a_trace_that_is_too_short_is_taken_whole(trace: Path) -> None:
    load = find_load(str(trace), 300, None)
    assert len(load.requests) == 40
    assert any("300 were asked for" in note for note in load.notes)


def test_an_offset_beyond_the_trace_is_refused(trace: Path) -> None:
    with pytest.raises(Invalid, match="has 40 jobs with GPUs, so none after 40"):
        find_load(str(trace), 8, 40)


def test_the_environment_may_offer_a_trace(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACES, str(trace.parent))
    assert "GENERATED" in find_load(None, 5, None).title  # the directory is there, the file is not
    trace.rename(trace.with_name(OFFERED))
    assert "real workload" in find_load(None, 5, None).title


def test_else_a_workload_is_generated_and_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRACES, raising=False)
    load = find_load(None, 300, None)
    assert "GENERATED" in load.title
    assert len(load.requests) == 300
    assert load == find_load(None, 300, None)
    with pytest.raises(Invalid, match="needs a trace"):
        find_load(None, 300, 5)
