"""Submitting: a file, a script, a command; options over them; faults where they were written; dry runs; sources."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.cli.conftest import Result, Run
from tests.client.scripted import JOB, Answer, Centre, Request, ended, job, page, problem

Submit = Callable[..., Result]

FILE = """\
name: khmer-asr-large
project: speech
resources:
  gpus: 4
  flavor: [h100-80gb, a100-80gb]
  walltime: 8h
run: |
  torchrun train.py
env: {LR: 3e-4}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def submit(centre: Centre, run: Run) -> Submit:
    def call(*arguments: str, **more: str | None) -> Result:
        centre.on("POST /jobs", JOB)
        return run("submit", *arguments, **more)

    return call


def sent(centre: Centre) -> Any:
    return centre.asked("POST /jobs")[-1].json


def test_a_job_file(centre: Centre, submit: Submit, file: Path) -> None:
    found = submit(str(file))
    assert (found.code, found.out, found.err) == (0, "submitted job 1842\n", "")
    assert sent(centre) == {
        "name": "khmer-asr-large",
        "project": "speech",
        "resources": {"gpus": 4, "flavor": ["h100-80gb", "a100-80gb"], "walltime": "8h"},
        "run": "torchrun train.py\n",
        "env": {"LR": "3e-4"},
    }


def test_quiet_is_the_id_alone(submit: Submit, file: Path) -> None:
    assert submit(str(file), "-q").out == "1842\n"


def test_json_is_the_job(submit: Submit, file: Path) -> None:
    assert json.loads(submit(str(file), "-o", "json").out) == JOB


def test_an_array_says_how_many(centre: Centre, run: Run, file: Path) -> None:
    centre.on("POST /jobs", job(tasks=JOB["tasks"] | {"total": 20}))
    assert run("submit", str(file), "--array", "0-19").out == "submitted job 1842 (20 tasks)\n"


def test_a_job_that_waits_says_why(centre: Centre, run: Run, file: Path) -> None:
    reason = {"code": "capacity", "message": "4 asked, 2 free", "facts": {}, "fixes": ["2 instead of 4 starts now"]}
    centre.on("POST /jobs", job(reason=reason))
    found = run("submit", str(file))
    assert found.out == "submitted job 1842\n"
    assert found.err == "it waits: 4 asked, 2 free [capacity]\n  try: 2 instead of 4 starts now\n"


def test_options_override_the_file(centre: Centre, submit: Submit, file: Path) -> None:
    submit(
        str(file), "--name", "other", "--gpus", "0", "--flavor", "cpu", "--nodes", "2", "--cpus", "8", "--memory", "16Gi",
        "--walltime", "1h", "--array", "0-3", "--env", "A=b=c", "--secret", "HF", "--output", "r/**", "--qos", "urgent",
        "--image", "img", "--hold", "--restartable", "-p", "vision", "--", "python", "train.py", "--lr", "3",
    )  # fmt: skip
    assert sent(centre) == {
        "name": "other",
        "project": "vision",
        "resources": {"gpus": 0, "flavor": ["cpu"], "walltime": "1h", "nodes": 2, "cpus": 8, "memory": "16Gi"},
        "command": ["python", "train.py", "--lr", "3"],
        "array": "0-3",
        "env": {"LR": "3e-4", "A": "b=c"},
        "secrets": ["HF"],
        "outputs": ["r/**"],
        "qos": "urgent",
        "image": "img",
        "held": True,
        "checkpoint": {"restartable": True},
    }


def test_a_command(centre: Centre, submit: Submit) -> None:
    found = submit("--gpus", "1", "--walltime", "10m", "-p", "speech", "--", "nvidia-smi", "-q", "--", "x")
    assert found.code == 0
    assert sent(centre)["command"] == ["nvidia-smi", "-q", "--", "x"]


