"""Allocations that are asked for: decided by somebody else, on terms that add up, each step written down."""

from dataclasses import replace

import pytest

from domain.allocations import Allocation, AllocationState, Instalment, Source
from domain.errors import BarayError, Conflict, Invalid, NotAllowed, NotFound, Refused, Stale
from domain.people import UserKind
from domain.quantities import DAY_MS, MICRO
from lifecycle import allocations, people
from lifecycle.impartial import PART_KEPT_MS, has_part
from lifecycle.terms import InstalmentAsked, PartAsked, Terms
from tests.support.audit import assert_sound
from tests.support.centre import EVERY, Centre
from tests.support.clock import NEW_YEAR_MS

SPAN = (NEW_YEAR_MS, NEW_YEAR_MS + 100 * DAY_MS)
PAID = (PartAsked("moeys-2026", 300 * MICRO), PartAsked("wb-77", 200 * MICRO))
TERMS = Terms(PAID, *SPAN)


def ask(centre: Centre, user: str = "dara", su: int = 500, span: tuple[int, int] = SPAN) -> int:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        speech = uow.directory().by_name["speech"]
        return allocations.request(uow, caller, speech, su * MICRO, *span, "a larger model", centre.clock.now_ms()).id


def approve(centre: Centre, number: int, terms: Terms = TERMS, user: str = "chanthy", **given: object) -> Allocation:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        return allocations.approve(
            uow, caller, number, terms, "good work", given.get("expected"), centre.clock.now_ms()
        )


def get(centre: Centre, number: int) -> Allocation:
    with centre.store.read() as uow:
        found = uow.allocations.get(number)
    assert found is not None
    return found


def steps(centre: Centre, number: int) -> list[tuple[str, str | None, str]]:
    """Of the record: what, by whom, why."""
    with centre.store.read() as uow:
        found = uow.allocations.decisions(number, EVERY)
        names = uow.people.user_names([one.user_id for one in found if one.user_id])
    return [(one.step.value, names.get(one.user_id or 0), one.reason) for one in found]


