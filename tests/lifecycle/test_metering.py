"""Steps 6 and 7 over hours: slices, their sums, the walltime, and the reports that are made of them."""

import itertools

import pytest

from domain.jobs import JobState
from domain.quantities import HOUR_MS, MICRO
from lifecycle.meter import SLICE_MS
from lifecycle.report import usage
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import A100, CPU, H100, resources, spec


def facts(centre: Centre, job: int) -> list:
    return centre.database.rows(
        "SELECT usage.* FROM usage JOIN attempt ON attempt.id = attempt_id WHERE job_id = :job ORDER BY seq", job=job
    )


@pytest.mark.promise(4)
def test_a_running_attempt_is_charged_slice_by_slice_and_the_slices_add_up(centre: Centre) -> None:
    """Three hours and a bit on three GPUs, looked at every seven seconds and a half for a while, then every half hour."""
    job = centre.submit(spec(needs=resources(3, walltime="4h"), command="run 3h7s")).id
    centre.settle()
    for _ in range(16):
        centre.clock.advance(7_500)
        centre.cycle()
    assert len(facts(centre, job)) == 4, "a slice is 30 s at the least"
    while not centre.job(job).state.final:
        before = centre.attempt(job).charged
        centre.clock.advance(minutes=30)
        centre.cycle()
        assert centre.attempt(job).charged > before
        assert_sound(centre.database, centre.store)
    written = facts(centre, job)
    assert [fact.seq for fact in written] == list(range(1, len(written) + 1))
    assert all(fact.from_ms == last.until_ms for last, fact in itertools.pairwise(written))
    attempt = centre.attempt(job)
    ran_ms = 3 * HOUR_MS + 7_000
    assert sum(fact.gpu_ms for fact in written) == attempt.gpu_ms == 3 * ran_ms
    assert sum(fact.cpu_ms for fact in written) == ran_ms
    assert sum(fact.memory_mib_ms for fact in written) == 1_024 * ran_ms
    assert attempt.charged == (3 * ran_ms * 2 * MICRO + HOUR_MS // 2) // HOUR_MS


@pytest.mark.promise(4)
def test_how_often_it_is_looked_at_does_not_change_what_it_costs(centre: Centre) -> None:
    """The same job thrice: watched every second slice, every odd moment, and only at its end."""
    charged = set()
    for steps in ([2 * SLICE_MS], [31_337, 77_777], [HOUR_MS]):
        job = centre.submit(spec(needs=resources(3, walltime="2h"), command="run 59m59s")).id
        centre.settle()
        turn = 0
        while not centre.job(job).state.final:
            centre.clock.advance(steps[turn % len(steps)])
            centre.cycle()
            turn += 1
        charged.add((centre.attempt(job).charged, centre.attempt(job).gpu_ms))
    assert charged == {((3 * 3_599_000 * 2 * MICRO + HOUR_MS // 2) // HOUR_MS, 3 * 3_599_000)}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_what_runs_past_the_walltime_is_measured_and_not_charged(centre: Centre) -> None:
    """It heeds its stop signal late: it is metered to its end, and charged its hold and no more."""
    job = centre.submit(spec(needs=resources(2, walltime="1h"), command="run forever stops-after 20s", grace="30s")).id
    centre.run()
    attempt = centre.attempt(job)
    assert centre.job(job).state is JobState.TIMED_OUT
    assert attempt.gpu_ms == 2 * (HOUR_MS + 20_000)
    assert attempt.charged == attempt.hold == 4 * MICRO
    assert_sound(centre.database, centre.store)


def test_the_rate_that_an_attempt_started_with_stays_its_rate(centre: Centre) -> None:
    job = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.settle()
    with centre.store.write() as uow:
        uow.fleet.add_rate(H100, centre.clock.now_ms() + HOUR_MS, 10 * MICRO)
    centre.run()
    assert centre.attempt(job).charged == 4 * MICRO
    later = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.run()
    assert centre.attempt(later).charged == 20 * MICRO
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_a_report_tells_who_used_what_and_who_paid(centre: Centre) -> None:
    """speech is paid by two funders as 600 to 401; flood by one of them alone."""
    centre.submit(spec("speech", needs=resources(4, walltime="2h"), command="run 1h"))
    centre.submit(spec("flood", needs=resources(2, A100, walltime="2h"), command="run 30m"), "rith")
    centre.submit(spec("vision", needs=resources(0, CPU, cpus=10, walltime="2h"), command="run 1h"), "admin")
    centre.run()
    with centre.store.read() as uow:
        told = {by: usage(uow, by, None, None, None) for by in ("tenant", "project", "funder", "user")}
    lines = {by: {line.key: (dict(line.gpu_ms), line.charged) for line in one.lines} for by, one in told.items()}
    hour = HOUR_MS
    assert lines["project"] == {
        "speech": ({H100: 4 * hour}, 8 * MICRO),
        "flood": ({A100: hour}, MICRO),
        "vision": ({CPU: 10 * hour}, MICRO // 10),
    }
    assert lines["tenant"] == {
        "cadt": ({CPU: 10 * hour, H100: 4 * hour}, 8_100_000),
        "itc": ({A100: hour}, MICRO),
    }
    assert lines["user"].keys() == {"dara", "rith", "admin"}
    moeys = round(8 * MICRO * 600 / 1_001)
    assert lines["funder"]["moeys"][1] == moeys + MICRO
    assert lines["funder"]["worldbank"][1] == 8 * MICRO - moeys + MICRO // 10
    assert lines["funder"]["moeys"][0][H100] + lines["funder"]["worldbank"][0][H100] == 4 * hour
    assert {one.agrees for one in told.values()} == {True}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_reports_of_parts_of_a_time_add_up_to_the_report_of_the_whole(centre: Centre) -> None:
    for minutes in (10, 25, 40, 95):
        centre.submit(spec(needs=resources(1, walltime="3h"), command=f"run {minutes}m"))
    centre.run()
    cuts = [NEW_YEAR_MS + minutes * 60_000 for minutes in (0, 13, 26, 60, 200)]
    with centre.store.read() as uow:
        whole = usage(uow, "project", cuts[0], cuts[-1], None)
        parts = [usage(uow, "project", begin, end, None) for begin, end in itertools.pairwise(cuts)]
    assert whole.agrees
    assert all(part.agrees for part in parts)
    assert sum(part.total.total_gpu_ms for part in parts) == whole.total.total_gpu_ms == (10 + 25 + 40 + 95) * 60_000
    assert sum(part.total.charged for part in parts) == whole.total.charged


def test_fair_share_usage_is_booked_at_the_start_and_corrected_at_the_end(centre: Centre) -> None:
    speech = centre.population.projects["speech"]

    def booked() -> int:
        with centre.store.read() as uow:
            return uow.accounts.usage(
                centre.clock.now_ms(), uow.directory().policy_at(centre.clock.now_ms()).half_life_ms
            ).get(speech, 0)

    centre.submit(spec(needs=resources(1, walltime="10h"), command="run 1m"))
    centre.settle()
    assert booked() == 20 * MICRO, "a burst cannot outrun the accounting"
    centre.run()
    assert booked() == pytest.approx(MICRO / 30, rel=0.2), "one minute at 2 SU an hour is what it was"