def test_a_script(centre: Centre, submit: Submit, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/bash\n#SBATCH --gres=gpu:2\n#BARAY --walltime 2h\n#SBATCH -o x\npython train.py\n")
    found = submit(str(script), "-p", "speech", "--gpus", "1")
    assert found.code == 0
    assert "train.sh:4:9: --output is passed over" in found.err
    assert sent(centre) == {
        "name": "train",
        "project": "speech",
        "resources": {"gpus": 1, "walltime": "2h"},
        "run": script.read_text(),
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (FILE, "khmer-asr-large"),
        ('{"name": "from-json", "project": "speech"}', "from-json"),
        ("#!/bin/sh\n#BARAY --name from-script -p speech\ntrue\n", "from-script"),
    ],
)
def test_stdin(centre: Centre, spawn: Run, text: str, wanted: str) -> None:
    centre.on("POST /jobs", JOB)
    found = spawn("submit", "-", stdin=text)
    assert (found.code, found.err) == (0, "")
    assert sent(centre)["name"] == wanted


def test_the_project_is_looked_for(centre: Centre, submit: Submit) -> None:
    for more, arguments, wanted in (
        ({"BARAY_PROJECT": "from-env"}, [], "from-env"),
        ({"BARAY_PROJECT": "from-env"}, ["-p", "from-flag"], "from-flag"),
    ):
        submit(*arguments, "--", "true", **more)
        assert sent(centre)["project"] == wanted


def test_a_file_names_its_project_before_the_environment_does(centre: Centre, submit: Submit, file: Path) -> None:
    submit(str(file), BARAY_PROJECT="from-env")
    assert sent(centre)["project"] == "speech"


def test_the_only_project_is_taken(centre: Centre, submit: Submit) -> None:
    centre.on("GET /projects", page({"name": "speech"}))
    found = submit("--", "true")
    assert sent(centre)["project"] == "speech"
    assert found.err == "project: speech (your only one)\n"


def test_one_of_many_projects_must_be_named(centre: Centre, run: Run) -> None:
    centre.on("GET /projects", page({"name": "speech"}, {"name": "vision"}))
    found = run("submit", "--", "true")
    assert found.code == 2
    assert "which project?" in found.err
    assert "BARAY_PROJECT" in found.err


def test_faults_of_the_centre_are_shown_where_they_were_written(centre: Centre, run: Run, file: Path) -> None:
    file.write_text(FILE.replace("  walltime: 8h", "  walltme: 8h"))
    errors = [
        {"field": "resources.walltme", "message": "is no key of a job file"},
        {"field": "resources.flavor.1", "message": "there is no flavor 'a100-80gb'", "fix": "choose h100-80gb"},
        {"field": "qos", "message": "there is no QoS 'best'"},
        {"field": "array", "message": "is too long"},
    ]
    centre.on(
        "POST /jobs", problem(422, "invalid", "4 things are wrong with the request", errors, ["choose h100-80gb"])
    )
    found = run("submit", str(file), "--qos", "best")
    assert found.code == 2
    assert found.out == ""
    assert found.err.splitlines() == [
        f"{file}:6:3: resources.walltme: is no key of a job file (did you mean 'walltime'?)",
        f"{file}:5:23: resources.flavor.1: there is no flavor 'a100-80gb' (choose h100-80gb)",
        "--qos: qos: there is no QoS 'best'",
        f"{file}:1:1: array: is too long",
    ]


