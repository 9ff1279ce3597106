"""The demo itself, as a visitor starts it: a real centre, real jobs, and everything gone afterwards."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def start(*options: str, **env: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BARAY_")}
    return subprocess.Popen(
        [sys.executable, "-m", "runtime", "demo", *options],
        cwd=ROOT, env={**inherited, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def data_dir(told: str) -> Path:
    found = re.search(r"database in (\S+)", told)
    assert found, told
    return Path(found[1])


def working_in(directory: Path) -> list[str]:
    """Processes that have anything to do with the directory."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(directory) in line or where.startswith(str(directory)):
            lines.append(line)
    return lines


def test_runs_to_the_end_and_every_sum_agrees() -> None:
    # A setting of somebody else's centre on this machine must not be taken for the demo's.
    process = start("--jobs", "20", BARAY_DATABASE_URL="postgresql+psycopg://nobody@127.0.0.1:1/none")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert "3 universities, 2 startups, 1 ministry" in told
    assert "training: 10/10" in told
    accuracies = [float(found) for found in re.findall(r"(0\.\d{3})$", told, re.MULTILINE)]
    assert len(accuracies) == 10
    assert max(accuracies) > 0.97
    assert "GENERATED" in told
    assert re.search(r"replayed [\d,]+ times faster than life", told)
    assert "replay: 20/20" in told
    assert re.search(r"wait, p95 +\d+\.\d\d s", told)
    assert re.search(r"GPUs in use meanwhile, of 8 +\d+ %", told)
    for kind in ("tenant", "project", "funder"):
        assert f"GPU-milliseconds by {kind}" in told
    totals = re.findall(r"^ *total +[\d,]+ +[\d,]+ +([\d,]+)", told, re.MULTILINE)
    assert len(totals) == 3
    agreed = re.search(rf"(\d+) attempts all say {totals[0]} GPU-milliseconds", told)
    assert agreed is not None
    assert int(agreed[1]) >= 36, "one for each job, and one more whenever a job made way and ran again"
    assert len(set(totals)) == 1
    assert not data_dir(told).exists()
    assert working_in(data_dir(told)) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(signum: signal.Signals) -> None:
    told = ""
    with start("--jobs", "20") as process:
        assert process.stdout is not None
        for line in process.stdout:
            told += line
            if "job 3" in line:  # the first jobs are about to run; who asks twice is no worse off
                process.send_signal(signum)
                process.send_signal(signum)
        assert process.wait(60) == 130, told
    assert "stopped" in told
    assert "Traceback" not in told
    assert not data_dir(told).exists()
    assert working_in(data_dir(told)) == []


def test_a_bad_trace_ends_it_before_anything_starts(tmp_path: Path) -> None:
    trace = tmp_path / "mine.csv"
    trace.write_text("tenant,submit_s,gpus,runtime_s\na,0,1,60\na,5,many,60\n", encoding="utf-8")
    process = start("--trace", str(trace))
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: mine.csv: line 3, column gpus: 'many' is no number" in told
    assert "nothing was replayed" in told
    assert "Start the centre" not in told


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    process = start("--data-dir", str(tmp_path))
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "thesis.tex" in told
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "lock"] == ["thesis.tex"]
