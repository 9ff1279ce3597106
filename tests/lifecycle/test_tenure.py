"""What the calendar does to allocations, each once; and the dated shares by which holds are split."""

import random
from dataclasses import replace

import pytest

from domain.allocations import AllocationState, ChangeKind, ChangeState
from domain.errors import BarayError, Conflict, StaleLeader
from domain.jobs import JobState
from domain.quantities import DAY_MS, HOUR_MS, MICRO
from lifecycle import allocations, changes
from lifecycle.effects import Wish
from lifecycle.tenure import tenure
from lifecycle.terms import InstalmentAsked, PartAsked, Terms
from quotas import funding
from tests.lifecycle.test_changes import ask, decide
from tests.lifecycle.test_requests import PAID, SPAN, TERMS, allocate, approve, get, grants_left, left, steps
from tests.lifecycle.test_requests import ask as request
from tests.support.audit import assert_sound
from tests.support.centre import EVERY, Centre
from tests.support.factories import resources, spec


def keep(centre: Centre) -> int:
    return tenure(centre.store, centre.epoch, centre.clock.now_ms())


def test_it_begins_on_its_first_day_and_ends_after_its_last(centre: Centre) -> None:
    before = grants_left(centre)
    span = (SPAN[0] + DAY_MS, SPAN[0] + 3 * DAY_MS)
    one = allocate(centre, terms=Terms(PAID, *span))
    assert (one.state, keep(centre)) == (AllocationState.APPROVED, 0)
    centre.clock.set(span[0])
    assert (keep(centre), keep(centre)) == (1, 0), "what was done is not due again"
    assert get(centre, one.id).state is AllocationState.ACTIVE
    centre.clock.set(span[1] - 1)
    assert keep(centre) == 0
    centre.clock.advance(1)
    assert (keep(centre), keep(centre)) == (1, 0)
    over = get(centre, one.id)
    assert (over.state, over.returned) == (AllocationState.EXPIRED, 500 * MICRO)
    assert grants_left(centre) == before
    assert [step for step, _, _ in steps(centre, one.id)] == ["allocate", "activate", "expire"]
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_what_runs_when_it_ends_keeps_its_hold_and_gives_back_the_rest_at_its_own_end(centre: Centre) -> None:
    """10 SU until 02:00; a job holds 8 of them until 04:00 and uses 6."""
    with centre.store.write() as uow:
        (shut,) = [uow.allocations.get(centre.population.allocations["flood"])]
        assert shut is not None
        uow.allocations.save(replace(shut, state=AllocationState.SUSPENDED))
    caller = centre.caller("chanthy")
    before = grants_left(centre)["wb-77"]
    with centre.store.write() as uow:
        terms = Terms((PartAsked("wb-77", 10 * MICRO),), SPAN[0], SPAN[0] + 2 * HOUR_MS)
        one = allocations.allocate(uow, caller, "flood", terms, "a test", SPAN[0])
    job = centre.submit(spec("flood", needs=resources(1, walltime="4h"), command="run 3h"), "rith").id
    centre.run(hours=2)
    assert keep(centre) == 1
    assert left(centre, one.id)["allocation"] == 0
    assert grants_left(centre)["wb-77"] == before - 8
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert left(centre, one.id) == {"allocation": 2, "held": 0, "consumed": 6}
    assert (keep(centre), keep(centre)) == (1, 0)
    assert left(centre, one.id) == {"allocation": 0, "held": 0, "consumed": 6}
    assert grants_left(centre)["wb-77"] == before - 6
    assert steps(centre, one.id)[-1] == ("return", None, "jobs gave back what they did not use")
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_a_dated_instalment_is_paid_on_its_day_and_a_report_waits(centre: Centre) -> None:
    plan = (
        InstalmentAsked(200 * MICRO), InstalmentAsked(100 * MICRO, SPAN[0] + DAY_MS),
        InstalmentAsked(50 * MICRO, SPAN[0] + 2 * DAY_MS), InstalmentAsked(150 * MICRO, on_report=True),
    )  # fmt: skip
    one = allocate(centre, terms=replace(TERMS, instalments=plan))
    centre.clock.advance(days=1)
    assert (keep(centre), keep(centre)) == (1, 0)
    assert left(centre, one.id) == {"allocation": 300, "committed": 200}
    decide(centre, one.id, ChangeKind.SUSPEND)
    centre.clock.advance(days=30)
    keep(centre)
    assert left(centre, one.id) == {"allocation": 350, "committed": 150}
    assert_sound(centre.database, centre.store)
    centre.clock.set(SPAN[1])
    keep(centre)
    assert (get(centre, one.id).state, get(centre, one.id).returned) == (AllocationState.EXPIRED, 500 * MICRO)
    assert left(centre, one.id) == {"allocation": 0, "committed": 0}
    assert_sound(centre.database, centre.store)


def test_what_was_asked_of_an_allocation_that_is_over_is_declined(centre: Centre) -> None:
    one = allocate(centre)
    asked = ask(centre, one.id, ChangeKind.TOP_UP, micro_su=MICRO)
    assert keep(centre) == 0
    decide(centre, one.id, ChangeKind.CLOSE)
    assert keep(centre) == 1
    with centre.store.read() as uow:
        change = uow.allocations.change(asked.id)
    assert change is not None
    assert (change.state, change.answer, change.decided_by) == (ChangeState.DECLINED, "the allocation is over", None)
    assert steps(centre, one.id)[-1] == ("decline", None, "the allocation is over")
    assert keep(centre) == 0


