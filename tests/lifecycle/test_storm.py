"""People submit, cancel, hold, release and requeue while the controller works: nothing is overwritten, lost or stuck."""

import random
import threading

import pytest

from domain.errors import BarayError, Conflict
from domain.ids import TaskId
from domain.jobs import Array, JobState
from lifecycle import control
from lifecycle.submit import submit
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import A100, H100, resources, spec

PEOPLE, ACTS = 4, 25

SPECS = (
    spec(command="run 20s stops-after 2s"),
    spec(command="run 45s", array=Array(0, 3, 1, 2)),
    spec(command="run 1m", needs=resources(2, (A100, H100)), restartable=True),
    spec(command="run 5s exit 1"),
)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.parametrize("seed", [1, 2])
def test_people_and_the_controller_at_the_same_time(centre: Centre, seed: int) -> None:
    caller = centre.caller("admin")
    accepted: list[int] = []
    cancelled: set[int] = set()
    wrong: list[str] = []
    busy = threading.Event()

    def person(number: int) -> None:
        rng = random.Random(f"{seed}/{number}")
        store = centre.database.store()
        for _ in range(ACTS):
            try:
                with store.write() as uow:
                    if rng.random() < 0.4 or not accepted:
                        what, job = (
                            "submit",
                            submit(uow, caller, rng.choice(SPECS), centre.clock.now_ms()),
                        )
                    else:
                        job_id = rng.choice(accepted)
                        index = rng.choice([None, None, 0, 1])
                        act = rng.choice([control.cancel, control.hold, control.release, control.requeue])
                        array = uow.jobs.get(job_id).is_array
                        what = act.__name__ if index is None or not array else "task"
                        job = act(uow, TaskId(job_id, index if array else None), centre.clock.now_ms())
            except Conflict as error:
                if error.code == "conflict":
                    wrong.append(f"person {number}: {error.message}")
            except BarayError as error:
                wrong.append(f"person {number}: {error.code}: {error.message}")
            else:
                if what == "submit":
                    accepted.append(job.id)
                elif what == "cancel":
                    cancelled.add(job.id)

    def lead() -> None:
        while busy.is_set():
            try:
                centre.cycle()
            except Conflict:
                continue  # what the plan was made on has changed: the next cycle plans anew
            centre.clock.advance(seconds=1)

    busy.set()
    threads = [threading.Thread(target=person, args=(number,)) for number in range(PEOPLE)]
    leader = threading.Thread(target=lead)
    for thread in (*threads, leader):
        thread.start()
    for thread in threads:
        thread.join()
    busy.clear()
    leader.join()
    assert not wrong, "\n".join(wrong)
    assert_sound(centre.database, centre.store)
    for job_id in accepted:
        if centre.job(job_id).held and not centre.job(job_id).state.final and job_id not in cancelled:
            centre.control("release", job_id)
    centre.run()
    states = {job_id: centre.job(job_id).state for job_id in accepted}
    assert all(state.final for state in states.values()), states
    assert all(states[job_id] is not JobState.PENDING for job_id in cancelled)
    assert not centre.driver.violations
    assert_sound(centre.database, centre.store)
