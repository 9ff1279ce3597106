"""Estimates are compared with what came of them, and their interval is learnt from that; also over a restart."""

from domain.quantities import HOUR_MS, MINUTE_MS
from lifecycle.foresight import Foresight, Guess
from scheduler.calibrate import ENOUGH, REFRESH, Learner
from scheduler.predict import Calibration
from tests.support.centre import Centre
from tests.support.factories import resources, spec


def kept(centre: Centre) -> list[Guess]:
    with centre.store.read() as uow:
        return uow.live.guesses()


def whole(centre: Centre, command: str = "run 30m", **given: object) -> int:
    """A job that leaves no room for another."""
    return centre.submit(spec(needs=resources(4, nodes=2), command=command, **given)).id


def test_what_was_foretold_is_compared_with_what_came(centre: Centre) -> None:
    """Each asks for an hour and takes half of it."""
    at_once, second, third = (whole(centre) for _ in range(3))
    begun_ms = centre.clock.now_ms()
    centre.settle()
    assert kept(centre) == [Guess(second, begun_ms, HOUR_MS), Guess(third, begun_ms, 2 * HOUR_MS)]
    centre.run(minutes=30)
    centre.restart()
    centre.run(minutes=30)
    assert centre.attempt(third).created_ms == begun_ms + HOUR_MS
    centre.submit()
    centre.run(minutes=31)
    found = {guess.job_id: guess for guess in kept(centre)}
    assert found[second] == Guess(second, begun_ms, HOUR_MS, 30 * MINUTE_MS)
    assert found[third] == Guess(third, begun_ms, 2 * HOUR_MS, HOUR_MS)
    assert at_once not in found


def test_who_goes_away_teaches_nothing(centre: Centre) -> None:
    _, cancelled, held = (whole(centre) for _ in range(3))
    centre.settle()
    assert {guess.job_id for guess in kept(centre)} == {cancelled, held}
    centre.control("cancel", cancelled)
    centre.restart()
    centre.control("hold", held)
    centre.run()
    centre.submit()
    centre.run()
    assert kept(centre) == []


def test_the_interval_is_learnt_and_known_after_a_restart(centre: Centre) -> None:
    guesses = [Guess(number, 0, HOUR_MS, HOUR_MS * (50 + number) // 100) for number in range(REFRESH)]
    learner = Learner()
    for guess in guesses:
        learner.observe(guess.wait_ms, guess.waited_ms or 0)
    assert learner.calibration != Calibration()
    assert ENOUGH <= REFRESH
    assert Foresight.of(guesses).calibration == learner.calibration
    with centre.store.write() as uow:
        project = centre.population.projects["speech"]
        jobs = uow.jobs.add_many([(spec(held=True), project)] * REFRESH, 1, 0)
        uow.live.keep_guesses({job: Guess(job, 0, HOUR_MS, g.waited_ms) for job, g in zip(jobs, guesses, strict=True)})
    whole(centre, "run forever")
    waiting = whole(centre)
    centre.schedule()
    view = centre.lookout.view(centre.clock.now_ms())
    assert view.state.calibration == learner.calibration
    line = view.plan.outlook.of(waiting)
    assert line is not None
    assert line.estimate is not None
    low, middle, high = learner.calibration.of(HOUR_MS)
    wait = [ms - centre.clock.now_ms() for ms in (line.estimate.low_ms, line.estimate.starts_ms, line.estimate.high_ms)]
    assert wait == [HOUR_MS * ratio // 1_000 for ratio in (low, middle, high)]
