"""What the planner is told of past use: by account and user, at the start for the booked walltime, then as it was."""

import pytest

from domain.jobs import Array, JobState
from domain.quantities import HOUR_MS, MICRO, MINUTE_MS
from domain.records import Job
from lifecycle.snapshot import snapshot
from scheduler.snapshot import State
from tests.support.centre import Centre
from tests.support.factories import resources, spec


def state(centre: Centre) -> State:
    with centre.store.read() as uow:
        return snapshot(uow, centre.clock.now_ms())


def who(job: Job) -> tuple[int, int]:
    return job.project_id, job.user_id


def test_a_users_usage_is_booked_at_the_start_and_corrected_at_the_end(centre: Centre) -> None:
    """Four GPUs at 2 SU an hour; one hour is booked, a quarter of it used. The other user is not concerned."""
    one = centre.submit(spec(needs=resources(4), command="run 15m"), "dara")
    other = centre.submit(spec(needs=resources(1), command="run 1h"), "sok")
    assert state(centre).user_usage == {}
    centre.schedule()
    booked = state(centre)
    assert booked.user_usage == {who(one): 8 * MICRO, who(other): 2 * MICRO}
    assert booked.usage[one.project_id] == 10 * MICRO
    centre.run(minutes=15)
    used = state(centre)
    decayed = 0.5 ** (15 * MINUTE_MS / used.policy.half_life_ms)
    assert used.user_usage[who(one)] == pytest.approx(2 * MICRO * decayed, abs=2)
    assert used.user_usage[who(other)] == int(2 * MICRO * decayed)
    assert abs(used.usage[one.project_id] - sum(used.user_usage.values())) <= 2, "by account and by user it is the same"


def test_run_times_are_remembered_over_a_restart_but_not_those_cut_short_by_others(centre: Centre) -> None:
    user = centre.submit(spec(command="run 7m")).user_id
    centre.run()
    assert state(centre).recent == {user: (7 * MINUTE_MS,)}
    centre.submit(spec(command="run 9m exit 1"))
    centre.run()
    lost = centre.submit(spec(command="run 5m"))
    centre.settle()
    centre.clock.advance(minutes=1)
    centre.driver.vanish(centre.attempt(lost.id).id)
    centre.run()
    assert centre.job(lost.id).state is JobState.FAILED
    centre.restart()
    assert state(centre).recent == {user: (7 * MINUTE_MS, 9 * MINUTE_MS)}
    centre.submit(spec(command="run forever", needs=resources(walltime="2h")))
    centre.run()
    assert state(centre).recent == {user: (9 * MINUTE_MS, 2 * HOUR_MS)}
    answer = centre.lookout.decide(centre.epoch, centre.clock.now_ms()).plan
    assert not answer.starts
    assert centre.lookout.view(centre.clock.now_ms()).state.recent == state(centre).recent, "the mirror followed"


def test_live_tasks_are_counted_by_account_and_user_up_the_tree(centre: Centre) -> None:
    mine = centre.submit(spec(array=Array(0, 2), command="run 1h"), "dara")
    theirs = centre.submit(spec("vision", command="run 1h"), "admin")
    centre.settle()
    told = state(centre)
    tenant = told.tree.tenant_of(mine.project_id)
    assert tenant is not None
    assert told.running == {1: 4, tenant.id: 4, mine.project_id: 3, theirs.project_id: 1}
    assert told.user_running[tenant.id, mine.user_id] == 3
    assert told.user_running[1, theirs.user_id] == 1
    assert {run.job_id for run in told.live} == {mine.id, theirs.id}
