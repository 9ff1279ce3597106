"""Scripts: what their #BARAY and #SBATCH lines become."""

from pathlib import Path
from typing import Any

import pytest

from cli import script
from cli.commands.submit_options import parse_directive
from cli.failures import FaultyInputError


def read(*lines: str, first: str = "#!/bin/bash", notes: list[str] | None = None) -> dict[str, Any]:
    text = "\n".join([first, *lines, "srun python train.py", ""])
    found = [] if notes is None else notes
    draft = script.read("My Train.sh", text, Path(), parse_directive, found.append)
    assert draft.spec.pop("run") == text
    return draft.spec


def faults(*lines: str, first: str = "#!/bin/bash") -> list[str]:
    with pytest.raises(FaultyInputError) as caught:
        read(*lines, first=first)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("--job-name=asr", {"name": "asr"}),
        ("-J asr", {"name": "asr"}),
        ("--gres=gpu:4", {"resources": {"gpus": 4}}),
        ("--gres=gpu:h100-80gb:2", {"resources": {"gpus": 2, "flavor": "h100-80gb"}}),
        ("--gres gpu", {"resources": {"gpus": 1}}),
        ("--gpus=3", {"resources": {"gpus": 3}}),
        ("-G a100:2", {"resources": {"gpus": 2, "flavor": "a100"}}),
        ("--gpus-per-node=8", {"resources": {"gpus": 8}}),
        ("--nodes=2 --gpus=8", {"resources": {"nodes": 2, "gpus": 4}}),
        ("--gpus=8 --nodes=2-2", {"resources": {"nodes": 2, "gpus": 4}}),
        ("-N1 -c 16", {"resources": {"nodes": 1, "cpus": 16}}),
        ("--mem=64G", {"resources": {"memory": "64Gi"}}),
        ("--mem=4000", {"resources": {"memory": "4000Mi"}}),
        ("--mem 2t", {"resources": {"memory": "2Ti"}}),
        ("--time=90", {"resources": {"walltime": "1h30m"}}),
        ("-t 1:30", {"resources": {"walltime": "1m30s"}}),
        ("-t 02:30:00", {"resources": {"walltime": "2h30m"}}),
        ("-t 1-12", {"resources": {"walltime": "1d12h"}}),
        ("-t 2-0:30", {"resources": {"walltime": "2d30m"}}),
        ("--time=1-12:00:05", {"resources": {"walltime": "1d12h5s"}}),
        ("--array=0-19%4", {"array": "0-19%4"}),
        ("-a 5", {"array": "5-5"}),
        ("--array=0-10:2", {"array": "0-10:2"}),
        ("--account=speech --qos=urgent", {"project": "speech", "qos": "urgent"}),
        ("--hold --requeue", {"held": True, "checkpoint": {"restartable": True}}),
        ("--no-requeue", {"checkpoint": {"restartable": False}}),
        ("--export=NONE,LR=3e-4,MODE=fast", {"env": {"LR": "3e-4", "MODE": "fast"}}),
        ("--dependency=afterok:17:18,afternotok:19", {"after": ["ok:17", "ok:18", "failed:19"]}),
        ("-d afterany:20_3,singleton", {"after": ["any:20_3", "singleton"]}),
        ("--constraint=nvlink&rack=r1", {"constraint": {"require": {"nvlink": "true", "rack": "r1"}}}),
        ("--nice=50", {"priority": -50}),
        ("--nice=-20", {"priority": 20}),
        ("--nice", {"priority": -100}),
        ("--ntasks=1 --ntasks-per-node=1", {}),
        ('--job-name="a b" # a remark', {"name": "a b"}),
    ],
)
def test_sbatch_lines(line: str, wanted: dict[str, Any]) -> None:
    assert read(f"#SBATCH {line}") == {"name": "my-train"} | wanted


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--dependency=after:7",
            "--dependency=after:7 is not supported; write afterok, afternotok, afterany or singleton",
        ),
        ("-d afterok:7?afterok:8", "'?' (any one of them) is not supported"),
        ("-d afterok:x", "names no job; write afterok:1842"),
        ("-d afterok", "names no job"),
        ("--dependency=", "--dependency needs a value"),
        ("--constraint=a100|h100", "name labels that a node must have"),
        ("-C [rack1*2]", "name labels that a node must have"),
        ("--constraint=", "--constraint needs a value"),
        ("--nice=low", "'low' is no whole number"),
        ("--reservation=class", "--reservation is not supported; a job runs in the reservations of its project"),
        ("--exclusive", "--exclusive is not supported"),
        ("--mem-per-cpu=4G", "--mem-per-cpu is not supported; write --mem"),
        ("--array=1,3,5", "the array '1,3,5' is not supported"),
        ("--ntasks=8", "more than one task a node"),
        ("--nodes=2-4", "a range of nodes"),
        ("--gpus=3 --nodes=2", "3 GPUs cannot be shared evenly by 2 nodes"),
        ("--gres=craynetwork:1", "supported as gpu:2"),
        ("--gres=gpu:many", "is no number of GPUs"),
        ("--time=soon", "is no time limit"),
        ("--time=0", "above zero"),
        ("--mem=0", "no memory size"),
        ("--export=PATH", "write --export=PATH=VALUE"),
        ("--brand-new", "--brand-new is not supported; take it out"),
        ("--time", "--time needs a value"),
        ("job", "'job' is no option"),
        ('--job-name="open', "No closing quotation"),
    ],
)
def test_sbatch_lines_that_would_change_the_job_are_refused_by_name(line: str, words: str) -> None:
    (fault,) = faults("# a remark", f"#SBATCH {line}")
    assert fault.startswith("My Train.sh:3:9: ")
    assert words in fault


