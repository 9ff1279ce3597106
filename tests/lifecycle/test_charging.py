"""What use costs: rates by its time, factors by QoS, months that are exact, refunds by rule; and the quote before."""

import pytest

from domain.errors import Conflict, Invalid
from domain.jobs import AttemptState, JobState
from domain.months import month_span
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MINUTE_MS
from lifecycle import charging_rules, fleet
from lifecycle.report import usage
from lifecycle.submit import dry_run
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import CPU, H100, resources, spec

FEBRUARY_MS = month_span("2026-02")[0]


def add_rate(centre: Centre, from_ms: int, su: int) -> None:
    with centre.store.write() as uow:
        fleet.add_rate(uow, H100, from_ms, su * MICRO, centre.clock.now_ms(), centre.caller("chanthy").user.id)


def rules(centre: Centre, **document: object) -> None:
    with centre.store.write() as uow:
        charging_rules.apply(uow, centre.caller("admin"), document, "test", centre.clock.now_ms())


def postings(centre: Centre, kind: str) -> list:
    return centre.database.rows(f"SELECT * FROM ledger_transaction WHERE kind = '{kind}' ORDER BY id")


@pytest.mark.promise(4)
def test_use_is_charged_at_the_rate_of_its_time(centre: Centre) -> None:
    """2 SU an hour for an hour, 10 for the next; the hold is for one hour at the first and three at the second."""
    add_rate(centre, centre.clock.now_ms() + HOUR_MS, 10)
    job = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.settle()
    assert centre.attempt(job).hold == (2 + 3 * 10) * MICRO
    centre.run()
    assert centre.attempt(job).charged == 12 * MICRO
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_a_rate_that_was_made_after_the_start_changes_nothing(centre: Centre) -> None:
    job = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.settle()
    add_rate(centre, centre.clock.now_ms() + HOUR_MS, 10)
    centre.run()
    assert centre.attempt(job).charged == 4 * MICRO
    assert centre.attempt(job).later_rates == ()


def test_a_late_start_finds_the_rate_of_its_time(centre: Centre) -> None:
    add_rate(centre, centre.clock.now_ms() + 3 * HOUR_MS, 10)
    job = centre.submit(spec(needs=resources(1, walltime="2h"), command="run 1h starts-after 3h")).id
    centre.run()
    attempt = centre.attempt(job)
    assert attempt.hold == 4 * MICRO
    assert attempt.charged == 4 * MICRO, "its use costs 10, and no more than the hold is charged"
    assert_sound(centre.database, centre.store)


def test_a_rate_neither_overlaps_another_nor_begins_in_the_past(centre: Centre) -> None:
    at_ms = centre.clock.now_ms() + HOUR_MS
    add_rate(centre, at_ms, 3)
    with pytest.raises(Conflict, match="overlapping dated rates"):
        add_rate(centre, at_ms, 4)
    with pytest.raises(Invalid, match="past"):
        add_rate(centre, centre.clock.now_ms(), 4)
    with centre.store.read() as uow:
        found = uow.fleet.rates(H100)
    assert [(rate.from_ms, rate.micro_su_per_hour) for rate in found] == [(0, 2 * MICRO), (at_ms, 3 * MICRO)]
    assert found[1].created_ms == centre.clock.now_ms()
    assert found[1].user_id == centre.caller("chanthy").user.id


def test_a_qos_multiplies_the_rate(centre: Centre) -> None:
    rules(centre, qos_factors={"urgent": "1.5", "preemptible": "0.5"})
    jobs = {
        qos: centre.submit(spec(needs=resources(1, walltime="2h"), command="run 1h", qos=qos)).id
        for qos in ("urgent", "normal", "preemptible")
    }
    centre.settle()
    assert {qos: centre.attempt(job).hold for qos, job in jobs.items()} == {
        "urgent": 6 * MICRO, "normal": 4 * MICRO, "preemptible": 2 * MICRO,
    }  # fmt: skip
    centre.run()
    assert [centre.attempt(job).charged for job in jobs.values()] == [3 * MICRO, 2 * MICRO, MICRO]
    assert_sound(centre.database, centre.store)


def test_rules_name_a_qos_there_is_and_begin_in_time(centre: Centre) -> None:
    with pytest.raises(Invalid, match="no QoS 'loud'"):
        rules(centre, qos_factors={"loud": "2"})
    with pytest.raises(Invalid, match="past"), centre.store.write() as uow:
        charging_rules.apply(uow, centre.caller("admin"), {}, "x", centre.clock.now_ms(), from_ms=5)


def test_the_quote_is_what_the_hold_will_be(centre: Centre) -> None:
    rules(centre, qos_factors={"urgent": "1.333"})
    add_rate(centre, centre.clock.now_ms() + 100 * MINUTE_MS, 7)
    wanted = spec(needs=resources(3, walltime="5h"), command="run 1h", qos="urgent")
    with centre.store.read() as uow:
        quote = dry_run(uow, centre.lookout, centre.caller(), wanted, centre.clock.now_ms())
    assert quote.starts_now
    assert quote.factor == 1_333
    assert quote.tariff.micro_su_per_hour == 2_666_000
    assert quote.tariff.later == ((centre.clock.now_ms() + 100 * MINUTE_MS, 9_331_000),)
    job = centre.submit(wanted).id
    centre.settle()
    assert centre.attempt(job).hold == quote.cost


