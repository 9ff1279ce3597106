"""What every driver must show, whatever it drives. A room subclasses ``DriverContract`` and gives it a ``rig``.

The commands are a shell's; a driver that runs nothing real may know them by heart.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from domain.fleet import CPU_FLAVOR
from domain.ids import AttemptId
from domain.jobs import AttemptState, JobSpec, Launch, Observation, Placement, Resources
from lifecycle.driving import Driver

TRUE = ("true",)
FAIL = ("sh", "-c", "exit 3")
SLEEP = ("sleep", "300")
STUBBORN = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")

GIB = 1 << 30


class Rig(Protocol):
    """A driver under test, on a cluster of its own. ``node`` is one of its nodes; ``wakes`` counts calls of ``wake``."""

    driver: Driver
    node: str
    wakes: int

    def reopen(self) -> Driver:
        """Close the driver and make a new one on the same cluster: Baray was restarted."""
        ...


def until(look: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true answer of ``look``; a failure if none came in time."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.005)
    return answer


def launch(attempt: AttemptId, node: str = "local-1", *, nodes: int = 1, secrets: Any = None, **spec: Any) -> Launch:
    """A launch of a small CPU job; ``spec`` overrides anything of its specification."""
    resources = Resources((CPU_FLAVOR,), 0, nodes, 1, GIB, spec.pop("walltime_ms", 60_000))
    given = {"project": "khmer-asr", "name": "test", "resources": resources, "grace_ms": 2_000, **spec}
    if "run" not in given:
        given.setdefault("command", TRUE)
    return Launch(attempt, JobSpec(**given), CPU_FLAVOR, (Placement(node, ()),) * nodes, 7, secrets or {})


def seen(driver: Driver, attempt: AttemptId) -> Observation | None:
    return {observation.attempt: observation for observation in driver.observe().observations}.get(attempt)


def settled(driver: Driver, attempt: AttemptId) -> Observation:
    """The observation of the attempt's end, when it comes."""

    def look() -> Observation | None:
        observation = seen(driver, attempt)
        return observation if observation is not None and observation.state.final else None

    return until(look)


def running(driver: Driver, attempt: AttemptId) -> Observation:
    """The observation of the attempt at work, when it comes."""

    def look() -> Observation | None:
        observation = seen(driver, attempt)
        assert observation is None or not observation.state.final, observation
        return observation if observation is not None and observation.state is AttemptState.RUNNING else None

    return until(look)


def log(driver: Driver, attempt: AttemptId, rank: int = 0) -> bytes:
    return driver.logs(attempt, rank, 0, 1 << 24).data


