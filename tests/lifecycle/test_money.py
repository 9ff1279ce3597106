"""Grants in money and grants with conditions, on both databases: exchanged exactly, and spent only on what they are for."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from domain.allocations import Allocation
from domain.errors import BarayError, Conflict, Invalid, Refused
from domain.grants import Grant
from domain.jobs import Constraint, JobSpec, JobState
from domain.purses import ANYTHING, Conditions
from domain.quantities import DAY_MS, MICRO
from lifecycle import accounts, allocations, grants, prices
from lifecycle.exchange import exchanged
from quotas import funding
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import A100, H100, resources, spec

USD = 10**6  # millionths


def set_price(
    centre: Centre, amount: int, kind: str | None = None, *, currency: str = "USD", from_ms: int | None = None
):
    caller = centre.caller("chanthy")
    with centre.store.write() as uow:
        return prices.set_price(uow, caller, currency, kind, amount, "a test", centre.clock.now_ms(), from_ms)


def add_grant(
    centre: Centre, name: str, amount: int, *, currency: str | None = None, conditions: Conditions = ANYTHING
) -> Grant:
    now_ms = centre.clock.now_ms()
    with centre.store.write() as uow:
        return grants.add_grant(
            uow, name, "moeys", amount, now_ms - DAY_MS, now_ms + 90 * DAY_MS, now_ms,
            currency=currency, conditions=conditions,
        )  # fmt: skip


def add_allocation(centre: Centre, project: str, *sources: tuple[str, int]) -> Allocation:
    now_ms = centre.clock.now_ms()
    with centre.store.write() as uow:
        return allocations.add_allocation(uow, project, list(sources), now_ms, now_ms + 90 * DAY_MS, now_ms)


def close_all(centre: Centre) -> None:
    """Take away what the small centre's projects have, so that only what a test gives them is left."""
    execute(centre, "UPDATE allocation SET ends_ms = starts_ms + 1")


def execute(centre: Centre, statement: str) -> None:
    with centre.database.connect(writes=True) as connection:
        connection.execute(text(statement))


def figures(centre: Centre, grant: Grant):
    with centre.store.read() as uow:
        return uow.grants.figures([grant.id])[grant.id]


# Prices.