@pytest.mark.promise(4)
def test_a_slice_that_crosses_the_end_of_a_month_is_two(centre: Centre) -> None:
    """The meters look at 23:59:50 and at 00:00:20: each month has what was used in it, to the millisecond."""
    centre.clock.set(FEBRUARY_MS - HOUR_MS)
    job = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.settle()
    centre.clock.set(FEBRUARY_MS - 10_000)
    centre.settle()
    centre.clock.set(FEBRUARY_MS + 20_000)
    centre.settle()
    centre.run()
    facts = centre.database.rows("SELECT * FROM usage ORDER BY seq")
    assert [(fact.from_ms - FEBRUARY_MS, fact.until_ms - FEBRUARY_MS) for fact in facts][:4] == [
        (-HOUR_MS, -10_000), (-10_000, 0), (0, 20_000), (20_000, HOUR_MS),
    ]  # fmt: skip
    for name in ("2026-01", "2026-02"):
        from_ms, until_ms = month_span(name)
        with centre.store.read() as uow:
            told = usage(uow, "funder", from_ms, until_ms, None)
        assert told.agrees
        assert told.total.gpu_ms == {H100: HOUR_MS}
        assert told.total.charged == 2 * MICRO
    assert centre.attempt(job).charged == 4 * MICRO
    assert_sound(centre.database, centre.store)


def test_a_long_slice_is_cut_at_every_month(centre: Centre) -> None:
    centre.clock.set(FEBRUARY_MS - HOUR_MS)
    centre.submit(spec(needs=resources(0, CPU, walltime="60d"), command="run 40d"))
    centre.settle()
    centre.run()
    with centre.store.read() as uow:
        told = usage(uow, "project", *month_span("2026-02"), None)
    assert told.agrees
    assert told.total.gpu_ms == {CPU: 28 * DAY_MS}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("command", "what", "given_back"),
    [
        ("run 59s exit 1", None, True), ("run 60s exit 1", None, False), ("run 30s", None, False),
        ("run 1h", "fail_node", True), ("run 1h", "vanish", True), ("run 1h", "cancel", False),
    ],
)  # fmt: skip
def test_what_the_rules_give_back_is_given_back(
    centre: Centre, command: str, what: str | None, given_back: bool
) -> None:
    job = centre.submit(spec(needs=resources(3, walltime="2h"), command=command)).id
    centre.settle()
    if what:
        centre.clock.advance(minutes=10)
        centre.settle()
        attempt = centre.attempt(job)
        if what == "fail_node":
            centre.driver.fail_node(attempt.placements[0].node)
        elif what == "vanish":
            centre.driver.vanish(attempt.id)
        else:
            centre.control("cancel", job)
    centre.run()
    attempt = centre.attempt(job)
    assert attempt.charged > 0
    assert attempt.gpu_ms > 0, "what was measured stays measured"
    assert (attempt.refunded, attempt.cost) == ((attempt.charged, 0) if given_back else (0, attempt.charged))
    assert [row.name for row in postings(centre, "refund")] == ([f"refund/{attempt.id}"] if given_back else [])
    with centre.store.read() as uow:
        told = usage(uow, "funder", None, None, None)
        assert uow.attempts.costs([job])[job] == (0, attempt.cost)
    assert told.total.charged == attempt.cost
    assert told.agrees
    assert_sound(centre.database, centre.store)


def test_the_rules_of_the_start_are_those_of_the_end(centre: Centre) -> None:
    job = centre.submit(spec(needs=resources(1, walltime="2h"), command="run 30s exit 1")).id
    centre.settle()
    centre.clock.advance(seconds=1)
    rules(centre, refunds={"failed_within": "0s"})
    centre.run()
    assert centre.job(job).state is JobState.FAILED
    assert centre.attempt(job).refunded == centre.attempt(job).charged > 0
    job = centre.submit(spec(needs=resources(1, walltime="2h"), command="run 30s exit 1")).id
    centre.run()
    assert centre.attempt(job).refunded == 0


def test_a_restartable_job_pays_for_no_failed_node_but_for_being_preempted(centre: Centre) -> None:
    job = centre.submit(spec(needs=resources(1, walltime="2h"), command="run 1h", restartable=True)).id
    centre.settle()
    centre.clock.advance(minutes=10)
    centre.control("requeue", job)
    centre.run()
    first, second = centre.attempts(job)
    assert first.state is AttemptState.PREEMPTED
    assert first.cost == first.charged == round(2 * MICRO / 6)
    assert second.cost == 2 * MICRO
    assert_sound(centre.database, centre.store)