class DriverContract:
    """The promises of ``lifecycle.driving.Driver``."""

    one = AttemptId(1842, None, 1)

    def test_the_inventory_names_nodes_with_their_size(self, rig: Rig) -> None:
        nodes = {node.name: node for node in rig.driver.inventory().nodes}
        assert nodes[rig.node].cpus > 0
        assert nodes[rig.node].memory_bytes > 0

    def test_nothing_started_is_nothing_observed(self, rig: Rig) -> None:
        assert rig.driver.observe().observations == ()

    def test_a_started_attempt_is_observed_at_once(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=SLEEP))
        observation = seen(rig.driver, self.one)
        assert observation is not None
        assert not observation.state.final

    def test_a_good_job_succeeds(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node))
        end = settled(rig.driver, self.one)
        assert (end.state, end.exit_code, end.signal) == (AttemptState.SUCCEEDED, 0, None)
        assert end.started_ms is not None
        assert end.ended_ms is not None
        assert end.started_ms <= end.ended_ms
        assert end.detail == ""

    def test_a_bad_job_fails_with_its_exit_code(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=FAIL))
        end = settled(rig.driver, self.one)
        assert (end.state, end.exit_code) == (AttemptState.FAILED, 3)

    def test_a_running_job_is_told_to_be_running(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=SLEEP))
        observation = running(rig.driver, self.one)
        assert observation.started_ms is not None
        assert observation.ended_ms is None

    def test_news_wake_the_controller(self, rig: Rig) -> None:
        before = rig.wakes
        rig.driver.start(launch(self.one, rig.node))
        until(lambda: rig.wakes > before)
        settled(rig.driver, self.one)

    def test_started_twice_it_runs_once(self, rig: Rig) -> None:
        job = launch(self.one, rig.node, run="echo ran; sleep 0.2")
        rig.driver.start(job)
        rig.driver.start(job)
        running(rig.driver, self.one)
        rig.driver.start(job)
        settled(rig.driver, self.one)
        rig.driver.start(job)
        assert settled(rig.driver, self.one).state is AttemptState.SUCCEEDED
        assert log(rig.driver, self.one) == b"ran\n"

    def test_started_after_it_was_forgotten_it_does_not_run_again(self, rig: Rig) -> None:
        job = launch(self.one, rig.node, run="echo ran")
        rig.driver.start(job)
        settled(rig.driver, self.one)
        rig.driver.forget(self.one)
        rig.driver.start(job)
        assert settled(rig.driver, self.one).state is AttemptState.SUCCEEDED
        assert log(rig.driver, self.one) == b"ran\n"

    def test_attempts_and_tasks_of_one_job_are_told_apart(self, rig: Rig) -> None:
        attempts = [AttemptId(7, None, 1), AttemptId(7, None, 2), AttemptId(7, 0, 1), AttemptId(7, 1, 1)]
        for number, attempt in enumerate(attempts):
            rig.driver.start(launch(attempt, rig.node, run=f"echo {number}; exit {number}"))
        for number, attempt in enumerate(attempts):
            assert settled(rig.driver, attempt).exit_code == number
            assert log(rig.driver, attempt) == f"{number}\n".encode()
        assert {observation.attempt for observation in rig.driver.observe().observations} == set(attempts)

    def test_a_command_that_does_not_exist_is_a_failed_attempt(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=("no-such-program", "x")))
        end = settled(rig.driver, self.one)
        assert (end.state, end.exit_code) == (AttemptState.FAILED, 127)
        assert "no-such-program" in end.detail

    def test_the_walltime_ends_a_job(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=SLEEP, walltime_ms=200))
        end = settled(rig.driver, self.one)
        assert end.state is AttemptState.TIMED_OUT
        assert "walltime" in end.detail

    def test_an_extended_walltime_is_the_one_that_ends_a_job(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=SLEEP, walltime_ms=3_000))
        running(rig.driver, self.one)
        rig.driver.extend(self.one, 4_000)
        rig.driver.extend(self.one, 4_000)
        end = settled(rig.driver, self.one)
        assert end.state is AttemptState.TIMED_OUT
        assert "walltime" in end.detail
        assert end.started_ms is not None
        assert end.ended_ms is not None
        assert end.ended_ms - end.started_ms >= 4_000
        rig.driver.extend(self.one, 60_000)
        assert settled(rig.driver, self.one) == end

    def test_a_job_extended_at_once_and_across_a_restart_runs_on(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, run="sleep 2.5", walltime_ms=2_000))
        rig.driver.extend(self.one, 30_000)
        driver = rig.reopen()
        driver.extend(self.one, 60_000)
        assert settled(driver, self.one).state is AttemptState.SUCCEEDED

    def test_a_stopped_job_is_cancelled(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=SLEEP))
        running(rig.driver, self.one)
        rig.driver.stop(self.one, 5_000)
        rig.driver.stop(self.one, 5_000)
        assert settled(rig.driver, self.one).state is AttemptState.CANCELLED
        rig.driver.stop(self.one, 5_000)
        assert settled(rig.driver, self.one).state is AttemptState.CANCELLED

    def test_a_job_stopped_at_once_is_cancelled(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=SLEEP))
        rig.driver.stop(self.one, 5_000)
        assert settled(rig.driver, self.one).state is AttemptState.CANCELLED

    def test_a_job_that_does_not_heed_its_stop_signal_is_killed_after_the_grace(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=STUBBORN))
        until(lambda: log(rig.driver, self.one) == b"up\n")
        rig.driver.stop(self.one, 60_000)
        until(lambda: seen(rig.driver, self.one).state is AttemptState.STOPPING)
        rig.driver.stop(self.one, 100)  # asked again, with less patience
        end = settled(rig.driver, self.one)
        assert (end.state, end.signal) == (AttemptState.CANCELLED, 9)
        assert "grace" in end.detail

    def test_unknown_attempts_are_ignored(self, rig: Rig) -> None:
        rig.driver.stop(self.one, 0)
        rig.driver.extend(self.one, 60_000)
        rig.driver.forget(self.one)
        assert rig.driver.observe().observations == ()
        chunk = rig.driver.logs(self.one, 0, 5, 100)
        assert (chunk.data, chunk.offset, chunk.end) == (b"", 5, 5)
        assert rig.driver.output(self.one, "result.txt", 0, 100) is None

    def test_logs_are_read_in_pieces(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, run="echo out; echo err >&2; sleep 300"))
        until(lambda: len(log(rig.driver, self.one)) == 8)
        first = rig.driver.logs(self.one, 0, 0, 5)
        assert (first.data, first.offset, first.end, first.complete) == (b"out\ne", 0, 5, False)
        rest = rig.driver.logs(self.one, 0, first.end, 100)
        assert (rest.data, rest.end, rest.complete) == (b"rr\n", 8, False)
        rig.driver.stop(self.one, 1_000)
        settled(rig.driver, self.one)
        assert rig.driver.logs(self.one, 0, 0, 5).complete is False
        assert rig.driver.logs(self.one, 0, rest.end, 100).complete is True

    def test_outputs_are_collected(self, rig: Rig) -> None:
        script = "mkdir -p results/deep; printf abc > results/a.txt; printf hello > results/deep/b.txt; touch other"
        rig.driver.start(launch(self.one, rig.node, run=script, outputs=("results/**",)))
        outputs = settled(rig.driver, self.one).outputs
        assert [(output.path, output.size) for output in outputs] == [("results/a.txt", 3), ("results/deep/b.txt", 5)]
        assert outputs[0].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert rig.driver.output(self.one, "results/deep/b.txt", 1, 3) == b"ell"
        assert rig.driver.output(self.one, "other", 0, 9) is None
        for path in ("", "/etc/passwd", "../spec.json", "results/../../spec.json", "results", "results/a.txt/x"):
            assert rig.driver.output(self.one, path, 0, 9) is None

    def test_forgotten_it_is_not_observed_but_still_readable(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, run="echo kept; echo kept > file", outputs=("file",)))
        settled(rig.driver, self.one)
        rig.driver.forget(self.one)
        rig.driver.forget(self.one)
        assert rig.driver.observe().observations == ()
        assert rig.reopen().observe().observations == ()
        assert log(rig.driver, self.one) == b"kept\n"
        assert rig.driver.output(self.one, "file", 0, 100) == b"kept\n"

    def test_a_living_attempt_is_not_forgotten(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, command=SLEEP))
        rig.driver.forget(self.one)
        assert seen(rig.driver, self.one) is not None

    def test_a_restart_finds_what_ran_and_what_ended(self, rig: Rig) -> None:
        ended, alive = AttemptId(1, None, 1), AttemptId(2, None, 1)
        rig.driver.start(launch(ended, rig.node, command=FAIL))
        rig.driver.start(launch(alive, rig.node, run="echo up; sleep 300"))
        before = settled(rig.driver, ended)
        started = running(rig.driver, alive).started_ms
        driver = rig.reopen()
        assert seen(driver, ended) == before
        found = running(driver, alive)
        assert found.started_ms == started
        driver.start(launch(alive, rig.node, run="echo up; sleep 300"))
        driver.stop(alive, 1_000)
        assert settled(driver, alive).state is AttemptState.CANCELLED
        assert log(driver, alive) == b"up\n"

    def test_an_adopted_attempt_settles_by_itself(self, rig: Rig) -> None:
        rig.driver.start(launch(self.one, rig.node, run="sleep 0.5; exit 4"))
        running(rig.driver, self.one)
        driver = rig.reopen()
        assert seen(driver, self.one) is not None
        before = rig.wakes
        until(lambda: rig.wakes > before)
        end = settled(driver, self.one)
        assert (end.state, end.exit_code) == (AttemptState.FAILED, 4)
