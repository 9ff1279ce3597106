"""CPU and memory: limited where the machine offers it, and said where not."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.fleet import Node
from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch
from local.forked import cgroups
from local.limits import Group, Limits, _version_2, find_limits
from tests.contracts.driver_contract import GIB, launch, log, running, settled
from tests.local.rig import LocalRig

ONE = AttemptId(1, None, 1)
MIB = 1 << 20

HUNGRY = (sys.executable, "-I", "-S", "-c", "kept = [b'x' * (1 << 20) for _ in range(400)]; print('had it all')")


def sized(job: Launch, cpus: int = 1, memory_bytes: int = GIB) -> Launch:
    resources = replace(job.spec.resources, cpus=cpus, memory_bytes=memory_bytes)
    return replace(job, spec=replace(job.spec, resources=resources))


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[LocalRig]:
    """A driver to which the machine offers no control groups."""
    rig = LocalRig(tmp_path / "local", nodes="local-1:cpus=1,memory=8Gi")
    rig.driver._limits.memory = rig.driver._limits.cpu = None
    yield rig
    rig.close()


def test_a_job_that_takes_more_memory_than_it_asked_for_is_out_of_memory(rig: LocalRig) -> None:
    if rig.driver._limits.memory is None:
        pytest.skip("no memory control group is writable here")
    rig.driver.start(sized(launch(ONE, command=HUNGRY), memory_bytes=100 * MIB))
    end = settled(rig.driver, ONE)
    assert (end.state, end.out_of_memory, end.signal) == (AttemptState.FAILED, True, 9)
    assert "It needed more than its 100Mi of memory on local-1" in end.detail
    assert log(rig.driver, ONE) == b""
    assert not any(map(Path.exists, rig.groups(ONE)))


def test_within_its_memory_a_job_is_left_alone(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, command=HUNGRY))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED


def test_children_of_a_job_count_as_the_job(rig: LocalRig) -> None:
    """The shell lives on, and reports what became of its child."""
    if rig.driver._limits.memory is None:
        pytest.skip("no memory control group is writable here")
    words = (
        " ".join(f"'{word}'" if " " in word else word for word in HUNGRY)
        .replace("b'x'", 'b"x"')
        .replace("'had it all'", '"x"')
    )
    rig.driver.start(sized(launch(ONE, run=f"{words} || exit 44"), memory_bytes=100 * MIB))
    end = settled(rig.driver, ONE)
    assert (end.state, end.out_of_memory, end.exit_code) == (AttemptState.FAILED, True, 44)


def test_cpus_are_limited_by_a_control_group(rig: LocalRig) -> None:
    limits = rig.driver._limits
    if limits.cpu is None or limits.cpu.version != 1:
        pytest.skip("no CPU control group of version 1 is writable here")
    if len(limits.cores) < 2:
        pytest.skip("one CPU of one is no limit")
    rig.driver.start(launch(ONE, command=("sleep", "300")))
    running(rig.driver, ONE)
    group = limits.cpu.path / f"{ONE}-0"
    assert (group / "cpu.cfs_quota_us").read_text().strip() == "100000"
    assert cgroups.members(str(group)) == rig.processes(ONE)


def test_without_control_groups_memory_is_bounded_per_process(bare: LocalRig) -> None:
    bare.driver.start(sized(launch(ONE, command=HUNGRY), memory_bytes=100 * MIB))
    end = settled(bare.driver, ONE)
    assert (end.state, end.exit_code) == (AttemptState.FAILED, 1)
    assert b"MemoryError" in log(bare.driver, ONE)
    assert (
        "Memory is limited per process, not per job: no control group is writable here."
        in bare.driver.inventory().notes
    )


def test_without_control_groups_jobs_are_pinned_to_cores(bare: LocalRig) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core only")
    two = AttemptId(2, None, 1)
    show = (sys.executable, "-I", "-c", "import os, time; print(os.sched_getaffinity(0), flush=True); time.sleep(300)")
    for attempt in (ONE, two):
        bare.driver.start(launch(attempt, command=show))
        running(bare.driver, attempt)
    driver = bare.reopen()
    driver._limits.memory = driver._limits.cpu = None
    driver.observe()
    loads = driver._limits._load
    assert sorted(loads.values()) == [1, 1]
    for attempt in (ONE, two):
        driver.stop(attempt, 1_000)
        settled(driver, attempt)
    assert len({log(driver, attempt) for attempt in (ONE, two)}) == 2
    assert not any(loads.values())


def node(cpus: int) -> Node:
    return Node("n", {}, cpus, GIB)


def test_what_is_not_limited_is_said() -> None:
    nothing = Limits((node(2),), real_gpus=True, memory=None, cpu=None, cores=(0, 1))
    assert nothing.notes() == [
        "Memory is not limited: no control group is writable here.",
        "CPUs are limited by pinning jobs to cores: no control group is writable here.",
    ]
    assert nothing.data_limit(GIB) == 0
    crowded = Limits(
        (node(64), node(64)), real_gpus=False, memory=Group(Path("/x"), 2), cpu=Group(Path("/x"), 2), cores=(0, 1)
    )
    assert crowded.notes() == ["The nodes have 128 CPUs together and this machine has 2: jobs share them."]
    assert not crowded.pins


def test_version_2_needs_one_group_for_both(tmp_path: Path) -> None:
    limits = Limits((node(4),), real_gpus=False, memory=Group(tmp_path, 2), cpu=Group(tmp_path, 2), cores=(0, 1, 2, 3))
    assert limits.groups("1.1-0", 2, GIB) == [
        {
            "path": str(tmp_path / "1.1-0"),
            "limits": {"memory.max": str(GIB), "memory.swap.max": "0", "cpu.max": "200000 100000"},
        }
    ]
    assert "cpu.max" not in limits.groups("1.1-0", 4, GIB)[0]["limits"]


def test_a_delegated_subtree_of_version_2_is_found(tmp_path: Path) -> None:
    """On plain files, which take what is written to them as the kernel's do."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory\n")
    found = _version_2(tmp_path, "baray-x")
    assert found == Group(tmp_path / "baray-x", 2)
    assert (found.path / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert _version_2(tmp_path / "nowhere", "baray-x") is None
    (tmp_path / "cgroup.controllers").write_text("pids\n")
    assert _version_2(tmp_path, "baray-x") is None


def test_oom_kills_are_counted_in_both_versions(tmp_path: Path) -> None:
    assert cgroups.oom_kills(str(tmp_path)) == 0
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert cgroups.oom_kills(str(tmp_path)) == 2
    (tmp_path / "memory.events").write_text("low 0\noom 5\noom_kill 3\noom_group_kill 0\n")
    assert cgroups.oom_kills(str(tmp_path)) == 3


def test_the_groups_of_a_centre_are_gone_when_it_lets_go(tmp_path: Path) -> None:
    rig = LocalRig(tmp_path / "local")
    limits = rig.driver._limits
    rig.driver.start(launch(ONE))
    settled(rig.driver, ONE)
    rig.close()
    assert not any(group is not None and group.path.exists() for group in (limits.memory, limits.cpu))


def test_to_ask_for_limits_raises_nothing_and_leaves_nothing() -> None:
    """Whatever this machine offers. A driver that only answers questions takes nothing from one that works."""
    found = find_limits("baray-test-nothing", (node(1),), real_gpus=False)
    for group in (found.memory, found.cpu):
        if group is not None and group.version == 1:
            assert not group.path.exists()
            assert not list(group.path.parent.glob("baray-test-nothing*"))


def test_a_driver_that_is_let_go_takes_nothing_from_one_that_works(rig: LocalRig) -> None:
    rig.driver.observe()
    second = LocalRig(rig.root)
    second.driver.inventory()
    second.driver.close()
    rig.driver.start(launch(ONE))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
