"""However a job ends, nothing of it stays behind, and the result says why."""

import os
import signal
import sys

from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch, Placement
from tests.contracts.driver_contract import SLEEP, launch, log, running, seen, settled, until
from tests.local.rig import LocalRig, alive

ONE = AttemptId(1, None, 1)

# A tree of three, none of which heeds SIGTERM; each says its pid.
STUBBORN_TREE = """
trap '' TERM
echo $$
sh -c 'trap "" TERM; echo $$; sh -c "trap \\"\\" TERM; echo \\$\\$; sleep 300" & while :; do sleep 1; done' &
while :; do sleep 1; done
"""

# Leaves its parent, its session and its group, and even its environment, as a daemon does.
DAEMON = """
env -i setsid sh -c 'echo $$; exec sleep 300' > pid &
while ! [ -s pid ]; do sleep 0.01; done
cat pid
"""


def pids(rig: LocalRig, count: int) -> list[int]:
    """The pids that the job wrote into its log."""
    return [int(line) for line in until(lambda: _lines(rig, count))]


def _lines(rig: LocalRig, count: int) -> list[bytes]:
    lines = log(rig.driver, ONE).splitlines()
    return lines if len(lines) == count else []


def test_at_its_walltime_a_whole_tree_that_ignores_sigterm_is_killed(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run=STUBBORN_TREE, walltime_ms=500, grace_ms=300))
    tree = pids(rig, 3)
    assert all(map(alive, tree))
    end = settled(rig.driver, ONE)
    assert (end.state, end.signal) == (AttemptState.TIMED_OUT, signal.SIGKILL)
    assert end.ended_ms - end.started_ms >= 800
    assert "walltime" in end.detail
    assert "grace" in end.detail
    assert not any(map(alive, tree))


def test_the_stop_signal_of_the_job_is_used_and_heeded(rig: LocalRig) -> None:
    script = "trap 'echo saved; exit 0' USR1; echo up; while :; do sleep 0.02; done"
    rig.driver.start(launch(ONE, run=script, stop_signal="SIGUSR1", walltime_ms=400, grace_ms=20_000))
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (AttemptState.TIMED_OUT, 0)
    assert log(rig.driver, ONE).endswith(b"saved\n")


def test_a_daemon_that_a_job_leaves_behind_is_killed(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run=DAEMON))
    end = settled(rig.driver, ONE)
    assert end.state is AttemptState.SUCCEEDED
    assert not any(map(alive, pids(rig, 1)))


def test_a_background_process_neither_delays_the_end_nor_survives_it(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run="sleep 300 & echo $!; exit 5"))
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (AttemptState.FAILED, 5)
    assert not any(map(alive, pids(rig, 1)))


def test_a_job_that_dies_by_a_signal_says_which(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run="kill -SEGV $$"))
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code, end.signal) == (AttemptState.FAILED, None, signal.SIGSEGV)
    assert end.detail == "It was ended by SIGSEGV."


def test_when_one_rank_fails_the_others_are_stopped_and_the_attempt_fails(rig: LocalRig) -> None:
    script = 'if [ "$BARAY_RANK" = 1 ]; then sleep 0.2; exit 9; fi; sleep 300'
    rig.driver.start(launch(ONE, nodes=2, run=script))
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (AttemptState.FAILED, 9)
    assert end.detail == "Rank 1 on local-1 ended with exit code 9; the other ranks were stopped."
    assert rig.processes(ONE) == []


def test_a_gang_of_which_all_end_well_succeeds(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, nodes=2, run="sleep 0.$BARAY_RANK"))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED


def test_when_the_machine_goes_down_the_attempt_is_the_centres_failure(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, command=SLEEP))
    running(rig.driver, ONE)
    os.kill(rig.supervisor(ONE), signal.SIGTERM)
    end = settled(rig.driver, ONE)
    assert end.state is AttemptState.NODE_FAILED
    assert end.detail == "The machine, or its service manager, asked its jobs to end."


def test_a_job_stopped_while_it_ends_has_one_end_only(rig: LocalRig) -> None:
    """Whichever comes first: the state is one of two, and it stays."""
    for number in range(1, 11):
        attempt = AttemptId(number, None, 1)
        rig.driver.start(launch(attempt, command=("sleep", f"0.0{number}")))
        until(lambda attempt=attempt: rig.supervisor(attempt) or seen(rig.driver, attempt).state.final)
        rig.driver.stop(attempt, 1_000)
        end = settled(rig.driver, attempt)
        assert end.state in {AttemptState.SUCCEEDED, AttemptState.CANCELLED}
        assert settled(rig.driver, attempt) == end


def test_a_script_that_is_not_readable_or_runnable_is_a_failed_attempt(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, command=("/etc",)))
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (AttemptState.FAILED, 126)
    assert end.detail == "The command '/etc' could not be run: Permission denied."
    assert log(rig.driver, ONE) == f"[baray] {end.detail}\n".encode()


def test_a_nul_in_a_command_or_its_environment_is_a_failed_attempt(rig: LocalRig) -> None:
    two = AttemptId(2, None, 1)
    rig.driver.start(launch(ONE, command=("echo", "a\0b")))
    rig.driver.start(launch(two, command=("echo",), env={"A": "a\0b"}))
    for attempt in (ONE, two):
        end = settled(rig.driver, attempt)
        assert (end.state, end.exit_code) == (AttemptState.FAILED, 126)
        assert "null byte" in end.detail


def test_an_unknown_stop_signal_or_device_is_a_failed_attempt_that_never_ran(rig: LocalRig) -> None:
    two = AttemptId(2, None, 1)
    rig.driver.start(launch(ONE, stop_signal="SIGNO"))
    good = launch(two)
    rig.driver.start(Launch(two, good.spec, "h100-80gb", (Placement("local-1", (9,)),), 7))
    for attempt, word in ((ONE, "SIGNO"), (two, "h100-80gb")):
        end = settled(rig.driver, attempt)
        assert (end.state, end.started_ms) == (AttemptState.FAILED, None)
        assert word in end.detail
        assert rig.driver.logs(attempt, 0, 0, 10).complete


def test_a_job_that_floods_processes_is_cleared_away(rig: LocalRig) -> None:
    """Each process starts another in a session of its own and ends: the chase must catch up with it."""
    chain = "import os, time\nfor _ in range(2000):\n  if os.fork(): os._exit(0)\n  os.setsid()\n  time.sleep(0.002)\n"
    rig.driver.start(launch(ONE, command=(sys.executable, "-I", "-S", "-c", chain)))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
    assert rig.processes(ONE) == []