def test_one_that_fails_keeps_no_other_waiting(centre: Centre) -> None:
    """The books of the first say what cannot be: its grant is refused what it would get back."""
    bad, good = (allocate(centre, terms=Terms(PAID, SPAN[0], SPAN[0] + DAY_MS)) for _ in range(2))
    with centre.store.write() as uow:
        uow.ledger.post(
            [funding.give_back(bad.id, bad.version, {1: MICRO}, {}, SPAN[0])], {}
        )  # under the name that is due
    centre.clock.advance(days=1)
    with pytest.raises(Conflict):
        keep(centre)
    assert (get(centre, bad.id).state, get(centre, good.id).state) == (AllocationState.ACTIVE, AllocationState.EXPIRED)


def test_an_old_leader_does_nothing(centre: Centre) -> None:
    allocate(centre, terms=Terms(PAID, SPAN[0], SPAN[0] + DAY_MS))
    centre.clock.advance(days=1)
    centre.restart()
    with pytest.raises(StaleLeader):
        tenure(centre.store, centre.epoch - 1, centre.clock.now_ms())
    assert keep(centre) == 1


@pytest.mark.promise(4)
def test_holds_are_split_by_the_shares_in_force(centre: Centre) -> None:
    """600 to 400 by the amounts; from tomorrow a tenth to nine; from the day after, all of wb-77."""
    one_day, two_days = SPAN[0] + DAY_MS, SPAN[0] + 2 * DAY_MS
    shares = ((two_days, {"wb-77": 10**6}), (one_day, {"moeys-2026": 100_000, "wb-77": 900_000}))
    one = allocate(centre, terms=Terms(
        (PartAsked("moeys-2026", 600 * MICRO), PartAsked("wb-77", 400 * MICRO)), *SPAN, shares=shares
    ))  # fmt: skip
    assert get(centre, one.id).shares == tuple(sorted(get(centre, one.id).shares, key=lambda dated: dated.from_ms))
    speech = centre.population.projects["speech"]
    weights = []
    with centre.store.write() as uow:
        for at_ms in (SPAN[0], one_day - 1, one_day, two_days):
            mine = [purse for purse in uow.ledger.purses([speech], at_ms)[speech] if purse.allocation_id == one.id]
            weights.append([purse.weight for purse in mine])
    by_amount = [600 * MICRO, 400 * MICRO]
    assert weights == [by_amount, by_amount, [100_000, 900_000], [0, 10**6]]
    centre.clock.advance(days=1)
    job = centre.submit(spec(needs=resources(1, walltime="5h"), command="run 5h")).id
    centre.run()
    assert [part.micro_su // MICRO for part in centre.attempt(job).parts] == [1, 9]
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_decided_the_books_agree(centre: Centre, seed: int) -> None:
    """Requests, decisions, jobs and days in any order, many of them refused; the centre is sound after each."""
    dice = random.Random(seed)
    asked, changes_asked = [request(centre)], []
    for _ in range(40):
        with centre.store.read() as uow:
            ids = [one.id for one in uow.allocations.page(EVERY, None)]
        number = dice.choice(ids)
        kind = dice.choice(list(ChangeKind))
        wish = {
            "micro_su": dice.choice([1, 7 * MICRO, 333_333_333, 10**15]), "to": dice.choice(ids),
            "ends_ms": SPAN[0] + dice.randint(1, 120) * DAY_MS, "number": dice.randint(1, 3),
        }  # fmt: skip
        wish = {name: value for name, value in wish.items() if name in _FIELDS.get(kind, ())}
        try:
            match dice.randrange(8):
                case 0:
                    asked.append(request(centre, su=dice.randint(1, 900)))
                case 1:
                    plan = (
                        InstalmentAsked(250 * MICRO),
                        InstalmentAsked(250 * MICRO, SPAN[0] + dice.randint(1, 99) * DAY_MS),
                    )
                    approve(centre, dice.choice(asked), replace(TERMS, instalments=plan if dice.randrange(2) else ()))
                case 2:
                    changes_asked.append(ask(centre, number, kind, **wish).id)
                case 3 if changes_asked:
                    _approve_change(centre, dice.choice(changes_asked))
                case 4:
                    centre.submit(spec(needs=resources(1, walltime="3h"), command=f"run {dice.randint(1, 200)}m"))
                case 5:
                    centre.run(hours=dice.choice([1, 5, 24, 24 * 20]))
                    keep(centre)
                case _:
                    decide(centre, number, kind, **wish)
        except BarayError:
            pass
        centre.settle()
        assert_sound(centre.database, centre.store)


def _approve_change(centre: Centre, change: int) -> None:
    caller = centre.caller("admin")
    with centre.store.write() as uow:
        changes.approve(uow, caller, change, (), "fine", None, centre.clock.now_ms())


_FIELDS = {
    ChangeKind.TOP_UP: ("micro_su",),
    ChangeKind.EXTEND: ("ends_ms",),
    ChangeKind.TRANSFER: ("micro_su", "to"),
    ChangeKind.SPLIT: ("micro_su",),
    ChangeKind.RECLAIM: ("micro_su",),
    ChangeKind.RELEASE: ("number",),
}


def test_a_wish_is_kept_as_it_was() -> None:
    wish = Wish(5, 2, 3, 4, 6, 1, (PartAsked("wb-77", 5), PartAsked("moeys-2026", share=7)))
    assert Wish.read(wish.written()) == wish
    assert Wish.read(Wish().written()) == Wish()