def test_faults_in_a_script_are_shown_at_its_lines(centre: Centre, run: Run, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/bash\n#SBATCH --gres=gpu:v100:2\n#SBATCH -t 900:00:00\ntrue\n")
    errors = [
        {"field": "resources.flavor", "message": "there is no flavor 'v100'"},
        {"field": "resources.walltime", "message": "is too long", "fix": "ask for 48h"},
    ]
    centre.on("POST /jobs", problem(422, "invalid", "2 things are wrong", errors))
    found = run("submit", str(script), "-p", "speech")
    assert found.err.splitlines() == [
        f"{script}:2:9: resources.flavor: there is no flavor 'v100'",
        f"{script}:3:9: resources.walltime: is too long (ask for 48h)",
    ]


def test_a_refusal_names_the_rule_and_the_change(centre: Centre, run: Run, file: Path) -> None:
    errors = [{"field": "resources.gpus", "message": "4 is more than 2", "fix": "ask for 2"}]
    centre.on("POST /jobs", problem(409, "gpus-per-job", "the limit of speech is 2 GPUs a job", errors, ["ask for 2"]))
    found = run("submit", str(file))
    assert found.code == 5
    assert found.err.splitlines() == [
        "error: the limit of speech is 2 GPUs a job",
        f"{file}:4:3: resources.gpus: 4 is more than 2 (ask for 2)",
    ]


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [("job.yaml", "name: [\n", ":2:1: broken YAML"), ("job.json", '{"name": }', ":1:10: broken JSON")],
)
def test_broken_files(run: Run, tmp_path: Path, name: str, text: str, where: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    found = run("submit", str(file))
    assert found.code == 2
    assert found.err.startswith(f"{file}{where}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to submit"),
        (["none.yaml"], "none.yaml: No such file"),
        (["--gpus", "many", "--", "x"], "'many' is not a valid integer"),
        (["--env", "X", "--", "x"], "'X' is not NAME=VALUE"),
        (["--follow", "--array", "0-3", "-p", "x", "--", "x"], "use --wait"),
        (["--source", "none", "-p", "x", "--", "x"], "source: none is no directory"),
    ],
)
def test_wrong_usage(run: Run, arguments: list[str], words: str) -> None:
    found = run("submit", *arguments)
    assert found.code == 2
    assert words in found.err


def test_what_is_neither_a_file_nor_a_script(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("hello\n")
    assert "is neither a job file nor a script" in run("submit", str(tmp_path / "data")).err
    (tmp_path / "bin.yaml").write_bytes(b"a: 1\nb: \xff\xfe")
    assert "bin.yaml:2:1: is not UTF-8 text" in run("submit", str(tmp_path / "bin.yaml")).err
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    assert "not both" in run("submit", str(tmp_path / "run.sh"), "--", "x").err


ADMISSION = {
    "admitted": True,
    "cost_su": "4",
    "available_su": "50",
    "flavor": "h100-80gb",
    "starts_now": False,
    "reason": {"code": "capacity", "message": "4 asked, 2 free", "facts": {}, "fixes": ["2 GPUs start now"]},
}


def test_a_dry_run(centre: Centre, run: Run, file: Path) -> None:
    centre.on("POST /jobs", Answer(200, json=ADMISSION))
    found = run("submit", str(file), "--dry-run")
    assert found.code == 0
    assert centre.requests[-1].query == {"dry_run": ["true"]}
    assert found.out.splitlines() == [
        "admitted  yes",
        "cost      4 SU at most, 8.0 % of 50 available; 46 left after",
        "place     h100-80gb",
        "starts    later",
        "because   4 asked, 2 free [capacity]",
        "          try: 2 GPUs start now",
    ]
    assert json.loads(run("submit", str(file), "--dry-run", "-o", "json").out) == ADMISSION


def test_a_dry_run_shows_the_objects_to_machines_alone(centre: Centre, run: Run, file: Path) -> None:
    script = "echo one\necho two\n"
    manifest = [{"kind": "Job", "metadata": {"name": "j-0-a1"}, "spec": {"script": script}}, {"kind": "Secret"}]
    centre.on("POST /jobs", Answer(200, json=ADMISSION | {"manifest": manifest}))
    told = run("submit", str(file), "--dry-run", "-o", "yaml").out
    assert YAML(typ="safe").load(told)["manifest"] == manifest
    assert "kind" not in run("submit", str(file), "--dry-run").out


def test_a_dry_run_that_is_refused(centre: Centre, run: Run, file: Path) -> None:
    said = ADMISSION | {"admitted": False, "cost_su": "400", "flavor": None}
    centre.on("POST /jobs", Answer(200, json=said))
    found = run("submit", str(file), "--dry-run")
    assert found.code == 5
    assert "admitted  no" in found.out
    assert "350 too many" in found.out


class Sources:
    """The centre's store of sources: answers with the checksum of what came."""

    def __init__(self, centre: Centre) -> None:
        self.archives: list[bytes] = []
        centre.on("POST /sources", self.take)
        centre.on("POST /jobs", JOB)

    def take(self, request: Request) -> Answer:
        import hashlib

        self.archives.append(request.body)
        return Answer(201, json={"sha256": hashlib.sha256(request.body).hexdigest(), "size": len(request.body)})


def test_a_source_is_packed_sent_and_named(centre: Centre, run: Run, tmp_path: Path) -> None:
    import hashlib
    import io
    import tarfile

    sources = Sources(centre)
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "train.py").write_text("print('hi')\n")
    (tmp_path / "proj" / "job.yaml").write_text("project: speech\nsource: .\nrun: python train.py\n")
    assert run("submit", str(tmp_path / "proj" / "job.yaml")).code == 0
    assert run("submit", "--source", str(tmp_path / "proj"), "-p", "speech", "--", "true").code == 0
    first, second = sources.archives
    assert first == second
    assert sent(centre)["source"] == hashlib.sha256(first).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert tar.getnames() == ["job.yaml", "train.py"]


