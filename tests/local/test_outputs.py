"""Outputs: what the patterns name, and nothing that is not the job's."""

from pathlib import Path

import pytest

from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation
from local.forked.collect import _BELOW, _NAMED, _NO, _follow
from tests.contracts.driver_contract import launch, settled
from tests.local.rig import LocalRig

ONE = AttemptId(1, None, 1)


def collected(rig: LocalRig, script: str, *patterns: str) -> Observation:
    rig.driver.start(launch(ONE, run=script, outputs=patterns))
    return settled(rig.driver, ONE)


def paths(end: Observation) -> list[str]:
    return [output.path for output in end.outputs]


def test_no_symbolic_link_leads_out_or_in(rig: LocalRig) -> None:
    """Neither as the file itself, nor as a directory on the way, nor in place of the working directory's own."""
    script = """
    mkdir results; echo good > results/good
    ln -s /etc/passwd results/file; ln -s /etc results/dir; ln -s good results/inside; ln -s / up
    """
    end = collected(rig, script, "results/**", "results/dir/passwd", "up/etc/passwd")
    assert paths(end) == ["results/good"]
    assert "no regular file" in end.detail
    assert end.state is AttemptState.SUCCEEDED


def test_only_regular_files_are_taken_and_nothing_hangs(rig: LocalRig) -> None:
    end = collected(rig, "mkfifo pipe; echo x > file", "*")
    assert paths(end) == ["file"]
    assert end.detail == "Not kept as output, no regular file that can be read: pipe."


def test_beyond_the_bound_files_are_left_and_named(tmp_path: Path) -> None:
    rig = LocalRig(tmp_path / "local", output_limit_bytes=1_000)
    end = collected(rig, "head -c 900 /dev/zero > a; head -c 200 /dev/zero > b; head -c 100 /dev/zero > c", "*")
    assert paths(end) == ["a", "c"]
    assert end.detail == "Not kept as output, beyond the limit of 1000 bytes: b."
    assert rig.driver.output(ONE, "b", 0, 10) is None
    rig.close()


def test_many_left_files_are_counted_not_listed(tmp_path: Path) -> None:
    rig = LocalRig(tmp_path / "local", output_limit_bytes=1)
    end = collected(rig, "for i in 1 2 3 4 5; do echo xx > $i; done", "*")
    assert end.detail == "Not kept as output, beyond the limit of 1 bytes: 1, 2, 3 and 2 more."
    rig.close()


def test_a_pattern_that_leaves_the_working_directory_is_refused(rig: LocalRig) -> None:
    end = collected(rig, "true", "../*", "/etc/passwd")
    assert end.outputs == ()
    assert end.detail == "Not kept as output, outside the working directory: ../*, /etc/passwd."


def test_outputs_of_a_failed_job_are_kept_too(rig: LocalRig) -> None:
    end = collected(rig, "echo part > result; exit 1", "result")
    assert (end.state, paths(end)) == (AttemptState.FAILED, ["result"])


def test_a_job_that_removes_its_working_directory_still_ends(rig: LocalRig) -> None:
    end = collected(rig, 'cd /; rm -rf "$BARAY_WORK_DIR"', "*")
    assert end.state is AttemptState.SUCCEEDED
    assert "cannot be read" in end.detail


def test_very_deep_directories_are_left(rig: LocalRig) -> None:
    end = collected(rig, "for i in $(seq 100); do mkdir d; cd d; done; touch bottom", "**")
    assert end.outputs == ()
    assert "64 directories deep" in end.detail


def test_strange_names_are_kept(rig: LocalRig) -> None:
    end = collected(rig, r"echo x > 'a b*'; echo y > $'\xff'; echo z > ខ្មែរ", "*")
    assert sorted(paths(end)) == sorted(["a b*", "\udcff", "ខ្មែរ"])
    assert rig.driver.output(ONE, "\udcff", 0, 10) == b"y\n"


@pytest.mark.parametrize(
    ("path", "pattern", "verdict"),
    [
        ("a", "a", _NAMED),
        ("a", "b", _NO),
        ("a", "a/b", _BELOW),
        ("a/b", "a", _NAMED),  # a directory stands for all in it
        ("a/b", "a/*", _NAMED),
        ("a/b/c", "a/*.txt", _NO),
        ("a.txt", "*.txt", _NAMED),
        ("a/b.txt", "*.txt", _NO),
        ("a/b.txt", "**/*.txt", _NAMED),
        ("b.txt", "**/*.txt", _NAMED),
        ("a", "**/*.txt", _BELOW),
        ("results/x/y", "results/**", _NAMED),
        ("other", "results/**", _NO),
        ("a/x/b", "a/**/b", _NAMED),
        ("a/b", "a/**/b", _NAMED),
        ("a/x/c", "a/**/b", _BELOW),
    ],
)
def test_patterns(path: str, pattern: str, verdict: int) -> None:
    assert _follow(path.split("/"), pattern.split("/")) == verdict


def test_a_malicious_pattern_takes_no_exponential_time() -> None:
    assert _follow(["a"] * 64, ["**", "a"] * 30 + ["b"]) == _BELOW
