"""The account tree changes shape while jobs run: holdings and usage go along, and nothing is left behind."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.accounts import TOTAL, AccountKind, AccountState, Limits, Quota
from domain.errors import BarayError, Conflict, Invalid, NotFound, Refused
from domain.jobs import JobState
from lifecycle import accounts, moves
from tests.support.audit import assert_sound, audit
from tests.support.centre import Centre
from tests.support.databases import SQLITE
from tests.support.factories import A100, H100, resources, spec


def move(centre: Centre, name: str, under: str, **given: object) -> None:
    with centre.store.write() as uow:
        moves.move(uow, name, under, None, centre.clock.now_ms(), **given)


def group(centre: Centre, name: str, under: str) -> None:
    with centre.store.write() as uow:
        moves.add_group(uow, name, under, name.title(), 1)


def quota(centre: Centre, account: str, flavor: str, amount: Quota, **given: object) -> None:
    with centre.store.write() as uow:
        accounts.put_quota(uow, uow.directory().by_name[account], flavor, amount, None, **given)


def close(centre: Centre, account: str) -> None:
    with centre.store.write() as uow:
        moves.change_checked(uow, uow.directory().by_name[account], None, state="closed")


def held(centre: Centre, account: str, flavor: str = H100) -> int:
    with centre.store.read() as uow:
        return uow.accounts.held().get((uow.directory().by_name[account].id, flavor), 0)


def used(centre: Centre, account: str) -> int:
    with centre.store.read() as uow:
        return uow.accounts.usage(centre.clock.now_ms(), 10**12).get(uow.directory().by_name[account].id, 0)


@pytest.mark.promise(3)
def test_what_runs_counts_where_its_project_is_now(centre: Centre) -> None:
    group(centre, "lab", "cadt")
    job = centre.submit(spec(needs=resources(3), command="run 10m")).id
    centre.settle()
    before = used(centre, "cadt")
    assert (held(centre, "cadt"), held(centre, "itc"), before > 0) == (3_000, 0, True)
    move(centre, "speech", "lab")
    assert (held(centre, "lab"), held(centre, "cadt"), held(centre, "centre")) == (3_000, 3_000, 3_000)
    assert used(centre, "lab") == before
    assert_sound(centre.database, centre.store)
    move(centre, "lab", "itc")
    assert (held(centre, "cadt"), held(centre, "itc"), held(centre, "centre")) == (0, 3_000, 3_000)
    assert (used(centre, "cadt"), used(centre, "itc")) == (0, before)
    assert_sound(centre.database, centre.store)
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert (held(centre, "itc"), held(centre, "lab")) == (0, 0)
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_a_move_above_a_quota_is_refused_and_changes_nothing(centre: Centre) -> None:
    centre.submit(spec(needs=resources(3), command="run 10m"))
    centre.submit(spec("flood", needs=resources(2), command="run 10m"), "rith")
    centre.settle()
    quota(centre, "itc", H100, Quota(0, 4_000))
    with pytest.raises(Refused, match="tenant itc holds 2 of its 4 of h100-80gb; 3 more are brought along") as refused:
        move(centre, "speech", "itc")
    assert refused.value.code == "quota-exceeded"
    quota(centre, "itc", H100, Quota(0, 5_000))
    quota(centre, "itc", TOTAL, Quota(0, 4_000))
    with pytest.raises(Refused, match="its 4 of total"):
        move(centre, "speech", "itc")
    assert (held(centre, "cadt"), held(centre, "itc")) == (3_000, 2_000)
    quota(centre, "itc", TOTAL, Quota(0, 5_000))
    move(centre, "speech", "itc")
    assert (held(centre, "cadt"), held(centre, "itc")) == (0, 5_000)
    assert_sound(centre.database, centre.store)


@pytest.mark.parametrize(
    ("name", "under", "wrong"),
    [
        ("centre", "cadt", "the root of all accounts"),
        ("cadt", "lab", "cadt would be above itself"),
        ("lab", "lab", "lab would be above itself"),
        ("itc", "cadt", "tenant itc would be under a tenant"),
        ("itc", "lab", "tenant itc would be under a tenant"),
        ("speech", "centre", "project speech would belong to no tenant"),
        ("lab", "speech", "can have nothing below it"),
    ],
)
def test_a_move_that_makes_no_tree_is_refused(centre: Centre, name: str, under: str, wrong: str) -> None:
    group(centre, "lab", "cadt")
    with pytest.raises(Refused, match=wrong) as refused:
        move(centre, name, under)
    assert refused.value.code == "misplaced-account"


def test_unknown_accounts_are_named(centre: Centre) -> None:
    with pytest.raises(NotFound, match="no account 'x'"):
        move(centre, "x", "cadt")
    with pytest.raises(Invalid, match="no account 'x'"):
        move(centre, "speech", "x")
    with pytest.raises(Invalid, match="no account 'x'"):
        group(centre, "lab", "x")
    with pytest.raises(Conflict, match="an account 'cadt' already"):
        group(centre, "cadt", "itc")
    with pytest.raises(Refused, match="can have nothing below it"):
        group(centre, "lab", "speech")
    with centre.store.write() as uow, pytest.raises(Invalid, match="no tenant, nor a group of one"):
        accounts.add_project(uow, "new", "centre", "New", None, 1)


def test_the_tree_has_a_depth(centre: Centre) -> None:
    above = "cadt"
    for number in range(14):
        group(centre, f"g{number}", above)
        above = f"g{number}"
    with pytest.raises(Refused, match="deeper than 16"):
        group(centre, "g14", above)
    with centre.store.write() as uow, pytest.raises(Refused, match="deeper than 16"):
        accounts.add_project(uow, "new", above, "New", None, 1)
    with pytest.raises(Refused, match="deeper than 16"):
        move(centre, "speech", above)


def test_a_project_in_a_group_is_its_tenants(centre: Centre) -> None:
    group(centre, "lab", "cadt")
    with centre.store.write() as uow:
        project = accounts.add_project(uow, "ocr", "lab", "OCR", None, 1)
        tenant = uow.directory().tree.tenant_of(project.id)
    assert tenant is not None
    assert tenant.name == "cadt"


def test_an_account_in_use_is_not_closed(centre: Centre) -> None:
    job = centre.submit(spec(command="run 10m")).id
    centre.settle()
    with pytest.raises(Refused, match="tenant cadt is in use") as refused:
        close(centre, "cadt")
    told = [fault.message for fault in refused.value.faults]
    assert refused.value.code == "account-in-use"
    assert told[0] == f"jobs run: {job}"
    assert told[1].startswith("allocations are open: ")
    with centre.store.write() as uow:
        empty = accounts.add_project(uow, "empty", "cadt", "Empty", None, 1)
        assert moves.change_checked(uow, empty, None, state="closed").state is AccountState.CLOSED


def test_more_than_there_is_is_guaranteed_only_if_somebody_says_so(centre: Centre) -> None:
    quota(centre, "cadt", H100, Quota(6_000))
    with pytest.raises(Refused, match="11 of h100-80gb would be guaranteed and there are 8: 3 too many") as refused:
        quota(centre, "itc", H100, Quota(5_000))
    assert (refused.value.code, refused.value.faults[0].field) == ("overcommitted", "guaranteed")
    assert refused.value.fixes == ("promise 2 more at the most, or say --overcommit (overcommit: true)",)
    quota(centre, "itc", H100, Quota(1_000))
    with pytest.raises(
        Refused, match="below tenant cadt 7 of h100-80gb would be guaranteed, and its own guarantee is 6"
    ):
        quota(centre, "speech", H100, Quota(7_000))
    quota(centre, "itc", H100, Quota(5_000), overcommit=True)
    quota(centre, "itc", H100, Quota(4_000))  # less of too much
    with pytest.raises(Refused, match="3 too many"):
        quota(centre, "itc", H100, Quota(5_000))


def test_a_move_does_not_overcommit_unsaid(centre: Centre) -> None:
    quota(centre, "speech", H100, Quota(3_000))
    quota(centre, "itc", H100, Quota(2_000))
    with pytest.raises(Refused, match="below tenant itc 3 of h100-80gb"):
        move(centre, "speech", "itc")
    move(centre, "speech", "itc", overcommit=True)


@pytest.mark.parametrize("wrong", [Quota(1_000, 5_000), Quota(0, None), Quota(0, 5_000, 0)])
def test_the_quota_in_total_is_a_cap_and_nothing_else(centre: Centre, wrong: Quota) -> None:
    with pytest.raises(Invalid, match="a cap on all flavors"):
        quota(centre, "cadt", TOTAL, wrong)


@pytest.mark.promise(3)
def test_a_cap_on_all_flavors_holds_in_the_queue_and_at_the_start(centre: Centre) -> None:
    quota(centre, "cadt", TOTAL, Quota(0, 4_000))
    with pytest.raises(Refused, match="3 of h100-80gb on each of 2 nodes is above the quota of tenant cadt, 4 GPUs in"):
        centre.submit(spec(needs=resources(3, nodes=2)))
    jobs = [
        centre.submit(spec(needs=resources(3), command="run 5m")).id,
        centre.submit(spec("vision", needs=resources(1, A100), command="run 5m"), "kosal").id,
        centre.submit(spec("vision", needs=resources(1, A100), command="run 5m"), "kosal").id,
    ]
    centre.settle()
    assert sorted(centre.job(job).state for job in jobs) == [JobState.PENDING, JobState.RUNNING, JobState.RUNNING]
    (waits,) = [job for job in jobs if centre.job(job).state is JobState.PENDING]
    view = centre.lookout.view(centre.clock.now_ms())
    line = view.plan.outlook.of(waits)
    assert line is not None
    assert (line.reason.code, line.reason.facts["flavor"]) == ("quota", TOTAL)
    assert "tenant cadt holds 2 of its 4 GPUs in all" in line.reason.message
    assert_sound(centre.database, centre.store)
    centre.run()
    assert all(centre.job(job).state is JobState.SUCCEEDED for job in jobs)


def test_submissions_are_paced(centre: Centre) -> None:
    with centre.store.write() as uow:
        cadt = uow.directory().by_name["cadt"]
        accounts.set_limits(uow, cadt, Limits(submissions_per_minute=3, user_submissions_per_minute=2), None)
    centre.submit()
    centre.clock.advance(seconds=20)
    centre.submit()
    with pytest.raises(Refused, match="you have submitted 2 jobs in tenant cadt within a minute") as refused:
        centre.submit()
    assert (refused.value.code, refused.value.retry_after_s) == ("rate-limited", 40)
    centre.submit(spec("vision"), "kosal")
    with pytest.raises(Refused, match="tenant cadt has submitted 3 jobs within a minute"):
        centre.submit(user="sok")
    centre.submit(spec("flood"), "rith")
    centre.clock.advance(seconds=40)
    centre.submit(user="sok")
    with pytest.raises(Refused) as refused:
        centre.submit()
    assert refused.value.retry_after_s == 20


# Random shapes.


NAMES = ("cadt", "itc", "lab", "team", "speech", "vision", "flood", "centre")


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.promise(3)
def test_holdings_follow_every_move(centre: Centre, seed: int) -> None:
    """Whatever moves where, at every node of the tree is held what live attempts below it hold, and no quota is broken."""
    if centre.database.kind != SQLITE and seed % 5:
        return
    rng = random.Random(seed)
    centre.refound()
    group(centre, "lab", "cadt")
    group(centre, "team", "itc")
    users = {"speech": "dara", "vision": "kosal", "flood": "rith"}
    for _ in range(25):
        act = rng.choice(["submit", "submit", "move", "move", "move", "cycle", "pass", "quota", "suspend"])
        try:
            if act == "submit":
                project = rng.choice(sorted(users))
                needs = resources(rng.randint(1, 3), rng.choice([H100, A100]))
                centre.submit(spec(project, needs=needs, command=rng.choice(["run 10s", "run 5m"])), "admin")
            elif act == "move":
                move(centre, rng.choice(NAMES), rng.choice(NAMES))
            elif act == "quota":
                name, flavor = rng.choice(NAMES), rng.choice([H100, A100, TOTAL])
                with centre.store.read() as uow:
                    tree = uow.directory().tree
                    account = uow.directory().by_name[name].id
                    floor = tree.with_totals(uow.accounts.held()).get((account, flavor), 0)
                    if flavor == TOTAL:
                        floor = sum(
                            m for (a, f), m in uow.accounts.held().items() if a == account and f in {H100, A100}
                        )
                quota(centre, name, flavor, Quota(0, floor + rng.randint(0, 4) * 1_000))
            elif act == "suspend":
                with centre.store.write() as uow:
                    one = uow.directory().by_name[rng.choice(NAMES[:4])]
                    state = "active" if one.state is AccountState.SUSPENDED else "suspended"
                    accounts.change(uow, one, None, state=state)
            elif act == "pass":
                centre.clock.advance(seconds=rng.choice([5, 30, 400]))
                centre.cycle()
            else:
                centre.cycle()
        except BarayError:
            pass
        wrong = audit(centre.database, centre.store)
        assert not wrong, f"seed {seed}: {wrong}"
    with centre.store.read() as uow:
        tree = uow.directory().tree
    for account in tree.accounts.values():
        if account.kind is AccountKind.PROJECT:
            assert tree.tenant_of(account.id) is not None
