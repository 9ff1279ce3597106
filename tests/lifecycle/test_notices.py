"""Budgets in daily life, on both databases: notices are given once, what is exhausted waits, unused SU go back by rule."""

from dataclasses import replace

import pytest

from domain.allocations import ChangeKind
from domain.budgets import Notice, Reclaim
from domain.errors import Invalid, Refused, StaleLeader
from domain.jobs import JobState
from domain.quantities import DAY_MS, HOUR_MS, MICRO
from lifecycle import reclaiming
from lifecycle.changes import decide
from lifecycle.effects import Wish
from lifecycle.notices import give_notices, run_out, words
from lifecycle.paging import Page
from tests.lifecycle.test_money import add_allocation, close_all, figures
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import resources, spec

RULE = Reclaim(after=50, used_below=25, notice_ms=14 * DAY_MS, keep=10)


def tell(centre: Centre) -> int:
    return give_notices(centre.store, centre.epoch, centre.clock.now_ms())


def given(centre: Centre, user: str = "dara", *, unread: bool = False) -> list[Notice]:
    with centre.store.read() as uow:
        return uow.budgets.notices(centre.caller(user).user.id, Page(None, 100), None, unread=unread)


def kinds(centre: Centre) -> list[str]:
    return [notice.kind.value for notice in reversed(given(centre))]


def set_rule(centre: Centre, rule: Reclaim | None = RULE) -> None:
    caller = centre.caller("chanthy")
    with centre.store.write() as uow:
        reclaiming.set_rule(uow, caller, rule, "the board, 3 March", centre.clock.now_ms())


def reclaim(centre: Centre, allocation_id: int, user: str = "chanthy", micro_su: int | None = None) -> int:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        before = uow.allocations.get(allocation_id)
        after = reclaiming.reclaim(
            uow,
            caller,
            allocation_id,
            ChangeKind.RECLAIM,
            Wish(micro_su),
            "nobody uses it",
            None,
            centre.clock.now_ms(),
        ).allocation
        assert before is not None
        return after.returned - before.returned


def use(centre: Centre, hours: int) -> None:
    """2 SU an hour."""
    centre.submit(spec(needs=resources(1, walltime=f"{hours}h"), command=f"run {hours}h"))
    centre.run()


def test_each_notice_is_given_once(centre: Centre) -> None:
    close_all(centre)
    one = add_allocation(centre, "speech", ("moeys-2026", 20 * MICRO))
    assert tell(centre) == 0
    use(centre, 8)
    assert tell(centre) == 1
    assert tell(centre) == 0
    assert kinds(centre) == ["used-80"]
    use(centre, 2)
    assert tell(centre) == 2
    centre.restart()
    assert tell(centre) == 0
    assert kinds(centre) == ["used-80", "used-90", "used-100"]
    assert words(given(centre)[0]) == f"allocation {one.id} is used up: nothing more starts, what runs is covered"
    for days, wanted in ((59, 0), (1, 1), (23, 1), (6, 1), (0, 0), (1, 0)):
        centre.clock.advance(hours=24 * days)
        assert tell(centre) == wanted, days
    assert kinds(centre)[3:] == ["ends-30d", "ends-7d", "ends-1d"]


def change(centre: Centre, allocation_id: int, kind: ChangeKind, wish: Wish) -> None:
    caller = centre.caller("chanthy")
    with centre.store.write() as uow:
        decide(uow, caller, allocation_id, kind, wish, "good work", None, centre.clock.now_ms())


def test_what_is_extended_or_topped_up_is_told_of_anew(centre: Centre) -> None:
    close_all(centre)
    one = add_allocation(centre, "speech", ("moeys-2026", 20 * MICRO))
    use(centre, 8)
    centre.clock.advance(hours=24 * 85)
    assert tell(centre) == 3
    change(centre, one.id, ChangeKind.EXTEND, Wish(ends_ms=one.ends_ms + 90 * DAY_MS))
    change(centre, one.id, ChangeKind.TOP_UP, Wish(micro_su=20 * MICRO))
    assert tell(centre) == 0
    use(centre, 8)
    centre.clock.advance(hours=24 * 89)
    assert tell(centre) == 3
    assert kinds(centre) == ["used-80", "ends-30d", "ends-7d"] * 2


def test_an_old_leader_gives_no_notice(centre: Centre) -> None:
    close_all(centre)
    add_allocation(centre, "speech", ("moeys-2026", MICRO))
    centre.clock.advance(hours=24 * 61)
    before = centre.epoch
    centre.restart()
    with pytest.raises(StaleLeader):
        give_notices(centre.store, before, centre.clock.now_ms())
    assert given(centre) == []


def test_notices_are_read_by_each_user_for_themselves(centre: Centre) -> None:
    close_all(centre)
    add_allocation(centre, "speech", ("moeys-2026", MICRO))
    centre.clock.advance(hours=24 * 61)
    tell(centre)
    (notice,) = given(centre, unread=True)
    caller, speech = centre.caller(), frozenset({centre.population.projects["speech"]})
    with centre.store.write() as uow:
        assert uow.budgets.read(caller.user.id, [notice.id, 10**6], frozenset(), 5) == 0
        assert uow.budgets.read(caller.user.id, [notice.id, 10**6], speech, 5) == 1
        assert uow.budgets.read(caller.user.id, [notice.id], speech, 6) == 1
    assert given(centre, unread=True) == []
    assert given(centre) == [replace(notice, read=True)]
    assert given(centre, "chanthy", unread=True) == [notice]