def left(centre: Centre, number: int) -> dict[str, int]:
    with centre.store.read() as uow:
        return {kind: su // MICRO for (_, kind), su in uow.ledger.balances([number]).items()}


def grants_left(centre: Centre) -> dict[str, int]:
    with centre.store.read() as uow:
        found = uow.ledger.grant_balances(list(centre.population.grants.values()))
    return {name: found[number] // MICRO for name, number in centre.population.grants.items()}


def test_a_request_moves_nothing_until_somebody_else_approves_it(centre: Centre) -> None:
    before = grants_left(centre)
    number = ask(centre)
    asked = get(centre, number)
    assert (asked.state, asked.asked, asked.sources) == (AllocationState.REQUESTED, 500 * MICRO, ())
    assert grants_left(centre) == before
    assert left(centre, number) == {}
    decided = approve(centre, number, expected=asked.version)
    assert decided == get(centre, number)
    assert decided.state is AllocationState.ACTIVE
    assert decided.sources == (Source(1, 300 * MICRO), Source(2, 200 * MICRO))
    assert left(centre, number) == {"allocation": 500}
    assert steps(centre, number) == [("request", "dara", "a larger model"), ("approve", "chanthy", "good work")]
    assert_sound(centre.database, centre.store)


def test_what_begins_later_is_approved_and_not_to_be_spent_yet(centre: Centre) -> None:
    later = (NEW_YEAR_MS + DAY_MS, SPAN[1])
    number = ask(centre, span=later)
    assert approve(centre, number, Terms(PAID, *later)).state is AllocationState.APPROVED
    with centre.store.read() as uow:
        speech = centre.population.projects["speech"]
        now, then = (uow.ledger.available(at_ms)[speech] for at_ms in (later[0] - 1, later[0]))
    assert then - now == 500 * MICRO


@pytest.mark.promise(8)
def test_nobody_approves_their_own(centre: Centre) -> None:
    """Neither what they asked for, nor what is for a project in which they have a part."""
    own = ask(centre, "chanthy")
    for act in (approve, decline):
        with pytest.raises(Refused, match="nobody decides what they asked for") as refused:
            act(centre, own)
        assert refused.value.code == "own-request"
    for role in ("lead", "member"):
        with centre.store.write() as uow:
            people.give_role(uow, "chanthy", "speech", role, centre.clock.now_ms())
        theirs = ask(centre)
        for act in (approve, decline, allocate):
            before = centre.database.dump()
            with pytest.raises(Refused, match="lead or member of project speech") as refused:
                act(centre, theirs)
            assert refused.value.code == "own-decision"
            assert centre.database.dump() == before
        with centre.store.write() as uow:
            people.take_role(uow, "chanthy", "speech", role, centre.clock.now_ms())
    with pytest.raises(
        Refused, match="lead or member of project speech"
    ):  # leaving, deciding and coming back is no way
        approve(centre, theirs)
    centre.clock.advance(ms=PART_KEPT_MS)
    assert approve(centre, theirs).state is AllocationState.ACTIVE


@pytest.mark.promise(8)
def test_a_part_lasts_as_long_as_its_role_and_ninety_days(centre: Centre) -> None:
    """A role that ended by itself, above the project, counts like one that was taken."""
    ends_ms = centre.clock.now_ms() + 1_000
    with centre.store.write() as uow:
        people.give_role(uow, "chanthy", "cadt", "member", centre.clock.now_ms(), ends_ms)
    theirs = ask(centre)
    centre.clock.set(ends_ms + PART_KEPT_MS - 1)
    with pytest.raises(Refused, match="lead or member of project speech"):
        approve(centre, theirs)
    centre.clock.set(ends_ms + PART_KEPT_MS)
    assert approve(centre, theirs).state is AllocationState.ACTIVE


@pytest.mark.promise(8)
def test_a_program_has_the_part_of_who_answers_for_it(centre: Centre) -> None:
    chanthy, dara = centre.caller("chanthy"), centre.caller("dara")
    machine = replace(chanthy, user=replace(chanthy.user, kind=UserKind.SERVICE, owner_id=dara.user.id))
    with centre.store.read() as uow:
        speech, flood = (centre.population.projects[name] for name in ("speech", "flood"))
        assert has_part(uow, machine, speech, centre.clock.now_ms())
        assert not has_part(uow, machine, flood, centre.clock.now_ms())
        assert not has_part(uow, chanthy, speech, centre.clock.now_ms())


def decline(centre: Centre, number: int, user: str = "chanthy") -> Allocation:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        return allocations.decline(uow, caller, number, "too much", None, centre.clock.now_ms())


def withdraw(centre: Centre, number: int, user: str = "dara") -> Allocation:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        return allocations.withdraw(uow, caller, number, "not needed", None, centre.clock.now_ms())


def allocate(centre: Centre, _number: int = 0, terms: Terms = TERMS) -> Allocation:
    caller = centre.caller("chanthy")
    with centre.store.write() as uow:
        return allocations.allocate(uow, caller, "speech", terms, "agreed by the board", centre.clock.now_ms())


def test_a_request_is_declined_or_withdrawn_by_who_may_and_then_it_is_over(centre: Centre) -> None:
    declined, withdrawn = ask(centre), ask(centre)
    with pytest.raises(NotAllowed, match="only who asked"):
        withdraw(centre, withdrawn, "kosal")
    assert decline(centre, declined).state is AllocationState.DECLINED
    assert withdraw(centre, withdrawn).state is AllocationState.WITHDRAWN
    assert steps(centre, withdrawn)[-1] == ("withdraw", "dara", "not needed")
    for number in (declined, withdrawn):
        for act in (approve, decline, withdraw):
            with pytest.raises(Conflict, match="it cannot be") as refused:
                act(centre, number)
            assert refused.value.code == "wrong-state"
    assert_sound(centre.database, centre.store)


def test_less_may_be_given_than_was_asked_for_and_not_more(centre: Centre) -> None:
    with pytest.raises(Invalid, match="500 SU are more than was asked for, 400"):
        approve(centre, ask(centre, su=400))
    given = approve(centre, ask(centre, su=1_000))
    assert (given.micro_su, given.asked) == (500 * MICRO, 1_000 * MICRO)


def test_who_saw_another_version_decides_nothing(centre: Centre) -> None:
    number = ask(centre)
    with pytest.raises(Stale):
        approve(centre, number, expected=9)
    with pytest.raises(NotFound, match="no allocation 99"):
        approve(centre, 99)


def test_grants_may_pay_shares_of_a_whole(centre: Centre) -> None:
    parts = (PartAsked("moeys-2026", share=333_333), PartAsked("wb-77", share=666_667))
    given = allocate(centre, terms=Terms(parts, *SPAN, micro_su=100))
    assert [source.micro_su for source in given.sources] == [33, 67], "by largest remainder"
    assert steps(centre, given.id) == [("allocate", "chanthy", "agreed by the board")]


def test_the_first_instalment_is_paid_at_once_and_the_rest_is_committed(centre: Centre) -> None:
    before = grants_left(centre)
    plan = (
        InstalmentAsked(250 * MICRO),
        InstalmentAsked(150 * MICRO, SPAN[0] + DAY_MS),
        InstalmentAsked(100 * MICRO, on_report=True),
    )
    given = allocate(centre, terms=replace(TERMS, instalments=plan))
    assert given.instalments == (
        Instalment(1, 250 * MICRO, None, NEW_YEAR_MS),
        Instalment(2, 150 * MICRO, SPAN[0] + DAY_MS),
        Instalment(3, 100 * MICRO, None),
    )
    assert left(centre, given.id) == {"allocation": 250, "committed": 250}
    after = grants_left(centre)
    assert {name: before[name] - after[name] for name in before} == {"moeys-2026": 300, "wb-77": 200}, "all is promised"
    assert_sound(centre.database, centre.store)


# Terms that cannot be: what is changed, the field, and what is said.
_HALVES = (PartAsked("moeys-2026", share=500_000), PartAsked("wb-77", share=400_000))
_DAY = SPAN[0] + DAY_MS
BAD: dict[str, tuple[dict[str, object], str, str]] = {
    "no grant": ({"sources": ()}, "sources", "needs a grant"),
    "a grant that is none": ({"sources": (PartAsked("no", 1),)}, "sources.0.grant", "there is no grant 'no'"),
    "a grant twice": ({"sources": (PAID[0], PAID[0])}, "sources", "named twice"),
    "nothing of a grant": ({"sources": (PAID[0], PartAsked("wb-77", 0))}, "sources.1.su", "more than 0 SU"),
    "less than nothing": ({"sources": (PartAsked("wb-77", -1),)}, "sources.0.su", "more than 0 SU"),
    "neither amount nor share": ({"sources": (PartAsked("wb-77"),)}, "sources.0", "an amount or a share"),
    "amount and share": ({"sources": (PartAsked("wb-77", 1, 1),)}, "sources.0", "an amount or a share"),
    "amounts and shares": ({"sources": (PAID[0], _HALVES[1])}, "sources", "some pay shares"),
    "shares of nothing": ({"sources": _HALVES}, "su", "which is missing"),
    "shares that do not sum to one": ({"sources": _HALVES, "micro_su": 100}, "sources", "the shares sum to 0.9, not to 1"),
    "amounts that do not sum": ({"micro_su": 400 * MICRO}, "sources", "pay 500 SU together, not 400"),
    "more than the grant has": ({"sources": (PartAsked("wb-77", 10**10),)}, "sources.0.su", "grant wb-77 has 8599 SU left"),
    "end before start": ({"starts_ms": SPAN[1], "ends_ms": SPAN[0]}, "ends_ms", "ends before it starts"),
    "over already": ({"starts_ms": 1, "ends_ms": 2}, "ends_ms", "over already"),
    "outside its grant": ({"ends_ms": SPAN[1] + 400 * DAY_MS}, "sources.0.grant", "does not cover"),
    "dated shares that do not sum": ({"shares": ((_DAY, {"wb-77": 999_999}),)}, "shares.0.shares", "sum to 0.999999"),
    "dated shares of another grant": ({"shares": ((_DAY, {"no": 10**6}),)}, "shares.0.shares", "does not pay this"),
    "dated shares outside": ({"shares": ((1, {"wb-77": 10**6}),)}, "shares.0.from_ms", "outside the allocation's time"),
    "dated shares twice": ({"shares": ((_DAY, {"wb-77": 10**6}),) * 2}, "shares.1.from_ms", "at the same time"),
    "instalments that do not sum": ({"instalments": (InstalmentAsked(1),)}, "instalments", "sum to 0.000001 SU, the allocation is 500"),
    "no instalment": ({"instalments": (InstalmentAsked(500 * MICRO), InstalmentAsked(0, _DAY))}, "instalments.1.su", "more than 0 SU"),
    "a first that is due later": ({"instalments": (InstalmentAsked(500 * MICRO, _DAY),)}, "instalments.0.due_ms", "paid at once"),
    "one that is never due": ({"instalments": (InstalmentAsked(499 * MICRO), InstalmentAsked(MICRO))}, "instalments.1.due_ms", "not said when"),
    "one that is due outside": ({"instalments": (InstalmentAsked(499 * MICRO), InstalmentAsked(MICRO, 1))}, "instalments.1.due_ms", "outside"),
    "very many": ({"instalments": (InstalmentAsked(5 * MICRO),) * 101}, "instalments", "more than 100"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_terms_that_cannot_be_are_refused_with_what_and_where(the_centre: Centre, name: str) -> None:
    changes, field, words = BAD[name]
    before = the_centre.database.dump()
    with pytest.raises(BarayError) as refused:
        allocate(the_centre, terms=replace(TERMS, **changes))
    (fault,) = refused.value.faults
    assert (fault.field, words in fault.message) == (field, True), fault
    assert the_centre.database.dump() == before


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 1_001])
def test_a_decision_needs_a_reason(the_centre: Centre, reason: str) -> None:
    caller = the_centre.caller("chanthy")
    with pytest.raises(Invalid, match="needs a reason"), the_centre.store.write() as uow:
        allocations.allocate(uow, caller, "speech", TERMS, reason, NEW_YEAR_MS)