@pytest.mark.parametrize("line", ["--output=slurm-%j.out", "-e err.txt", "--mail-type=END", "-p gpu", "--export=ALL"])
def test_harmless_sbatch_lines_are_passed_over_with_a_note(line: str) -> None:
    notes: list[str] = []
    assert read(f"#SBATCH {line}", notes=notes) == {"name": "my-train"}
    (note,) = notes
    assert note.startswith("My Train.sh:2:9: --")
    assert "is passed over" in note


def test_baray_lines_take_the_options_of_submit() -> None:
    assert read(
        "#BARAY --gpus 2 --flavor h100-80gb",
        "",
        "#BARAY --flavor a100-80gb --walltime 8h --env LR=3e-4",
        "#BARAY --env MODE=fast -p speech --hold",
    ) == {
        "name": "my-train",
        "resources": {"gpus": 2, "flavor": ["h100-80gb", "a100-80gb"], "walltime": "8h"},
        "env": {"LR": "3e-4", "MODE": "fast"},
        "project": "speech",
        "held": True,
    }


def test_what_a_job_waits_for_and_where_it_may_run_grows_from_line_to_line() -> None:
    assert read(
        "#BARAY --after ok:17 --priority -5 --together rack",
        "#BARAY --after singleton --require nvlink=yes --forbid zone=b --volume /scratch=scratch",
        "#BARAY --require rack=r1 --classification confidential --residency kh --volume /data=d@v3",
    ) == {
        "name": "my-train",
        "after": ["ok:17", "singleton"],
        "priority": -5,
        "constraint": {"together": "rack", "require": {"nvlink": "yes", "rack": "r1"}, "forbid": {"zone": "b"}},
        "data": {"classification": "confidential", "residency": "kh"},
        "volumes": {"/scratch": "scratch", "/data": "d@v3"},
    }
    assert read("#SBATCH -d afterok:1", "#SBATCH -d afterany:2", "#SBATCH -C a", "#SBATCH -C b=1") == {
        "name": "my-train",
        "after": ["ok:1", "any:2"],
        "constraint": {"require": {"a": "true", "b": "1"}},
    }
    (fault,) = faults("#BARAY --require nvlink")
    assert "'nvlink' is not NAME=VALUE" in fault
    (fault,) = faults("#BARAY --priority 101")
    assert "101 is not in the range" in fault


def test_a_niceness_beyond_the_bounds_is_kept_within_them_and_said() -> None:
    notes: list[str] = []
    assert read("#SBATCH --nice=10000", notes=notes)["priority"] == -100
    assert notes == ["My Train.sh:2:9: --nice=10000 is kept as the priority -100, the bound"]


def test_all_faults_of_all_lines_at_once() -> None:
    found = faults("#BARAY --gpus many", "#SBATCH --exclusive", "#BARAY --wall 8h", "#BARAY job.yaml", "#BARAY --env X")
    assert [fault.split(": ")[0] for fault in found] == [
        f"My Train.sh:{line}:{9 if line == 3 else 8}" for line in range(2, 7)
    ]
    assert "'many' is not a valid integer" in found[0]
    assert "--wall" in found[2]


def test_directives_after_the_first_command_are_not_read() -> None:
    notes: list[str] = []
    assert read("echo go", "#SBATCH --time=1", notes=notes) == {"name": "my-train"}
    assert notes == ["My Train.sh:3: not read: directives stand before the first command"]


@pytest.mark.parametrize(
    "first", ["#!/bin/bash", "#!/usr/bin/env bash", "#!/bin/sh -e", "#!/bin/bash -l", "#! /bin/zsh", ""]
)
def test_shells(first: str) -> None:
    read("#BARAY --gpus 1", first=first)


def test_other_languages() -> None:
    assert "--source . -- python" in faults(first="#!/usr/bin/env python3")[0]


def test_what_is_a_script() -> None:
    assert script.is_script("#!/bin/sh\n")
    assert script.is_script("# x\n#SBATCH -N1\n")
    assert not script.is_script("name: x\n#SBATCH -N1\n")
