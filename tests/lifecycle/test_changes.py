"""What happens to an allocation afterwards: each change asked for and decided, or decided at once, and by nobody for themselves."""

from dataclasses import replace

import pytest

from domain.accounts import AccountState
from domain.allocations import Allocation, AllocationState, Change, ChangeKind, ChangeState
from domain.errors import BarayError, Conflict, Invalid, NotAllowed, NotFound, Refused, Stale
from domain.jobs import JobState
from domain.quantities import DAY_MS, MICRO
from lifecycle import allocations, changes, decisions, people
from lifecycle.effects import Outcome, Wish
from lifecycle.terms import InstalmentAsked, PartAsked
from tests.lifecycle.test_allocations import reasons
from tests.lifecycle.test_requests import SPAN, TERMS, allocate, get, grants_left, left, steps
from tests.support.audit import assert_sound
from tests.support.centre import EVERY, Centre
from tests.support.factories import resources, spec

K = ChangeKind


def decide(centre: Centre, allocation: int, kind: ChangeKind, user: str = "chanthy", **wish: object) -> Outcome:
    caller = centre.caller(user)
    expected = wish.pop("expected", None)
    with centre.store.write() as uow:
        return changes.decide(
            uow, caller, allocation, kind, Wish(**wish), "so decided", expected, centre.clock.now_ms()
        )


def ask(centre: Centre, allocation: int, kind: ChangeKind, user: str = "dara", **wish: object) -> Change:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        return changes.ask(uow, caller, allocation, kind, Wish(**wish), "please", None, centre.clock.now_ms())


def approve(centre: Centre, change: int, *sources: PartAsked, user: str = "chanthy") -> Outcome:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        return changes.approve(uow, caller, change, sources, "fine", None, centre.clock.now_ms())[1]


def test_a_top_up_takes_of_the_grants_that_are_named_or_in_proportion(centre: Centre) -> None:
    one = allocate(centre)
    assert (
        decide(centre, one.id, K.TOP_UP, sources=(PartAsked("wb-77", 50 * MICRO),)).allocation.micro_su == 550 * MICRO
    )
    after = decide(centre, one.id, K.TOP_UP, micro_su=55 * MICRO).allocation
    assert [source.micro_su for source in after.sources] == [330 * MICRO, 275 * MICRO], "300 to 250"
    assert left(centre, one.id) == {"allocation": 605}
    with pytest.raises(Refused, match="has 8324 SU left"):
        decide(centre, one.id, K.TOP_UP, sources=(PartAsked("wb-77", 8_325 * MICRO),))
    assert_sound(centre.database, centre.store)


def test_an_extension_is_later_and_within_every_grant(centre: Centre) -> None:
    one = allocate(centre)
    later = SPAN[1] + 100 * DAY_MS
    assert decide(centre, one.id, K.EXTEND, ends_ms=later).allocation.ends_ms == later
    for ends_ms, words in ((later, "ends later"), (later - 1, "ends later"), (later + 300 * DAY_MS, "does not cover")):
        with pytest.raises(Invalid, match=words):
            decide(centre, one.id, K.EXTEND, ends_ms=ends_ms)