def test_a_price_begins_now_or_later_but_for_the_first(centre: Centre) -> None:
    now_ms = centre.clock.now_ms()
    set_price(centre, 2 * USD, from_ms=now_ms - DAY_MS)
    set_price(centre, USD, "startup", from_ms=5)
    with pytest.raises(Invalid, match="in the past"):
        set_price(centre, 3 * USD, from_ms=now_ms - 1)
    set_price(centre, 3 * USD, from_ms=now_ms + DAY_MS)
    with pytest.raises(Conflict, match="at that time already"):
        set_price(centre, 4 * USD, from_ms=now_ms + DAY_MS)
    project = centre.population.projects["speech"]
    with centre.store.read() as uow:
        assert prices.prices_of(uow.directory(), project, now_ms) == {"USD": 2 * USD}
        assert prices.prices_of(uow.directory(), project, now_ms + DAY_MS) == {"USD": 3 * USD}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"currency": "usd"}, "currency"),
        ({"currency": "XYZ"}, "currency"),
        ({"kind": "bank"}, "tenant_kind"),
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 10**16}, "amount"),
        ({"from_ms": 2**52}, "from_ms"),
    ],
)
def test_prices_that_there_cannot_be(centre: Centre, given: dict, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        set_price(centre, **{"amount": USD, **given})
    assert caught.value.faults[0].field == field


# Grants in money.


@pytest.mark.promise(4)
def test_money_becomes_su_at_the_price_of_the_tenants_kind_and_comes_back(centre: Centre) -> None:
    set_price(centre, 3 * USD)
    set_price(centre, USD // 3, "institute")
    grant = add_grant(centre, "adb", 1_000 * USD, currency="USD")
    dear = add_allocation(centre, "speech", ("adb", 100 * MICRO + 1))  # a university's
    cheap = add_allocation(centre, "flood", ("adb", 30 * MICRO))  # an institute's
    found = figures(centre, grant)
    assert found.left == 1_000 * USD - (300 * USD + 3) - (10 * USD - 10)
    assert found.allocated == 130 * MICRO + 1
    assert found.allocated_money == 1_000 * USD - found.left
    assert_sound(centre.database, centre.store)
    now_ms = centre.clock.now_ms()
    for one, parts in ((dear, (MICRO // 7, 100 * MICRO + 1 - MICRO // 7)), (cheap, (1, 30 * MICRO - 1))):
        for n, part in enumerate(parts):
            with centre.store.write() as uow:
                back = funding.give_back(one.id, n, {grant.id: part}, {}, now_ms)
                uow.ledger.post(exchanged(uow, [back], now_ms), {})
            execute(centre, f"UPDATE allocation_source SET returned = returned + {part} WHERE allocation_id = {one.id}")
    assert figures(centre, grant).left == 1_000 * USD
    assert figures(centre, grant).allocated_money == 0


def test_a_grant_in_money_needs_a_price_and_money_enough(centre: Centre) -> None:
    add_grant(centre, "adb", 10 * USD, currency="KHR")
    with pytest.raises(Invalid, match="no price in KHR for university now"):
        add_allocation(centre, "speech", ("adb", MICRO))
    set_price(centre, 4 * USD, "university", currency="KHR")
    with pytest.raises(Refused, match=r"adb has 2\.5 SU left"):
        add_allocation(centre, "speech", ("adb", 3 * MICRO))
    add_allocation(centre, "speech", ("adb", 2 * MICRO), ("wb-77", 7 * MICRO))
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_jobs_are_paid_of_a_grant_in_money_as_of_any_other(centre: Centre) -> None:
    close_all(centre)
    set_price(centre, 2 * USD)
    grant = add_grant(centre, "adb", 100 * USD, currency="USD")
    add_allocation(centre, "speech", ("adb", 20 * MICRO))
    job = centre.submit(spec(command="run 30m"))
    centre.run()
    assert centre.job(job.id).state is JobState.SUCCEEDED
    found = figures(centre, grant)
    assert (found.consumed, found.consumed_money) == (MICRO, 2 * USD)
    assert found.left == 60 * USD


# Conditions.


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        (Conditions(("b200",)), "conditions.flavors"),
        (Conditions(sectors=("fishing",)), "conditions.sectors"),
        (Conditions(classification="secret"), "conditions.classification"),
    ],
)
def test_conditions_that_nobody_knows_are_refused(centre: Centre, conditions: Conditions, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        add_grant(centre, "odd", MICRO, conditions=conditions)
    assert [fault.field for fault in caught.value.faults] == [field]


def test_a_tenant_of_another_sector_gets_nothing_of_the_grant(centre: Centre) -> None:
    with centre.store.write() as uow:
        accounts.add_tenant(uow, "hospital", "H", "ministry", "health", None, 1)
        accounts.add_project(uow, "scan", "hospital", "Scan", None, 1)
    add_grant(centre, "who", 100 * MICRO, conditions=Conditions(sectors=("health",)))
    with pytest.raises(Conflict, match="cadt is in education, and grant who pays only for tenants in health"):
        add_allocation(centre, "speech", ("who", MICRO))
    add_allocation(centre, "scan", ("who", MICRO))


def test_nothing_is_allocated_of_a_grant_that_is_suspended_or_closed(centre: Centre) -> None:
    def set_state(state: str) -> None:
        with centre.store.write() as uow:
            found = uow.grants.grant_named("wb-77")
            assert found is not None
            grants.change_state(uow, found, state, None)

    set_state("suspended")
    with pytest.raises(Conflict, match="wb-77 is suspended"):
        add_allocation(centre, "speech", ("wb-77", MICRO))
    set_state("active")
    add_allocation(centre, "speech", ("wb-77", MICRO))
    set_state("closed")
    with pytest.raises(Conflict, match="is closed"):
        set_state("active")


def picky_centre(centre: Centre) -> None:
    """speech has 10 SU for H100 alone, 10 for public data alone, and 1 for anything."""
    close_all(centre)
    add_grant(centre, "for-h100", 100 * MICRO, conditions=Conditions((H100,)))
    add_grant(centre, "open-data", 100 * MICRO, conditions=Conditions(classification="public"))
    add_allocation(centre, "speech", ("for-h100", 10 * MICRO), ("open-data", 10 * MICRO), ("moeys-2026", MICRO))


def payers(centre: Centre, job_id: int) -> dict[str, int]:
    with centre.store.read() as uow:
        names = uow.grants.grant_names([part.grant_id for part in centre.attempt(job_id).parts])
    return {names[part.grant_id]: part.micro_su for part in centre.attempt(job_id).parts}


def secret(one: JobSpec) -> JobSpec:
    return replace(one, constraint=Constraint(classification="internal"))


@pytest.mark.promise(3)
def test_each_job_is_paid_only_of_grants_that_are_for_it(centre: Centre) -> None:
    picky_centre(centre)
    any_ = centre.submit(spec(needs=resources(1, H100, walltime="1h")))  # 2 SU
    other = centre.submit(spec(needs=resources(1, A100, walltime="1h")))  # 1 SU
    centre.settle()
    assert payers(centre, any_.id).keys() == {"for-h100", "open-data", "moeys-2026"}
    assert payers(centre, other.id).keys() <= {"open-data", "moeys-2026"}
    centre.run()
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_a_job_that_no_grant_pays_for_is_refused_with_the_condition(centre: Centre) -> None:
    picky_centre(centre)
    with pytest.raises(Refused, match="grant for-h100 pays only for h100-80gb") as caught:
        centre.submit(spec(needs=resources(1, A100, walltime="12h")))  # 12 SU, 11 are for it
    assert caught.value.code == "grant-conditions"
    assert caught.value.faults[0].field == "resources.flavor"
    with pytest.raises(BarayError, match="open-data pays only for up to public data"):
        execute(centre, 'UPDATE cluster SET labels = \'{"clearance": "restricted"}\'')
        execute(centre, "UPDATE stamp SET value = value + 1 WHERE name = 'directory'")
        centre.submit(secret(spec(needs=resources(1, H100, walltime="6h"))))  # 12 SU, 11 are for it


@pytest.mark.promise(3)
def test_a_job_waits_while_others_hold_what_is_for_it_and_is_told_which_grant_it_may_not_have(centre: Centre) -> None:
    picky_centre(centre)
    first = centre.submit(spec(needs=resources(1, A100, walltime="6h"), command="run 2h"))
    second = centre.submit(spec(needs=resources(1, A100, walltime="7h"), command="run 1m"))  # 7 of 5 SU, 15 in all
    centre.settle()
    assert centre.job(first.id).state is JobState.RUNNING
    assert centre.job(second.id).state is JobState.PENDING
    view = centre.lookout.view(centre.clock.now_ms())
    reason = view.plan.outlook.of(second.id).reason
    assert reason.code == "grant-conditions"
    assert reason.facts["grants"] == "for-h100"
    assert "pays only for h100-80gb" in reason.message
    centre.run()
    assert centre.job(second.id).state is JobState.SUCCEEDED
    assert_sound(centre.database, centre.store)
