"""Many decide at once, beside the planner: each thing is done once, nothing is given twice, and nobody waits in a circle."""

import random
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from domain.allocations import ChangeKind
from domain.errors import BarayError, Conflict
from domain.quantities import MICRO
from lifecycle import changes
from lifecycle.effects import Wish
from lifecycle.lookout import Lookout
from lifecycle.schedule import schedule
from lifecycle.terms import InstalmentAsked, PartAsked
from tests.lifecycle.test_changes import ask
from tests.lifecycle.test_limits_hold import WRITERS, at_once
from tests.lifecycle.test_requests import SPAN, TERMS, allocate, grants_left, left
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import resources, spec

# What a rule says no with. Anything else would be a deadlock, or a bug.
REFUSALS = {"allocation-exceeded", "grant-exceeded", "wrong-state", "jobs-running", "invalid", "conflict"}


@pytest.mark.promise(3)
def test_what_is_left_goes_to_one_of_many(centre: Centre) -> None:
    """500 SU: of eight who move 300 of them elsewhere, split them off or give them back, one does."""
    one, flood = allocate(centre), centre.population.allocations["flood"]
    stores = [centre.database.store() for _ in range(WRITERS)]
    caller, now_ms = centre.caller("chanthy"), centre.clock.now_ms()
    kinds = [ChangeKind.TRANSFER, ChangeKind.SPLIT, ChangeKind.RECLAIM]

    def take(number: int) -> str:
        kind = kinds[number % 3]
        wish = Wish(300 * MICRO, to=flood if kind is ChangeKind.TRANSFER else None)
        with stores[number].write() as uow:
            changes.decide(uow, caller, one.id, kind, wish, "a race", None, now_ms)
        return "done"

    assert sorted(map(str, at_once(WRITERS, take))) == ["allocation-exceeded"] * 7 + ["done"]
    assert left(centre, one.id) == {"allocation": 200}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_an_instalment_is_released_to_one_of_many(centre: Centre) -> None:
    plan = (InstalmentAsked(100 * MICRO), InstalmentAsked(400 * MICRO, on_report=True))
    one = allocate(centre, terms=replace(TERMS, instalments=plan))
    stores = [centre.database.store() for _ in range(WRITERS)]
    caller, now_ms = centre.caller("chanthy"), centre.clock.now_ms()

    def release(number: int) -> str:
        with stores[number].write() as uow:
            changes.decide(uow, caller, one.id, ChangeKind.RELEASE, Wish(number=2), "the report is good", None, now_ms)
        return "done"

    assert sorted(map(str, at_once(WRITERS, release))) == ["already-released"] * 7 + ["done"]
    assert left(centre, one.id) == {"allocation": 500, "committed": 0}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_a_change_is_approved_by_one_of_many(centre: Centre) -> None:
    before = grants_left(centre)
    change = ask(centre, centre.population.allocations["flood"], ChangeKind.TOP_UP, "rith", micro_su=100 * MICRO)
    stores = [centre.database.store() for _ in range(WRITERS)]
    caller, now_ms = centre.caller("chanthy"), centre.clock.now_ms()

    def approve(number: int) -> str:
        with stores[number].write() as uow:
            changes.approve(uow, caller, change.id, (), "fine", None, now_ms)
        return "done"

    assert sorted(map(str, at_once(WRITERS, approve))) == ["already-decided"] * 7 + ["done"]
    assert grants_left(centre)["moeys-2026"] == before["moeys-2026"] - 100
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
@pytest.mark.promise(4)
def test_deciders_and_the_planner_do_not_wait_for_one_another_in_a_circle(centre: Centre) -> None:
    """Every kind of change on four allocations of two grants, by six at once, while two plan and start jobs."""
    numbers = [allocate(centre).id, allocate(centre).id, *list(centre.population.allocations.values())[:2]]
    for n in range(60):
        centre.submit(
            spec(("speech", "vision")[n % 2], needs=resources(1, walltime="3h"), command="run 1h"),
            "dara" if n % 2 == 0 else "admin",
        )
    stores = [centre.database.store() for _ in range(WRITERS)]
    caller, now_ms = centre.caller("chanthy"), centre.clock.now_ms()
    over = threading.Event()

    def work(number: int) -> list[str]:
        if number < 2:
            while not over.is_set():
                # Two plan here, as no two leaders do: one may find its job started. A deadlock is no Conflict.
                with suppress(Conflict):
                    schedule(Lookout(stores[number]), centre.epoch, now_ms)
            return []
        dice, told = random.Random(number), []
        for turn in range(40):  # what is closed stays so: that comes last
            kind = dice.choice(_REPEATED) if turn < 38 else ChangeKind.CLOSE
            wish = Wish(
                dice.randint(1, 9) * MICRO if kind in _WITH_AMOUNT else None,
                to=dice.choice(numbers) if kind is ChangeKind.TRANSFER else None,
                ends_ms=SPAN[1] + dice.randint(1, 10**9) if kind is ChangeKind.EXTEND else None,
                sources=tuple(PartAsked(name, MICRO) for name in dice.sample(["moeys-2026", "wb-77"], 2))
                if kind is ChangeKind.TOP_UP
                else (),
            )
            try:
                with stores[number].write() as uow:
                    changes.decide(uow, caller, dice.choice(numbers), kind, wish, "a race", None, now_ms)
                told.append("done")
            except BarayError as error:
                told.append(error.code)
        return told

    def until_all_are_done(number: int) -> list[str]:
        try:
            return work(number)
        finally:
            if number >= 2 and next(finished) == WRITERS - 2:
                over.set()

    finished = iter(range(1, WRITERS))
    answers = at_once(WRITERS, until_all_are_done)
    said = [code for told in answers if isinstance(told, list) for code in told]
    assert all(isinstance(told, list) for told in answers), answers
    assert set(said) <= REFUSALS | {"done"}, set(said)
    assert said.count("done") > 30
    assert_sound(centre.database, centre.store)


_REPEATED = [kind for kind in ChangeKind if kind not in {ChangeKind.RELEASE, ChangeKind.CLOSE}]
_WITH_AMOUNT = {ChangeKind.TRANSFER, ChangeKind.SPLIT, ChangeKind.RECLAIM}
