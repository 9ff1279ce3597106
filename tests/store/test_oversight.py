"""Acting on behalf of users, approvals, what takes two, and officers: what the port promises, on both databases."""

from dataclasses import replace

from domain.oversight import Acting, Approval, ApprovalState
from lifecycle.paging import Page
from lifecycle.ports import UnitOfWork
from tests.support.centre import EVERY
from tests.support.clock import NEW_YEAR_MS

NOW = NEW_YEAR_MS


def user(uow: UnitOfWork, name: str) -> int:
    found = uow.people.user(name)
    assert found is not None
    return found.id


def an_approval(uow: UnitOfWork, **given: object) -> Approval:
    plain = Approval(0, "add_grant", "/grants", "{}", "{}", user(uow, "chanthy"), NOW, NOW + 1_000)
    return replace(plain, **given)


class TestOversight:
    def test_a_leave_to_act_is_open_until_its_end_or_before(self, uow: UnitOfWork) -> None:
        support, dara = user(uow, "sophea"), user(uow, "dara")
        made = uow.oversight.add_acting(Acting(0, support, dara, "why", NOW, NOW + 10))
        assert uow.oversight.acting(support, dara, NOW + 9) == made == uow.oversight.acting_of(made.id)
        assert uow.oversight.acting(support, dara, NOW + 10) is None
        assert uow.oversight.acting(dara, support, NOW) is None
        assert uow.oversight.acting_of(made.id + 1) is None
        assert uow.oversight.end_acting(made.id, NOW + 5)
        assert not uow.oversight.end_acting(made.id, NOW + 6)
        assert uow.oversight.acting(support, dara, NOW + 6) is None
        second = uow.oversight.add_acting(Acting(0, support, dara, "again", NOW, NOW + 10))
        assert not uow.oversight.end_acting(second.id, NOW + 10), "it is over already"

    def test_leaves_are_listed_by_either_side_the_newest_first(self, uow: UnitOfWork) -> None:
        support, dara, sok = user(uow, "sophea"), user(uow, "dara"), user(uow, "sok")
        made = [uow.oversight.add_acting(Acting(0, support, one, "why", NOW, NOW + 10)) for one in (dara, sok, dara)]
        assert uow.oversight.actings(EVERY) == made[::-1]
        assert uow.oversight.actings(EVERY, for_id=sok) == [made[1]]
        assert uow.oversight.actings(EVERY, user_id=support, for_id=dara) == [made[2], made[0]]
        assert uow.oversight.actings(Page(made[2].id, 1)) == [made[1]]
        assert uow.oversight.actings(EVERY, user_id=dara) == []

    def test_an_approval_is_kept_whole_and_saved_on(self, uow: UnitOfWork) -> None:
        made = uow.oversight.add_approval(an_approval(uow, facts='{"su":"500"}'))
        assert uow.oversight.approval(made.id) == made == uow.oversight.approval(made.id, lock=True)
        done = replace(
            made, state=ApprovalState.DONE, decided_by=user(uow, "admin"), decided_ms=NOW + 1, reason="as agreed"
        )
        assert uow.oversight.save_approval(done) == replace(done, version=made.version + 1)
        assert uow.oversight.approval(made.id) == replace(done, version=made.version + 1)
        assert uow.oversight.approval(made.id + 1) is None

    def test_approvals_are_listed_by_state_and_asker_the_newest_first(self, uow: UnitOfWork) -> None:
        first = uow.oversight.add_approval(an_approval(uow))
        second = uow.oversight.add_approval(an_approval(uow, asked_by=user(uow, "admin")))
        third = uow.oversight.save_approval(
            replace(uow.oversight.add_approval(an_approval(uow)), state=ApprovalState.DECLINED)
        )
        assert uow.oversight.approvals(EVERY) == [third, second, first]
        assert uow.oversight.approvals(EVERY, state=ApprovalState.WAITING) == [second, first]
        assert uow.oversight.approvals(EVERY, asked_by=first.asked_by) == [third, first]
        assert uow.oversight.approvals(Page(second.id, 5)) == [first]

    def test_what_waits_too_long_expires_once(self, uow: UnitOfWork) -> None:
        early, late = (uow.oversight.add_approval(an_approval(uow, expires_ms=NOW + after)) for after in (10, 20))
        done = uow.oversight.save_approval(replace(late, id=early.id, state=ApprovalState.DONE, expires_ms=NOW + 10))
        assert uow.oversight.expire_approvals(NOW + 10) == 0
        assert uow.oversight.expire_approvals(NOW + 20) == 1
        assert uow.oversight.expire_approvals(NOW + 20) == 0
        gone = uow.oversight.approval(late.id)
        assert gone is not None
        assert (gone.state, gone.decided_ms, gone.decided_by) == (ApprovalState.EXPIRED, NOW + 20, None)
        assert uow.oversight.approval(early.id) == done

    def test_the_last_rules_that_have_begun_are_in_force(self, uow: UnitOfWork) -> None:
        admin = user(uow, "admin")
        assert uow.oversight.four_eyes(NOW) == {}
        uow.oversight.add_four_eyes(NOW, {"micro_su": 1}, admin, "first")
        uow.oversight.add_four_eyes(NOW, {"micro_su": 2}, admin, "second")
        uow.oversight.add_four_eyes(NOW + 10, {"micro_su": 3}, admin, "third")
        assert uow.oversight.four_eyes(NOW - 1) == {}
        assert uow.oversight.four_eyes(NOW) == {"micro_su": 2}
        assert uow.oversight.four_eyes(NOW + 10) == {"micro_su": 3}

    def test_officers_of_a_funder(self, uow: UnitOfWork) -> None:
        moeys, bank = (uow.grants.funder(name) for name in ("moeys", "worldbank"))
        assert moeys is not None
        assert bank is not None
        mony, nary = user(uow, "mony"), user(uow, "nary")
        assert uow.oversight.officers(moeys.id) == [mony]
        assert uow.oversight.funders_of(mony) == {moeys.id}
        assert not uow.oversight.add_officer(mony, moeys.id, NOW)
        assert uow.oversight.add_officer(mony, bank.id, NOW)
        assert uow.oversight.add_officer(nary, bank.id, NOW)
        assert uow.oversight.funders_of(mony) == {moeys.id, bank.id}
        assert uow.oversight.officers(bank.id) == sorted([mony, nary])
        assert uow.oversight.remove_officer(mony, bank.id)
        assert not uow.oversight.remove_officer(mony, bank.id)
        assert uow.oversight.officers(bank.id) == [nary]
        assert uow.grants.grants_of(frozenset({moeys.id})) == {1}
        assert uow.grants.grants_of(frozenset()) == frozenset()
