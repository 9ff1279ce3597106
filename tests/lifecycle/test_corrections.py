"""Refunds for the centre's fault, adjustments, and months that are closed."""

from dataclasses import replace

import pytest

from domain.access import Role
from domain.allocations import AllocationState
from domain.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from domain.ids import AttemptId
from domain.months import month_span
from domain.quantities import DAY_MS, HOUR_MS, MICRO
from lifecycle import corrections, people, periods
from lifecycle.books import Correction
from lifecycle.report import usage
from tests.support.audit import assert_sound
from tests.support.centre import EVERY, Centre
from tests.support.factories import H100, resources, spec

JANUARY = month_span("2026-01")
FEBRUARY = month_span("2026-02")


@pytest.fixture
def ended(centre: Centre) -> AttemptId:
    """An attempt of speech that ran for an hour on three GPUs: 6 SU."""
    job = centre.submit(spec(needs=resources(3, walltime="2h"), command="run 1h")).id
    centre.run()
    return centre.attempt(job).id


def refund(centre: Centre, attempt: AttemptId, su: int | None = None, user: str = "chanthy") -> Correction:
    amount = None if su is None else su * MICRO
    with centre.store.write() as uow:
        return corrections.refund(
            uow, centre.caller(user), attempt, amount, "the cooling failed", centre.clock.now_ms()
        )


def adjust(centre: Centre, attempt: AttemptId, su: int, *, rehearsal: bool = False) -> Correction:
    with centre.store.write() as uow:
        return corrections.adjust(
            uow, centre.caller("chanthy"), attempt, su * MICRO, "as agreed", centre.clock.now_ms(), rehearsal=rehearsal
        )


def rerate(centre: Centre, span: tuple[int, int], su: int, *, rehearsal: bool = False) -> list[Correction]:
    with centre.store.write() as uow:
        return corrections.rerate(
            uow, centre.caller("chanthy"), H100, *span, su * MICRO, "wrong rate", centre.clock.now_ms(),
            rehearsal=rehearsal,
        )  # fmt: skip


def close(centre: Centre, name: str) -> None:
    with centre.store.write() as uow:
        periods.close(uow, centre.caller("admin"), name, "checked", centre.clock.now_ms())


def charged(centre: Centre, span: tuple[int, int] | None = None) -> int:
    with centre.store.read() as uow:
        told = usage(uow, "funder", *(span or (None, None)), None)
    assert told.agrees
    return told.total.charged


# Refunds.


@pytest.mark.promise(4)
@pytest.mark.parametrize("su", [None, 1, 6])
def test_what_was_the_centre_s_fault_is_given_back_once(centre: Centre, ended: AttemptId, su: int | None) -> None:
    before = _usage(centre)
    one = refund(centre, ended, su)
    back = (su or 6) * MICRO
    assert (one.micro_su, one.kind, one.period, one.transaction) == (-back, "refund", "2026-01", f"refund/{ended}")
    assert charged(centre) == 6 * MICRO - back
    assert centre.attempt(ended.job).refunded == back
    assert _usage(centre) < before, "it does not count for the fair share any more"
    with pytest.raises(Conflict, match="already"):
        refund(centre, ended, 1)
    with centre.store.read() as uow:
        (kept,) = uow.charging.corrections(EVERY, None)
    assert (kept.attempt, kept.reason, kept.user_id) == (ended, "the cooling failed", centre.caller("chanthy").user.id)
    assert_sound(centre.database, centre.store)


def _usage(centre: Centre) -> int:
    with centre.store.read() as uow:
        return uow.accounts.usage(centre.clock.now_ms(), DAY_MS)[centre.population.projects["speech"]]


def test_no_more_is_given_back_than_it_cost(centre: Centre, ended: AttemptId) -> None:
    for su in (7, 0, -1):
        with pytest.raises(Refused, match="cost 6 SU"):
            refund(centre, ended, su)
    failed = centre.submit(spec(needs=resources(1), command="run 10s exit 1")).id
    centre.run()
    with pytest.raises(Conflict, match="already"):
        refund(centre, centre.attempt(failed).id)  # by rule, when it ended
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(8)
def test_nobody_gives_anything_back_to_a_project_of_their_own(centre: Centre, ended: AttemptId) -> None:
    with centre.store.write() as uow:
        people.give_role(uow, "chanthy", "speech", Role.MEMBER, centre.clock.now_ms())
    with pytest.raises(NotAllowed, match="belongs to project speech"):
        refund(centre, ended)
    with pytest.raises(NotAllowed):
        adjust(centre, ended, 1)
    with pytest.raises(NotAllowed):
        rerate(centre, (JANUARY[0], centre.clock.now_ms()), 1)
    assert charged(centre) == 6 * MICRO


