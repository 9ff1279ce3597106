"""A supervisor may live several attempts, one after the other: none of them notices."""

import os
import signal
from pathlib import Path

from domain.ids import AttemptId
from domain.jobs import AttemptState
from tests.contracts.driver_contract import SLEEP, launch, log, running, settled, until
from tests.local.rig import LocalRig, alive


def attempt(job: int) -> AttemptId:
    return AttemptId(job, None, 1)


def spares(rig: LocalRig) -> list[int]:
    """The supervisors of this driver that have no attempt."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in found if _is_spare(rig, pid)]


def _is_spare(rig: LocalRig, pid: int) -> bool:
    try:
        log_of_warden = Path(f"/proc/{pid}/fd/2").readlink()
        return Path(f"/proc/{pid}/comm").read_text() == "baray spare\n" and log_of_warden == rig.root / "warden.log"
    except OSError:
        return False


def end_one(rig: LocalRig, job: int) -> int:
    """Run an attempt to its end, stopped. The pid of its supervisor."""
    rig.driver.start(launch(attempt(job), command=SLEEP))
    running(rig.driver, attempt(job))
    supervisor = rig.supervisor(attempt(job))
    rig.driver.stop(attempt(job), 5_000)
    assert settled(rig.driver, attempt(job)).state is AttemptState.CANCELLED
    return supervisor


def test_one_supervisor_lives_attempts_one_after_the_other(rig: LocalRig) -> None:
    first = end_one(rig, 1)
    until(lambda: spares(rig) == [first])
    assert end_one(rig, 2) == first


def test_attempts_at_the_same_time_have_a_supervisor_each(rig: LocalRig) -> None:
    supervisors = set()
    for job in (1, 2, 3):
        rig.driver.start(launch(attempt(job), command=SLEEP))
        running(rig.driver, attempt(job))
        supervisors.add(rig.supervisor(attempt(job)))
    assert len(supervisors) == 3


def test_nothing_of_an_attempt_is_left_for_the_next(rig: LocalRig) -> None:
    secrets = {"TOKEN": "hunter2"}
    rig.driver.start(launch(attempt(1), run="echo $TOKEN; exit 3", env={"OWN": "x"}, secrets=secrets, outputs=("*",)))
    settled(rig.driver, attempt(1))
    until(lambda: spares(rig))
    rig.driver.start(launch(attempt(2), run="echo hunter2 $TOKEN $OWN; ls /proc/self/fd | wc -l"))
    end = settled(rig.driver, attempt(2))
    assert (end.state, end.outputs, end.detail) == (AttemptState.SUCCEEDED, (), "")
    assert log(rig.driver, attempt(2)) == b"hunter2\n4\n"


def test_a_supervisor_is_not_kept_for_ever(rig: LocalRig) -> None:
    """It retires after a hundred attempts; and its descriptors do not grow meanwhile."""
    lived: dict[int, int] = {}
    for job in range(1, 106):
        rig.driver.start(launch(attempt(job)))
        assert settled(rig.driver, attempt(job)).state is AttemptState.SUCCEEDED
        (spare,) = until(lambda: spares(rig)) if job != 100 else (0,)
        lived[spare] = lived.get(spare, 0) + 1
    assert sorted(lived.values()) == [1, 5, 99]
    assert len(list(Path(f"/proc/{spare}/fd").iterdir())) < 12


def test_a_killed_spare_loses_no_order(rig: LocalRig) -> None:
    for job in range(1, 6):
        rig.driver.start(launch(attempt(job)))
        settled(rig.driver, attempt(job))
        (spare,) = until(lambda: spares(rig))
        os.kill(spare, signal.SIGKILL)
        until(lambda spare=spare: not alive(spare))


def test_a_long_order_needs_no_spare(rig: LocalRig) -> None:
    end_one(rig, 1)
    until(lambda: spares(rig))
    rig.driver.start(launch(attempt(2), run="#" + "x" * 200_000 + "\necho done"))
    settled(rig.driver, attempt(2))
    assert log(rig.driver, attempt(2)) == b"done\n"


def test_spares_end_with_their_driver_or_with_the_machine(rig: LocalRig) -> None:
    end_one(rig, 1)
    (spare,) = until(lambda: spares(rig))
    os.kill(spare, signal.SIGTERM)
    until(lambda: not alive(spare))
    end_one(rig, 2)
    until(lambda: spares(rig))
    rig.driver.close()
    until(lambda: not spares(rig))
    rig.reopen()


def test_a_supervisor_that_outlives_its_driver_ends_with_its_attempt(rig: LocalRig) -> None:
    rig.driver.start(launch(attempt(1), command=("sleep", "0.3")))
    running(rig.driver, attempt(1))
    supervisor = rig.supervisor(attempt(1))
    rig.reopen()
    assert settled(rig.driver, attempt(1)).state is AttemptState.SUCCEEDED
    until(lambda: not alive(supervisor))