def test_a_source_that_was_sent_before_is_named_by_its_checksum(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("POST /jobs", JOB)
    (tmp_path / "job.yaml").write_text(f"project: speech\nsource: {'ab' * 32}\n")
    assert run("submit", str(tmp_path / "job.yaml")).code == 0
    assert sent(centre)["source"] == "ab" * 32


def test_a_large_source_is_sent_only_for_a_job_that_passes(centre: Centre, run: Run, tmp_path: Path) -> None:
    import random

    sources = Sources(centre)
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "data").write_bytes(random.Random(7).randbytes(1_200_000))
    errors = [{"field": "resources.walltime", "message": "is missing"}]
    centre.on("POST /jobs", problem(422, "invalid", "wrong", errors))
    assert run("submit", "--source", str(tmp_path / "proj"), "-p", "speech", "--", "true").code == 2
    assert sources.archives == []
    centre.on("POST /jobs", Answer(200, json=ADMISSION), JOB)
    assert run("submit", "--source", str(tmp_path / "proj"), "-p", "speech", "--", "true").code == 0
    assert len(sources.archives) == 1


def test_a_dry_run_sends_no_source(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("POST /jobs", Answer(200, json=ADMISSION))
    (tmp_path / "x.py").write_text("x")
    found = run("submit", "--dry-run", "--source", str(tmp_path), "-p", "speech", "--", "true")
    assert "1 file, " in found.out
    assert "source" not in sent(centre)


def test_a_source_that_arrives_otherwise(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("POST /sources", {"sha256": "00" * 32, "size": 1})
    found = run("submit", "--source", str(tmp_path), "-p", "speech", "--", "true")
    assert found.code == 1
    assert "did not arrive as it was sent" in found.err


def test_wait_with_json_prints_the_end_alone(centre: Centre, submit: Submit, file: Path) -> None:
    over = ended("cancelled")
    centre.on("GET /jobs/1842/wait", JOB, over)
    found = submit(str(file), "--wait", "-o", "json")
    assert found.code == 103
    assert json.loads(found.out) == over


def test_a_wait_outlives_a_restart_of_the_centre(centre: Centre, submit: Submit, file: Path) -> None:
    away = problem(503, "unavailable", "the centre restarts")
    centre.on("GET /jobs/1842/wait", away, away, away, away, ended("succeeded"))
    found = submit(str(file), "--wait")
    assert found.code == 0
    assert "still waiting" in found.err