@pytest.mark.promise(4)
def test_a_transfer_takes_its_grants_along(centre: Centre) -> None:
    one, flood = allocate(centre), centre.population.allocations["flood"]
    outcome = decide(centre, one.id, K.TRANSFER, micro_su=50 * MICRO, to=flood)
    assert outcome.other is not None
    assert [source.micro_su // MICRO for source in outcome.allocation.sources] == [270, 180]
    assert [(source.grant_id, source.micro_su // MICRO) for source in outcome.other.sources] == [(1, 1_030), (2, 20)]
    assert (left(centre, one.id), left(centre, flood)) == ({"allocation": 450}, {"allocation": 1_050})
    assert (steps(centre, one.id)[-1][0], steps(centre, flood)[-1][0]) == ("transfer", "receive")
    assert_sound(centre.database, centre.store)
    for wish, words in (
        ({"micro_su": 451 * MICRO, "to": flood}, f"allocation {one.id} has 450 SU available, not 451"),
        ({"micro_su": 0, "to": flood}, "above 0"),
        ({"micro_su": -MICRO, "to": flood}, "above 0"),
        ({"micro_su": 1, "to": one.id}, "to itself"),
        ({"micro_su": 1, "to": 99}, "there is no allocation 99"),
    ):
        with pytest.raises(BarayError, match=words):
            decide(centre, one.id, K.TRANSFER, **wish)


@pytest.mark.promise(4)
def test_a_part_is_split_off_for_another_project(centre: Centre) -> None:
    one, vision = allocate(centre), centre.population.projects["vision"]
    made = decide(centre, one.id, K.SPLIT, micro_su=100 * MICRO, project_id=vision, ends_ms=SPAN[1] - DAY_MS).other
    assert made is not None
    assert made == get(centre, made.id)
    assert (made.project_id, made.state, made.ends_ms) == (vision, AllocationState.ACTIVE, SPAN[1] - DAY_MS)
    assert (left(centre, one.id), left(centre, made.id)) == ({"allocation": 400}, {"allocation": 100})
    later = decide(centre, one.id, K.SPLIT, micro_su=1, starts_ms=SPAN[0] + DAY_MS).other
    assert later is not None
    assert (later.state, later.project_id) == (AllocationState.APPROVED, one.project_id)
    with pytest.raises(Invalid, match="does not cover"):
        decide(centre, one.id, K.SPLIT, micro_su=1, ends_ms=SPAN[1] + 300 * DAY_MS)
    with pytest.raises(Invalid, match="ends before it starts"):
        decide(centre, one.id, K.SPLIT, micro_su=1, starts_ms=SPAN[1])
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_what_is_reclaimed_is_the_grants_again(centre: Centre) -> None:
    before = grants_left(centre)
    one = allocate(centre)
    after = decide(centre, one.id, K.RECLAIM, micro_su=100 * MICRO).allocation
    assert [(source.micro_su // MICRO, source.returned // MICRO) for source in after.sources] == [(300, 60), (200, 40)]
    decide(centre, one.id, K.RECLAIM, micro_su=400 * MICRO)
    assert steps(centre, one.id)[-1] == ("reclaim", "chanthy", "so decided")
    assert grants_left(centre) == before
    assert_sound(centre.database, centre.store)


def test_nothing_starts_on_what_is_suspended_until_it_is_resumed(centre: Centre) -> None:
    flood = centre.population.allocations["flood"]
    job = centre.submit(spec("flood", needs=resources(1), command="run 1h"), "rith").id
    decide(centre, flood, K.SUSPEND)
    centre.settle()
    assert (centre.job(job).state, reasons(centre, job)) == (JobState.PENDING, ["allocation-suspended"])
    with pytest.raises(Conflict, match="it cannot be suspended"):
        decide(centre, flood, K.SUSPEND)
    assert decide(centre, flood, K.RESUME).allocation.state is AllocationState.ACTIVE
    centre.settle()
    assert centre.job(job).state is JobState.RUNNING
    with pytest.raises(Conflict, match="it cannot be resumed"):
        decide(centre, flood, K.RESUME)


@pytest.mark.promise(4)
def test_nothing_is_closed_under_a_running_job(centre: Centre) -> None:
    flood, before = centre.population.allocations["flood"], grants_left(centre)
    jobs = [centre.submit(spec("flood", needs=resources(1), command="run 1h"), "rith").id for _ in range(2)]
    centre.settle()
    rows = centre.database.dump()
    with pytest.raises(Refused, match=f"jobs {jobs[0]}, {jobs[1]} run on allocation {flood}") as refused:
        decide(centre, flood, K.CLOSE)
    assert refused.value.code == "jobs-running"
    assert centre.database.dump() == rows
    centre.control("cancel", jobs[0])
    centre.settle()
    with pytest.raises(Refused, match=f"job {jobs[1]} runs on allocation {flood}"):
        decide(centre, flood, K.CLOSE)
    centre.run()
    closed = decide(centre, flood, K.CLOSE).allocation
    assert (closed.state, closed.returned) == (AllocationState.CLOSED, 998 * MICRO)
    assert grants_left(centre)["moeys-2026"] == before["moeys-2026"] + 998
    for kind in K:
        wish = {"micro_su": 1, "to": 1, "ends_ms": SPAN[1] + 9, "number": 1}
        with pytest.raises(Conflict, match=f"allocation {flood} is closed"):
            decide(centre, flood, kind, **wish)
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_an_instalment_is_released_once_when_its_report_is_accepted(centre: Centre) -> None:
    plan = (
        InstalmentAsked(200 * MICRO),
        InstalmentAsked(100 * MICRO, on_report=True),
        InstalmentAsked(200 * MICRO, SPAN[0] + DAY_MS),
    )
    one = allocate(centre, terms=replace(TERMS, instalments=plan))
    decide(centre, one.id, K.RELEASE, number=2)
    assert left(centre, one.id) == {"allocation": 300, "committed": 200}
    for number in (1, 2):
        with pytest.raises(Conflict, match=f"instalment {number} of allocation {one.id} is released already"):
            decide(centre, one.id, K.RELEASE, number=number)
    with pytest.raises(Invalid, match="has no instalment 9"):
        decide(centre, one.id, K.RELEASE, number=9)
    with pytest.raises(Refused, match="has 300 SU available"):
        decide(centre, one.id, K.RECLAIM, micro_su=301 * MICRO)
    before = grants_left(centre)
    decide(centre, one.id, K.CLOSE)
    assert sum(grants_left(centre).values()) - sum(before.values()) == 500, (
        "what was promised and not paid goes back too"
    )
    assert_sound(centre.database, centre.store)


def test_a_change_is_asked_for_and_decided_by_another(centre: Centre) -> None:
    one = allocate(centre)
    change = ask(centre, one.id, K.TOP_UP, micro_su=100 * MICRO)
    assert left(centre, one.id) == {"allocation": 500}
    with pytest.raises(Invalid, match="101 SU are more than was asked for, 100"):
        approve(centre, change.id, PartAsked("wb-77", 101 * MICRO))
    approve(centre, change.id, PartAsked("wb-77", 60 * MICRO))
    assert left(centre, one.id) == {"allocation": 560}
    assert steps(centre, one.id)[1:] == [("request", "dara", "please"), ("top-up", "chanthy", "fine")]
    with centre.store.read() as uow:
        settled = uow.allocations.change(change.id)
        assert settled is not None
        assert (settled.state, settled.answer) == (ChangeState.APPROVED, "fine")
        assert uow.allocations.decisions(one.id, EVERY)[-1].facts["change"] == change.id
    for act in (approve, decline, withdraw):
        with pytest.raises(Conflict, match=f"change {change.id} is approved already"):
            act(centre, change.id)


@pytest.mark.promise(3)
def test_no_more_is_granted_than_was_asked_for_of_named_grants(centre: Centre) -> None:
    one = allocate(centre)
    with pytest.raises(Invalid, match="an amount or a share"):
        ask(centre, one.id, K.TOP_UP, sources=(PartAsked("wb-77"),))
    change = ask(centre, one.id, K.TOP_UP, sources=(PartAsked("wb-77", 100 * MICRO),))
    with pytest.raises(Invalid, match="101 SU are more than was asked for, 100"):
        approve(centre, change.id, PartAsked("moeys-2026", 101 * MICRO))
    approve(centre, change.id, PartAsked("moeys-2026", share=1_000_000))
    assert left(centre, one.id) == {"allocation": 600}


def test_what_waits_for_a_decision_is_bounded(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decisions, changes, allocations):
        monkeypatch.setattr(module, "WAITING_MOST", 2)
    one, now_ms = allocate(centre), centre.clock.now_ms()
    first, _ = (ask(centre, one.id, K.SUSPEND) for _ in range(2))
    with pytest.raises(Refused, match="2 requests of project speech wait"):
        ask(centre, one.id, K.SUSPEND)
    decline(centre, first.id)
    ask(centre, one.id, K.SUSPEND)
    with centre.store.write() as uow:
        speech, dara = uow.directory().by_name["speech"], centre.caller("dara")
        for _ in range(2):
            allocations.request(uow, dara, speech, MICRO, *SPAN, "more", now_ms)
        with pytest.raises(Refused, match="2 requests of project speech wait"):
            allocations.request(uow, dara, speech, MICRO, *SPAN, "more", now_ms)


def test_what_is_closed_is_given_nothing_more(centre: Centre) -> None:
    one, vision = allocate(centre), centre.population.projects["vision"]
    with centre.store.write() as uow:
        uow.accounts.update(replace(uow.directory().tree.accounts[vision], state=AccountState.CLOSED))
    with pytest.raises(Conflict, match="project vision is closed"):
        decide(centre, one.id, K.SPLIT, micro_su=MICRO, project_id=vision)
    with centre.store.write() as uow, pytest.raises(Conflict, match="project vision is closed"):
        allocations.allocate(uow, centre.caller("chanthy"), "vision", TERMS, "agreed", centre.clock.now_ms())


def decline(centre: Centre, change: int, user: str = "chanthy") -> Change:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        return changes.decline(uow, caller, change, "no", None, centre.clock.now_ms())


def withdraw(centre: Centre, change: int, user: str = "dara") -> Change:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        return changes.withdraw(uow, caller, change, "no more", None, centre.clock.now_ms())


def test_a_change_is_declined_or_withdrawn(centre: Centre) -> None:
    one = allocate(centre)
    declined, withdrawn = (ask(centre, one.id, K.EXTEND, ends_ms=SPAN[1] + DAY_MS).id for _ in range(2))
    with pytest.raises(NotAllowed, match="only who asked"):
        withdraw(centre, withdrawn, "sok")
    assert decline(centre, declined).state is ChangeState.DECLINED
    assert withdraw(centre, withdrawn).state is ChangeState.WITHDRAWN
    assert [step for step, _, _ in steps(centre, one.id)] == ["allocate", "request", "request", "decline", "withdraw"]
    with pytest.raises(NotFound, match="there is no change 99"):
        decline(centre, 99)


@pytest.mark.parametrize("kind", K)
def test_what_cannot_be_is_not_even_asked_for(centre: Centre, kind: ChangeKind) -> None:
    wish = {
        K.TOP_UP: {"micro_su": 0}, K.EXTEND: {"ends_ms": 1}, K.TRANSFER: {"micro_su": 10**15, "to": 1},
        K.SPLIT: {"micro_su": 10**13}, K.RECLAIM: {"micro_su": 10**13}, K.RELEASE: {"number": 3},
    }  # fmt: skip
    one = allocate(centre)
    if kind in {K.SUSPEND, K.CLOSE, K.RESUME}:
        decide(centre, one.id, K.CLOSE)
    before = centre.database.dump()
    with pytest.raises(BarayError):
        ask(centre, one.id, kind, **wish.get(kind, {}))
    assert centre.database.dump() == before


@pytest.mark.promise(8)
@pytest.mark.parametrize("role", ["lead", "member"])
def test_nobody_changes_what_is_for_their_own_project(centre: Centre, role: str) -> None:
    """Nor what would be moved into it, nor what they asked for themselves."""
    one, flood = allocate(centre), centre.population.allocations["flood"]
    moved = ask(centre, one.id, K.TRANSFER, micro_su=MICRO, to=flood)
    with centre.store.write() as uow:
        people.give_role(uow, "chanthy", "flood", role, centre.clock.now_ms())
    project = centre.population.projects["flood"]
    before = centre.database.dump()
    for number, kind, wish in (
        (flood, K.TOP_UP, {"micro_su": MICRO}),
        (flood, K.CLOSE, {}),
        (one.id, K.TRANSFER, {"micro_su": MICRO, "to": flood}),
        (one.id, K.SPLIT, {"micro_su": MICRO, "project_id": project}),
    ):
        with pytest.raises(Refused, match="lead or member of project flood") as refused:
            decide(centre, number, kind, **wish)
        assert refused.value.code == "own-decision"
    for act in (approve, decline):
        with pytest.raises(Refused, match="lead or member of project flood"):
            act(centre, moved.id)
    assert centre.database.dump() == before
    own = ask(centre, one.id, K.SUSPEND, "chanthy")
    for act in (approve, decline):
        with pytest.raises(Refused, match="nobody decides what they asked for"):
            act(centre, own.id)


def test_who_saw_another_version_changes_nothing(centre: Centre) -> None:
    one: Allocation = allocate(centre)
    decide(centre, one.id, K.SUSPEND, expected=one.version)
    with pytest.raises(Stale):
        decide(centre, one.id, K.CLOSE, expected=one.version)
