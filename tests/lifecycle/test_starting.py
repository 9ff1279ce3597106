"""What was handed to a cluster and has not begun there: people are told what the cluster says of it, while it lasts."""

from domain.ids import AttemptId
from domain.jobs import AttemptState
from lifecycle.explain import Why, explain
from tests.support.centre import Centre
from tests.support.factories import spec


def why(centre: Centre, job: int) -> Why:
    with centre.store.read() as uow:
        found = uow.jobs.get(job)
        assert found is not None
        return explain(uow, centre.lookout, found, centre.clock.now_ms())


def test_a_job_that_its_cluster_cannot_begin_says_why(centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m starts-after 1m")).id
    centre.settle()
    assert (centre.attempt(job).state, why(centre, job)) == (AttemptState.STARTING, Why())
    for said in ("The image x:1 cannot be pulled: not found.", "No node takes it: no claim x."):
        centre.driver.say(AttemptId(job, None, 1), said)
        centre.cycle()
        (reason,) = why(centre, job).reasons
        assert (reason.code, reason.message) == ("starting", f"cluster sim says: {said}")
        assert centre.attempt(job).detail == said
    centre.clock.advance(seconds=61)
    centre.cycle()
    assert (centre.attempt(job).state, centre.attempt(job).detail) == (AttemptState.RUNNING, "")
    assert why(centre, job) == Why()
