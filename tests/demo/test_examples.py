"""The examples are what users copy: each can be read, each runs by itself, and the gang's ranks end alike."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli import jobfile
from runtime.demo.centre import A100, H100, PROJECTS
from runtime.demo.training import EXAMPLES, FILES


def start(directory: Path, *command: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES), "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    return told


@pytest.mark.parametrize("name", FILES)
def test_a_job_file_reads_and_fits_the_example_centre(name: str) -> None:
    spec = jobfile.read(name, (EXAMPLES / name).read_text(encoding="utf-8"), EXAMPLES).spec
    assert spec["project"] in {project.name for project in PROJECTS}
    assert set(spec["resources"]["flavor"]) == {A100, H100}
    script = spec["run"].split()[2]
    assert spec["run"].startswith("exec $PYTHON ")
    assert (EXAMPLES / spec["source"] / script).is_file()
    assert spec["outputs"] == ["results/**"]


def test_the_classifier_learns(tmp_path: Path) -> None:
    ended(start(tmp_path, str(EXAMPLES / "train_digits.py")))
    assert json.loads((tmp_path / "results/digits.json").read_text())["accuracy"] > 0.97


def test_a_task_of_the_sweep_learns_and_differs_from_another(tmp_path: Path) -> None:
    tasks = [start(tmp_path, str(EXAMPLES / "sweep_digits.py"), "--task", task) for task in ("1", "4")]
    assert all("accuracy" in ended(task) for task in tasks)
    low, high = (json.loads((tmp_path / f"results/sweep-{task}.json").read_text())["accuracy"] for task in (1, 4))
    assert 0.6 < low < high
    assert high > 0.94


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_gang_averages_and_ends_with_the_same_weights_everywhere(tmp_path: Path, ranks: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    crew = [
        start(
            tmp_path, str(EXAMPLES / "gang_digits.py"),
            BARAY_RANK=str(rank), BARAY_NODES=str(ranks), BARAY_MASTER_ADDR="127.0.0.1", BARAY_MASTER_PORT=port,
        )
        for rank in range(ranks)
    ]  # fmt: skip
    told = [ended(process) for process in crew]
    weights = {line.rpartition(" ")[2] for text in told for line in text.splitlines() if "weights" in line}
    assert len(weights) == 1
    result = json.loads((tmp_path / "results/gang.json").read_text())
    assert result["ranks"] == ranks
    assert result["accuracy"] > 0.94


def test_the_sizes_of_ranks_that_share_unevenly_add_up(tmp_path: Path) -> None:
    told = ended(start(tmp_path, str(EXAMPLES / "gang_digits.py"), BARAY_RANK="0", BARAY_NODES="1"))
    assert "rank 0 of 1: 1348 digits" in told