@pytest.mark.promise(8)
def test_nobody_decides_what_their_own_job_pays(centre: Centre) -> None:
    """An administrator may submit to any project without a part in it."""
    job = centre.submit(spec(needs=resources(1), command="run 1h"), user="admin").id
    centre.run()
    with centre.store.write() as uow, pytest.raises(NotAllowed, match="admin's own"):
        corrections.refund(uow, centre.caller("admin"), centre.attempt(job).id, None, "mine", centre.clock.now_ms())
    with centre.store.write() as uow, pytest.raises(NotAllowed, match="admin's own"):
        corrections.adjust(uow, centre.caller("admin"), centre.attempt(job).id, -1, "mine", centre.clock.now_ms())
    assert refund(centre, centre.attempt(job).id).kind == "refund"


def test_a_month_has_one_name(centre: Centre) -> None:
    with pytest.raises(Invalid, match="is no month"):
        close(centre, "\uff12\uff10\uff12\uff15-11")


def test_what_still_runs_is_neither_given_back_nor_adjusted(centre: Centre) -> None:
    job = centre.submit(spec(needs=resources(1, walltime="2h"), command="run 1h")).id
    centre.settle()
    with pytest.raises(Conflict, match="is running"):
        refund(centre, centre.attempt(job).id)
    with pytest.raises(Conflict, match="is running"):
        adjust(centre, centre.attempt(job).id, 1)
    with pytest.raises(NotFound):
        refund(centre, AttemptId(99, None, 1))


# Adjustments.


@pytest.mark.promise(4)
def test_an_adjustment_adds_or_takes_off_and_says_so(centre: Centre, ended: AttemptId) -> None:
    assert adjust(centre, ended, 5, rehearsal=True).micro_su == 5 * MICRO
    assert charged(centre) == 6 * MICRO, "a rehearsal posts nothing"
    assert adjust(centre, ended, 5).transaction == f"adjust/{ended}/1"
    assert adjust(centre, ended, -4).transaction == f"adjust/{ended}/2"
    assert charged(centre) == 7 * MICRO
    with pytest.raises(Refused, match="cost 7 SU"):
        adjust(centre, ended, -8)
    with pytest.raises(Invalid, match="nothing"):
        adjust(centre, ended, 0)
    assert refund(centre, ended).micro_su == -7 * MICRO
    assert charged(centre) == 0
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_a_debit_that_the_allocation_cannot_bear_is_refused(centre: Centre, ended: AttemptId) -> None:
    with pytest.raises(Refused, match="would have to pay") as caught:
        adjust(centre, ended, 996)
    assert caught.value.code == "allocation-exceeded"
    adjust(centre, ended, 900)
    assert_sound(centre.database, centre.store)


def test_a_credit_goes_even_into_an_allocation_that_is_over(centre: Centre, ended: AttemptId) -> None:
    with centre.store.write() as uow:
        allocation = uow.allocations.get(centre.population.allocations["speech"])
        uow.allocations.save(replace(allocation, state=AllocationState.EXPIRED))
    adjust(centre, ended, -2)
    assert charged(centre) == 4 * MICRO


