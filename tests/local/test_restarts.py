"""Whatever is killed, a job runs once, is found again, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain.errors import Unavailable
from domain.ids import AttemptId
from domain.jobs import AttemptState
from local.forked import claim
from tests.contracts.driver_contract import SLEEP, launch, log, running, seen, settled, until
from tests.local.rig import LocalRig, alive

ONE = AttemptId(1, None, 1)

# A Baray in small: drives some jobs and says when it has handed them over.
CHILD = """
import sys, time
from pathlib import Path
from domain.ids import AttemptId
from tests.contracts.driver_contract import launch
from tests.local.rig import LocalRig
rig = LocalRig(Path(sys.argv[1]))
for job in range(1, int(sys.argv[2]) + 1):
    rig.driver.start(launch(AttemptId(job, None, 1), run=sys.argv[3]))
print("ready", flush=True)
time.sleep(300)
"""


def run_and_kill(root: Path, jobs: int, script: str) -> None:
    """Start a driver in a process of its own, let it start jobs, and kill it at once."""
    command = [sys.executable, "-c", CHILD, str(root), str(jobs), script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.kill()


def test_a_killed_driver_loses_no_job_and_runs_none_twice(tmp_path: Path) -> None:
    run_and_kill(tmp_path / "local", 30, "echo ran; sleep 0.3; exit 4")
    rig = LocalRig(tmp_path / "local")
    attempts = [AttemptId(job, None, 1) for job in range(1, 31)]
    assert {observation.attempt for observation in rig.driver.observe().observations} == set(attempts)
    for attempt in attempts:
        rig.driver.start(launch(attempt, run="echo again"))  # what a controller does that did not commit the hand-over
    for attempt in attempts:
        end = settled(rig.driver, attempt)
        assert (end.state, end.exit_code) == (AttemptState.FAILED, 4)
        assert log(rig.driver, attempt) == b"ran\n"
    rig.close()


def test_a_killed_driver_leaves_running_jobs_alone(tmp_path: Path) -> None:
    run_and_kill(tmp_path / "local", 1, "echo up; sleep 300")
    rig = LocalRig(tmp_path / "local")
    running(rig.driver, ONE)
    until(lambda: len(rig.processes(ONE)) == 2)  # the shell and its sleep
    rig.driver.stop(ONE, 2_000)
    assert settled(rig.driver, ONE).state is AttemptState.CANCELLED
    assert rig.processes(ONE) == []
    rig.close()


def test_a_killed_warden_is_replaced_and_its_jobs_go_on(rig: LocalRig) -> None:
    two = AttemptId(2, None, 1)
    rig.driver.start(launch(ONE, run="sleep 0.4; exit 6"))
    running(rig.driver, ONE)
    old = rig.warden()
    os.kill(old, signal.SIGKILL)
    rig.driver.start(launch(two))
    assert settled(rig.driver, two).state is AttemptState.SUCCEEDED
    assert settled(rig.driver, ONE).exit_code == 6
    assert rig.warden() != old


def test_a_killed_supervisor_takes_its_job_with_it_and_the_attempt_has_vanished(rig: LocalRig) -> None:
    script = "(setsid sh -c 'echo $$; sleep 300' &) ; echo $$; sleep 300"
    rig.driver.start(launch(ONE, run=script))
    jobs = until(lambda: found if len(found := log(rig.driver, ONE).split()) == 2 else None)
    assert all(map(Path.exists, rig.groups(ONE)))
    os.kill(rig.supervisor(ONE), signal.SIGKILL)
    end = settled(rig.driver, ONE)
    assert end.state is AttemptState.VANISHED
    assert end.detail == "Its supervisor was killed before it could tell the result. Nothing of it runs any more."
    assert end.started_ms <= end.ended_ms
    assert not any(alive(int(pid)) for pid in jobs)
    assert rig.processes(ONE) == []
    assert not any(map(Path.exists, rig.groups(ONE)))
    assert seen(rig.reopen(), ONE) == end


def test_a_supervisor_killed_while_baray_is_away_has_vanished_too(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, command=SLEEP))
    running(rig.driver, ONE)
    supervisor = rig.supervisor(ONE)
    rig.driver.close()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not alive(supervisor))
    assert settled(rig.reopen(), ONE).state is AttemptState.VANISHED


def test_two_starts_that_race_run_the_job_once(rig: LocalRig) -> None:
    """The same order reaches two wardens, as when an old one is slow to die."""
    rig.driver.start(launch(AttemptId(9, None, 1)))  # so that there is a warden
    link = rig.driver._keeper()._link
    for job in range(1, 21):
        attempt = AttemptId(job, None, 2)
        rig.driver.start(launch(attempt, run="echo ran; sleep 0.1"))
        line = rig.driver._keeper()._tracked[str(attempt)].line
        for _ in range(3):
            if line is not None:
                link.send(line)
    for job in range(1, 21):
        attempt = AttemptId(job, None, 2)
        assert settled(rig.driver, attempt).state is AttemptState.SUCCEEDED
        assert log(rig.driver, attempt) == b"ran\n"


def lay_down_only(rig: LocalRig, secrets: dict[str, str]) -> None:
    """As if Baray had died between the disk and the warden."""
    keeper = rig.driver._keeper()
    job = launch(ONE, run="echo ran", secrets=secrets)
    place = rig.place(ONE)
    place.lay_down(json.dumps(keeper._book.order(job, place)).encode())


def test_what_was_laid_down_but_never_sent_is_sent_after_a_restart(rig: LocalRig) -> None:
    lay_down_only(rig, {})
    driver = rig.reopen()
    assert settled(driver, ONE).state is AttemptState.SUCCEEDED
    assert log(driver, ONE) == b"ran\n"


def test_with_secrets_it_is_unknown_until_it_is_started_again(rig: LocalRig) -> None:
    lay_down_only(rig, {"TOKEN": "hunter2"})
    driver = rig.reopen()
    assert driver.observe().observations == ()
    driver.start(launch(ONE, run="echo ran", secrets={"TOKEN": "hunter2"}))
    assert settled(driver, ONE).state is AttemptState.SUCCEEDED


def test_an_attempt_stopped_before_anybody_claimed_it_never_runs(rig: LocalRig) -> None:
    rig.driver.observe()
    os.kill(rig.warden(), signal.SIGSTOP)
    rig.driver.start(launch(ONE, run="echo ran"))
    rig.driver.stop(ONE, 1_000)
    end = settled(rig.driver, ONE)
    assert (end.state, end.started_ms) == (AttemptState.CANCELLED, None)
    os.kill(rig.warden(), signal.SIGCONT)
    two = AttemptId(2, None, 1)
    rig.driver.start(launch(two))
    settled(rig.driver, two)  # the warden came past the order of the first
    assert log(rig.driver, ONE) == b""


def test_a_damaged_directory_hides_no_other_attempt(rig: LocalRig) -> None:
    """As after a power cut: files are there, but what was written last is not."""
    attempts = [AttemptId(job, None, 1) for job in range(1, 7)]
    for attempt in attempts:
        rig.driver.start(launch(attempt))
        settled(rig.driver, attempt)
    rig.driver.close()
    rig.place(attempts[0]).result.write_bytes(b"")
    rig.place(attempts[1]).result.unlink()
    rig.place(attempts[1]).spec.write_bytes(b"{}")
    rig.place(attempts[2]).result.unlink()
    rig.place(attempts[2]).claim.write_bytes(b"\0\0\n{\n")
    rig.place(attempts[3]).result.unlink()
    rig.place(attempts[3]).claim.write_bytes(b"")
    rig.place(attempts[3]).spec.write_bytes(b"")
    rig.root.joinpath("live/no-attempt").touch()
    driver = rig.reopen()
    states = {observation.attempt: observation.state for observation in driver.observe().observations}
    assert states == {
        attempts[0]: AttemptState.VANISHED,
        attempts[1]: AttemptState.VANISHED,
        attempts[2]: AttemptState.VANISHED,
        attempts[4]: AttemptState.SUCCEEDED,
        attempts[5]: AttemptState.SUCCEEDED,
    }


def test_orders_that_the_warden_does_not_take_at_once_are_not_lost(rig: LocalRig) -> None:
    rig.driver.observe()
    os.kill(rig.warden(), signal.SIGSTOP)
    padding = {"PADDING": "x" * 100_000}
    attempts = [AttemptId(job, None, 1) for job in range(1, 21)]
    for attempt in attempts:
        rig.driver.start(launch(attempt, env=padding))
    assert rig.driver._keeper()._link.waiting
    assert all(observation.state is AttemptState.STARTING for observation in rig.driver.observe().observations)
    os.kill(rig.warden(), signal.SIGCONT)
    for attempt in attempts:
        assert settled(rig.driver, attempt).state is AttemptState.SUCCEEDED


def test_one_root_has_one_driver_at_a_time(rig: LocalRig) -> None:
    rig.driver.observe()
    second = LocalRig(rig.root)
    with pytest.raises(Unavailable, match="Another process drives"):
        second.driver.observe()
    rig.driver.close()
    assert second.driver.observe().observations == ()
    second.driver.close()
    rig.reopen()


def test_a_closed_driver_takes_nothing(rig: LocalRig) -> None:
    rig.driver.close()
    with pytest.raises(Unavailable):
        rig.driver.start(launch(ONE))
    rig.reopen()


def test_a_claim_is_taken_once_and_a_look_does_not_disturb_it(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    assert claim.holder(path) == 0
    assert claim.take(tmp_path / "gone" / "claim") is None
    pid = os.fork()
    if pid == 0:
        os._exit(0 if claim.take(path) is not None and signal.pause() is None else 1)
    assert until(lambda: claim.holder(path)) == pid
    assert claim.take(path) is None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert claim.holder(path) == 0
    assert claim.take(path) is None
    assert claim.journal(path) == [b'{"state":"starting"}']