def test_what_is_exhausted_waits_and_what_runs_is_finished(centre: Centre) -> None:
    close_all(centre)
    add_allocation(centre, "speech", ("moeys-2026", 3 * MICRO))
    running = centre.submit(spec(needs=resources(1, walltime="1h"), command="run 1h"))  # 2 SU
    waiting = centre.submit(spec(needs=resources(1, walltime="1h"), command="run 1m"))
    centre.settle()
    assert centre.job(running.id).state is JobState.RUNNING
    assert centre.job(waiting.id).state is JobState.PENDING
    line = centre.lookout.view(centre.clock.now_ms()).plan.outlook.of(waiting.id)
    assert line is not None
    assert line.reason is not None
    assert line.reason.code == "budget"
    centre.run()
    assert centre.job(running.id).state is JobState.SUCCEEDED
    assert centre.job(waiting.id).state is JobState.PENDING, "1 SU is left, it needs 2"
    assert centre.attempt(running.id).charged == 2 * MICRO
    with pytest.raises(Refused, match="1 SU left"):
        centre.submit(spec(needs=resources(1, walltime="1h")))
    assert_sound(centre.database, centre.store)


def test_the_day_it_runs_out_follows_the_last_fortnight(centre: Centre) -> None:
    close_all(centre)
    one = add_allocation(centre, "speech", ("moeys-2026", 200 * MICRO))
    begun = centre.clock.now_ms()

    def forecast() -> int | None:
        tell(centre)
        now_ms = centre.clock.now_ms()
        with centre.store.read() as uow:
            at_ms = run_out(uow, [one.id], now_ms)[one.id]
        return None if at_ms is None else (at_ms - now_ms) // DAY_MS

    assert forecast() is None
    use(centre, 25)
    assert forecast() == 3  # 50 SU in a day and an hour, 150 are left
    centre.clock.set(begun + 10 * DAY_MS)
    assert forecast() == 30  # 50 SU in 10 days
    centre.clock.set(begun + 20 * DAY_MS)
    assert forecast() is None, "not at this pace: nothing was used for a fortnight"
    use(centre, 20)
    assert forecast() == 38  # 40 SU in a fortnight, 110 are left


# Reclaim.


def unused(centre: Centre) -> int:
    close_all(centre)
    one = add_allocation(centre, "speech", ("moeys-2026", 100 * MICRO))
    centre.clock.advance(hours=24 * 45)
    return one.id


def test_unused_su_go_back_by_rule_after_notice(centre: Centre) -> None:
    allocation = unused(centre)
    with pytest.raises(Refused, match="no rule is in force"):
        reclaim(centre, allocation)
    set_rule(centre)
    with pytest.raises(Refused, match="nobody was told"):
        reclaim(centre, allocation)
    assert tell(centre) == 1
    assert words(given(centre)[0]).endswith("90 SU may be taken back in 14d, unless use picks up")
    centre.clock.advance(hours=24 * 14 - 1)
    with pytest.raises(Refused, match="has not run out: 1h are left"):
        reclaim(centre, allocation)
    centre.clock.advance(hours=1)
    with centre.store.read() as uow:
        grant = uow.grants.grant_named("moeys-2026")
    assert grant is not None
    before = figures(centre, grant).left
    with pytest.raises(Refused, match="90 SU may be taken back, not 91"):
        reclaim(centre, allocation, micro_su=91 * MICRO)
    assert reclaim(centre, allocation) == 90 * MICRO
    assert figures(centre, grant).left == before + 90 * MICRO
    with pytest.raises(Refused, match="nothing of allocation"):
        reclaim(centre, allocation)
    assert_sound(centre.database, centre.store)


def test_nothing_goes_back_once_use_has_picked_up(centre: Centre) -> None:
    allocation = unused(centre)
    set_rule(centre)
    tell(centre)
    centre.clock.advance(hours=24 * 14)
    centre.submit(spec(needs=resources(1, walltime="13h"), command="run 13h"))  # 26 SU, held from now on
    centre.settle()
    with pytest.raises(Refused, match="by the rule nothing of allocation .* 26 held by jobs"):
        reclaim(centre, allocation)


def test_what_is_given_after_the_notice_needs_one_of_its_own(centre: Centre) -> None:
    allocation = unused(centre)
    set_rule(centre)
    tell(centre)
    centre.clock.advance(hours=24 * 14)
    change(centre, allocation, ChangeKind.TOP_UP, Wish(micro_su=50 * MICRO))
    with pytest.raises(Refused, match="nobody was told"):
        reclaim(centre, allocation)
    assert tell(centre) == 1


def test_nobody_reclaims_of_their_own_project(centre: Centre) -> None:
    allocation = unused(centre)
    set_rule(centre)
    tell(centre)
    centre.clock.advance(hours=24 * 14)
    with pytest.raises(Refused, match="nobody decides for their own project"):
        reclaim(centre, allocation, "dara")


@pytest.mark.parametrize("rule", [replace(RULE, after=101), replace(RULE, keep=-1), replace(RULE, notice_ms=HOUR_MS)])
def test_rules_that_there_cannot_be(centre: Centre, rule: Reclaim) -> None:
    with pytest.raises(Invalid):
        set_rule(centre, rule)