@pytest.mark.promise(4)
def test_a_span_is_charged_at_another_rate_month_by_month_and_once(centre: Centre) -> None:
    """Two hours over the month's end at 2 SU; the last half-hour of January and all of February were to cost 1."""
    centre.clock.set(FEBRUARY[0] - HOUR_MS)
    job = centre.submit(spec(needs=resources(2, walltime="4h"), command="run 2h")).id
    centre.submit(spec("flood", needs=resources(2, walltime="4h"), command="run 10s exit 1"), "rith")
    centre.run()
    span = (FEBRUARY[0] - HOUR_MS // 2, FEBRUARY[0] + HOUR_MS)
    assert [one.micro_su for one in rerate(centre, span, 1, rehearsal=True)] == [-MICRO, -2 * MICRO]
    found = rerate(centre, span, 1)
    assert [(one.attempt.job, one.period, one.micro_su) for one in found] == [
        (job, "2026-01", -MICRO), (job, "2026-02", -2 * MICRO),
    ]  # fmt: skip
    assert charged(centre, JANUARY) == 4 * MICRO, "posted now, so January stays"
    assert charged(centre) == 5 * MICRO
    assert rerate(centre, span, 1) == [], "a repeat posts nothing"
    assert [one.micro_su for one in rerate(centre, span, 2)] == [MICRO, 2 * MICRO], "back again"
    with pytest.raises(Refused, match="overlaps"):
        rerate(centre, (span[0] + 1, span[1]), 1)
    assert charged(centre) == 8 * MICRO
    assert_sound(centre.database, centre.store)


def test_what_still_runs_is_corrected_by_the_same_again(centre: Centre) -> None:
    start_ms = centre.clock.now_ms()
    job = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.settle()
    centre.clock.advance(hours=1)
    centre.settle()
    span = (start_ms, start_ms + HOUR_MS)
    assert rerate(centre, span, 1) == []
    centre.run()
    assert [one.attempt for one in rerate(centre, span, 1)] == [centre.attempt(job).id]
    assert charged(centre) == 3 * MICRO


def test_a_new_rate_is_for_a_span_in_the_past(centre: Centre, ended: AttemptId) -> None:
    now_ms = centre.clock.now_ms()
    for span in ((now_ms, now_ms), (now_ms - 1, now_ms + 1), (5, 4), (0, now_ms)):
        with pytest.raises(Invalid):
            rerate(centre, span, 1)
    with pytest.raises(Invalid, match="rate"):
        rerate(centre, (now_ms - HOUR_MS, now_ms), -1)
    assert charged(centre) == 6 * MICRO


# Periods.


@pytest.mark.promise(4)
def test_a_closed_month_is_never_posted_into_again(centre: Centre, ended: AttemptId) -> None:
    centre.clock.set(FEBRUARY[0] + periods.AFTER_MS)
    close(centre, "2026-01")
    with centre.store.read() as uow:
        (period,) = uow.directory().closed
    assert (period.name, period.reason, period.user_id) == ("2026-01", "checked", centre.caller("admin").user.id)
    adjust(centre, ended, -1)
    assert charged(centre, JANUARY) == 6 * MICRO
    assert charged(centre, FEBRUARY) == -MICRO
    with pytest.raises(Conflict, match="2026-01 is closed"), centre.store.write() as uow:
        corrections.refund(uow, centre.caller("chanthy"), ended, MICRO, "late", FEBRUARY[0] - 1)
    with pytest.raises(Conflict, match="already"):
        close(centre, "2026-01")
    assert_sound(centre.database, centre.store)


def test_a_month_is_closed_a_while_after_it_is_over(centre: Centre) -> None:
    with pytest.raises(Refused, match="not over"):
        close(centre, "2026-01")
    centre.clock.set(FEBRUARY[0] - HOUR_MS)
    job = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.settle()
    centre.clock.set(FEBRUARY[0])
    centre.settle()
    centre.clock.set(FEBRUARY[0] + periods.AFTER_MS - 1)
    with pytest.raises(Refused, match="or only just"):
        close(centre, "2026-01")
    centre.clock.advance(ms=1)
    close(centre, "2026-01")
    centre.driver.vanish(centre.attempt(job).id)  # it ends with the moment up to which it is metered: the month's last
    centre.clock.advance(minutes=1)
    centre.run()
    assert not centre.attempts(job)[0].cost, "given back, in February"
    assert charged(centre, JANUARY) == 2 * MICRO
    assert charged(centre, FEBRUARY) == -2 * MICRO
    assert_sound(centre.database, centre.store)


def test_a_month_stays_open_until_all_of_it_is_metered(centre: Centre) -> None:
    centre.clock.set(FEBRUARY[0] - HOUR_MS)
    job = centre.submit(spec(needs=resources(1, walltime="4h"), command="run 2h")).id
    centre.settle()
    centre.clock.set(FEBRUARY[0] + periods.AFTER_MS)
    with pytest.raises(Refused, match=f"not metered to the end of 2026-01: {job}.1"):
        close(centre, "2026-01")
    centre.settle()
    close(centre, "2026-01")


def test_what_names_no_month_is_refused(centre: Centre) -> None:
    with pytest.raises(Invalid, match="no month"):
        close(centre, "January")
