"""One class per repository port of ``lifecycle.ports``: what the steps rely on, on both databases."""

import inspect
import re
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event

from domain.access import Permission, Role
from domain.accounts import Account, AccountKind, AccountState, Limits, Quota
from domain.allocations import (
    Allocation,
    AllocationState,
    Change,
    ChangeKind,
    ChangeState,
    DatedShares,
    Decision,
    Instalment,
    Source,
    Step,
)
from domain.budgets import Notice, NoticeKind, Reclaim, ReclaimRule
from domain.calendar import Repeat, Reservation
from domain.clusters import ClusterConfig, FlavorRule
from domain.dependencies import Bond
from domain.errors import Conflict
from domain.fleet import Flavor, Inventory, Node
from domain.gates import Gate, GateRule, Terms
from domain.grants import Bargain, Grant, GrantFigures, GrantState
from domain.ids import AttemptId
from domain.jobs import (
    LIVE_ATTEMPTS,
    Array,
    AttemptState,
    Constraint,
    Dependency,
    DependencyKind,
    JobState,
    Output,
    Placement,
)
from domain.money import Book, BookKind, Entry, Transaction, UsageFact
from domain.people import Token, User
from domain.prices import Price
from domain.purses import Conditions
from domain.quantities import DAY_MS, HOUR_MS, MICRO
from domain.records import Attempt, Job, Part, Task
from lifecycle import ports
from lifecycle.books import Correction, DatedRate, Period
from lifecycle.brought import Batch, Kept, RunRecord, Thing
from lifecycle.foresight import Guess
from lifecycle.paging import Page
from lifecycle.ports import JobFilter, UnitOfWork
from lifecycle.reach import Contact
from lifecycle.rulebook import GateRecord, GateRows, TermsRecord
from lifecycle.witness import EntryFilter, Leaf, witness
from quotas import ledger
from quotas.leaves import LedgerLeaf, PublicKey, TreeHead
from quotas.ledger import Settled
from quotas.rules import ChargingRules, DatedRules
from scheduler.policy import Policy
from scheduler.rules import DatedPolicy
from store.append_only import protect, unprotect
from store.unit_of_work import UnitOfWork as SqlUnitOfWork
from tests.support.centre import EVERY, Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import A100, CLUSTER, CPU, GIB, H100, nodes, spec

NOW = NEW_YEAR_MS


@pytest.fixture
def speech(centre: Centre) -> int:
    return centre.population.projects["speech"]


def add_job(uow: UnitOfWork, project: int, **given: object) -> Job:
    return uow.jobs.add(spec(**given), project, 1, NOW)


def an_attempt(job: Job, project: int, number: int = 1, index: int | None = None, **given: object) -> Attempt:
    plain = Attempt(
        0, AttemptId(job.id, index, number), project, CLUSTER, H100, (Placement("n1", (0, 1)),),
        AttemptState.DISPATCHING, 1, 2_000, 3, 2 * GIB, 2 * MICRO, (Part(1, 1, 60), Part(1, 2, 40)), 100, NOW,
    )  # fmt: skip
    return replace(plain, **given)


def test_every_port_has_its_tests() -> None:
    """A port that is added comes with a class here, or in a file beside this one."""
    repositories = {name for name in ports.UnitOfWork.__annotations__ if name not in {"_connection", "_cache"}}
    beside = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tested = {name.lower() for name in re.findall(r"^class Test(\w+)", beside, re.MULTILINE)}
    assert repositories <= tested


def test_each_repository_has_every_method_of_its_port_with_the_same_arguments(uow: UnitOfWork) -> None:
    assert isinstance(uow, SqlUnitOfWork)
    for name, port in inspect.get_annotations(ports.UnitOfWork).items():
        for method, declared in inspect.getmembers(port, inspect.isfunction):
            if not method.startswith("_"):
                built = inspect.signature(getattr(type(getattr(uow, name)), method))
                assert list(built.parameters) == list(inspect.signature(declared).parameters), f"{name}.{method}"


class TestAccounts:
    def test_an_account_is_kept_whole(self, uow: UnitOfWork) -> None:
        given = Account(
            0, 1, AccountKind.TENANT, "rupp", "RUPP", AccountState.SUSPENDED, 7,
            tenant_kind="university", sector="education", province="KH-12",
        )  # fmt: skip
        added = uow.accounts.add(given)
        assert uow.directory().by_name["rupp"] == replace(given, id=added.id)

    def test_a_name_is_used_once(self, centre: Centre) -> None:
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.accounts.add(Account(0, 1, AccountKind.TENANT, "itc", "x"))

    def test_changes_count_the_version_on(self, uow: UnitOfWork, speech: int) -> None:
        account = uow.directory().tree.accounts[speech]
        changed = uow.accounts.update(replace(account, title="New", weight=5, state=AccountState.CLOSED))
        assert changed.version == account.version + 1
        assert uow.directory().tree.accounts[speech] == changed
        uow.accounts.set_limits(speech, Limits(1, 2, 3, 4, 5, 6, 7, 8))
        assert uow.directory().tree.accounts[speech].limits == Limits(1, 2, 3, 4, 5, 6, 7, 8)
        assert uow.directory().tree.accounts[speech].version == changed.version + 1

    def test_quotas_are_put_changed_and_removed(self, uow: UnitOfWork, speech: int) -> None:
        assert uow.accounts.quota_version(speech, H100) == 0
        uow.accounts.put_quota(speech, H100, Quota(1, None, 3))
        uow.accounts.put_quota(speech, H100, Quota(4, 5, None))
        uow.accounts.put_quota(speech, A100, Quota(6, 0, 0))
        assert uow.accounts.quota_version(speech, H100) == 2
        assert uow.directory().tree.quotas == {(speech, H100): Quota(4, 5, None), (speech, A100): Quota(6, 0, 0)}
        uow.accounts.delete_quota(speech, H100)
        assert uow.directory().tree.quotas == {(speech, A100): Quota(6, 0, 0)}
        assert uow.accounts.quota_version(speech, H100) == 0

    def test_holdings_add_up_and_never_fall_below_nothing(self, centre: Centre, speech: int) -> None:
        with centre.store.write() as uow:
            uow.accounts.hold({(speech, H100): 2_000, (1, H100): 2_000})
            uow.accounts.hold({(speech, H100): 1_000, (1, CPU): 5})
            assert uow.accounts.held() == {(speech, H100): 3_000, (1, H100): 2_000, (1, CPU): 5}
            uow.accounts.hold({(speech, H100): -3_000})
            assert (speech, H100) not in uow.accounts.held()
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.accounts.hold({(1, H100): -2_001})

    def test_usage_decays_and_is_never_below_nothing(self, uow: UnitOfWork, speech: int) -> None:
        later = NOW + HOUR_MS
        uow.accounts.spend({speech: 1_000, 1: 10}, {(speech, 1): 800, (speech, 2): 200}, NOW, HOUR_MS)
        uow.accounts.spend({speech: 500}, {(speech, 2): 500}, later, HOUR_MS)
        assert uow.accounts.usage(later, HOUR_MS) == {speech: 1_000, 1: 5}
        assert uow.accounts.user_usage(later, HOUR_MS) == {(speech, 1): 400, (speech, 2): 600}
        uow.accounts.spend({speech: -9_999}, {(speech, 1): -9_999}, later, HOUR_MS)
        assert uow.accounts.usage(later, HOUR_MS)[speech] == 0
        assert uow.accounts.user_usage(later, HOUR_MS) == {(speech, 1): 0, (speech, 2): 600}

    def test_locking_is_asked_for_by_id(self, uow: UnitOfWork, speech: int) -> None:
        uow.accounts.lock([speech, 1])


class TestPeople:
    def test_users_are_found_by_name_and_listed_in_pages(self, uow: UnitOfWork) -> None:
        added = uow.people.add_user(User(0, "new", "New", "new@centre.example"))
        assert uow.people.user("new") == added
        assert uow.people.user("nobody") is None
        listed = uow.people.users(EVERY)
        assert [user.id for user in listed] == sorted(user.id for user in listed)
        assert uow.people.users(Page(listed[1].id, 2)) == listed[2:4]
        assert uow.people.user_names([added.id, 10**6]) == {added.id: "new"}

    def test_roles_are_given_once_and_taken(self, uow: UnitOfWork, speech: int) -> None:
        user = uow.people.add_user(User(0, "new", "New", None))
        for role in (Role.LEAD, Role.MEMBER, Role.MEMBER):
            uow.people.grant(user.id, speech, role, NOW)
        assert uow.people.roles(user.id, NOW) == {speech: {"lead", "member"}}
        assert ("new", "lead") in uow.people.members(speech, NOW)
        assert uow.people.revoke(user.id, speech, Role.LEAD, NOW)
        assert not uow.people.revoke(user.id, speech, Role.LEAD, NOW)
        assert uow.people.roles(user.id, NOW) == {speech: {"member"}}

    @pytest.mark.promise(8)
    def test_a_token_finds_its_caller_until_it_expires_or_is_revoked(self, uow: UnitOfWork, speech: int) -> None:
        user = uow.people.add_user(User(0, "new", "New", None))
        uow.people.grant(user.id, speech, Role.MEMBER, NOW)
        brief = uow.people.add_token(Token(0, user.id, "brief", NOW, NOW + 1_000), b"1" * 32)
        lasting = uow.people.add_token(Token(0, user.id, "lasting", NOW), b"2" * 32)
        found = uow.people.caller(b"1" * 32, NOW + 999)
        assert found is not None
        assert (found.user, found.token, dict(found.roles)) == (user, brief, {speech: {Role.MEMBER}})
        assert found.may(Permission.JOB_SUBMIT, (speech, 1))
        assert uow.people.caller(b"1" * 32, NOW + 1_000) is None
        assert uow.people.caller(b"3" * 32, NOW) is None
        uow.people.revoke_token(lasting.id, NOW + 5)
        uow.people.revoke_token(lasting.id, NOW + 9)
        assert uow.people.caller(b"2" * 32, NOW) is None
        assert [token.revoked_ms for token in uow.people.tokens(user.id)] == [None, NOW + 5]
        uow.people.touch_token(brief.id, NOW + 7)
        assert uow.people.token(brief.id) == replace(brief, last_used_ms=NOW + 7)
        assert uow.people.token(10**6) is None

    def test_secrets_are_kept_sealed(self, uow: UnitOfWork, speech: int) -> None:
        uow.people.put_secret(speech, "B", b"\0\xff")
        uow.people.put_secret(speech, "A", b"one")
        uow.people.put_secret(speech, "A", b"two")
        assert list(uow.people.secrets(speech).items()) == [("A", b"two"), ("B", b"\0\xff")]
        assert uow.people.delete_secret(speech, "A")
        assert not uow.people.delete_secret(speech, "A")
        assert uow.people.secrets(speech + 1) == {}


def _note(asked: list[str], _connection: object, _cursor: object, statement: str, *_: object) -> None:
    if not statement.startswith("INSERT INTO node "):  # SQLite, which has no round trips, numbers rows one by one
        asked.append(statement)


class TestFleet:
    def test_flavors_and_their_dated_rates(self, uow: UnitOfWork) -> None:
        uow.fleet.add_flavor(Flavor("mig", "MIG", 143))
        uow.fleet.add_rate("mig", 100, 7, 1, 50)
        uow.fleet.add_rate("mig", 0, 5)
        assert uow.fleet.rates("mig") == (DatedRate(0, 5, None, 0), DatedRate(100, 7, 1, 50))
        assert uow.directory().flavors["mig"] == Flavor("mig", "MIG", 143)
        assert uow.directory().rates["mig"] == ((0, 5), (100, 7))

    def test_a_cluster_is_taken_in_again_as_it_is_now(self, uow: UnitOfWork) -> None:
        smaller = Node("n1", {H100: 2}, 16, 64 * GIB)
        uow.fleet.put_cluster(CLUSTER, "simulated", Inventory((smaller, *nodes()[2:]), ("a note",)))
        by_name = {node.name: node for node in uow.fleet.nodes([CLUSTER])}
        assert by_name.keys() == {"n1", "n3"}, "a node that is gone is offered no more"
        assert by_name["n1"].free == {H100: (0, 1)}
        assert by_name["n1"].cpus == 16
        assert uow.directory().clusters[CLUSTER].notes == ("a note",)
        assert [node.name for node in uow.directory().nodes[CLUSTER]] == ["n1", "n3"]

    @pytest.mark.promise(3)
    def test_a_node_that_shrinks_under_what_runs_there_is_written_again_later(
        self, uow: UnitOfWork, speech: int
    ) -> None:
        (attempt,) = uow.attempts.add([an_attempt(add_job(uow, speech), speech)])
        uow.fleet.take([attempt])
        shrunk = Inventory((Node("n1", {H100: 1}, 2, GIB), *nodes()[1:]))
        assert not uow.fleet.put_cluster(CLUSTER, "simulated", shrunk)
        node = uow.fleet.nodes([CLUSTER])[0]
        assert (node.free[H100], node.cpus, node.cpus_free, node.memory_free) == ((), 3, 0, 0)
        uow.fleet.give_back([attempt])
        assert uow.fleet.put_cluster(CLUSTER, "simulated", shrunk)
        node = uow.fleet.nodes([CLUSTER])[0]
        assert (node.free[H100], node.cpus, node.memory_free) == ((0,), 2, GIB)

    def test_a_node_that_comes_back_has_the_devices_that_it_has_now(self, uow: UnitOfWork) -> None:
        for now in (nodes()[1:], (Node("n1", {H100: 3, A100: 1}, 8, GIB), *nodes()[1:])):
            uow.fleet.put_cluster(CLUSTER, "simulated", Inventory(now))
        assert uow.fleet.nodes([CLUSTER])[0].free == {H100: (0, 1, 2), A100: (0,)}

    def test_what_has_not_changed_is_not_written(self, uow: UnitOfWork) -> None:
        uow.fleet.put_cluster(CLUSTER, "simulated", Inventory(nodes(), ("a note",)))
        before = uow.directory()
        assert uow.fleet.put_cluster(CLUSTER, "simulated", Inventory(nodes(), ("a note",)))
        assert uow.directory() is before

    def test_a_large_cluster_takes_no_more_statements_than_a_small_one(self, centre: Centre) -> None:
        many = [Node(f"m{n:04}", {H100: 8}, 96, GIB, (("rack", f"r{n // 40}"),)) for n in range(1_000)]
        lost = [replace(node, devices={H100: 7}) if n % 2 else node for n, node in enumerate(many)][:-100]
        counts = []
        for now in ([many[0]], many, lost, many):
            asked: list[str] = []
            count = partial(_note, asked)
            event.listen(centre.database.engine, "before_cursor_execute", count)
            with centre.store.write() as uow:
                uow.fleet.put_cluster("big", "simulated", Inventory(tuple(now)))
            event.remove(centre.database.engine, "before_cursor_execute", count)
            counts.append(len(asked))
        assert max(counts) < 12, counts
        with centre.store.read() as uow:
            found = uow.fleet.nodes(["big"])
        assert (len(found), sum(len(node.free[H100]) for node in found)) == (1_000, 8_000)

    def test_a_cluster_has_a_state_and_a_version(self, uow: UnitOfWork) -> None:
        before = uow.directory().clusters[CLUSTER]
        uow.fleet.set_cluster_state(CLUSTER, "draining")
        assert uow.directory().clusters[CLUSTER] == replace(before, state="draining", version=before.version + 1)
        assert uow.fleet.nodes([]) == ()

    def test_labels_of_a_node_are_its_own_and_over_them_its_clusters(self, uow: UnitOfWork) -> None:
        own = (("clearance", "restricted"), ("rack", "r1"))
        labelled = replace(nodes()[0], labels=own)
        uow.fleet.put_cluster(CLUSTER, "simulated", Inventory((labelled, *nodes()[1:])))
        before = uow.directory().clusters[CLUSTER]
        assert [node.labels for node in uow.fleet.nodes([CLUSTER])] == [
            {**dict(own), "cluster": CLUSTER}, {"cluster": CLUSTER}, {"cluster": CLUSTER},
        ]  # fmt: skip
        uow.fleet.set_cluster_labels(CLUSTER, {"clearance": "internal"})
        assert uow.directory().clusters[CLUSTER] == replace(
            before, labels={"clearance": "internal"}, version=before.version + 1
        )
        told = {"clearance": "internal", "cluster": CLUSTER}
        assert [node.labels for node in uow.fleet.nodes([CLUSTER])] == [{**told, "rack": "r1"}, told, told]
        assert uow.directory().nodes[CLUSTER][0].labels == own

    def test_a_node_stays_drained_when_its_cluster_is_taken_in_again(self, uow: UnitOfWork) -> None:
        version = uow.directory().clusters[CLUSTER].version
        uow.fleet.set_drained(CLUSTER, "n2", "a fan")
        uow.fleet.put_cluster(CLUSTER, "simulated", Inventory(nodes()))
        assert uow.directory().drained == {(CLUSTER, "n2"): "a fan"}
        assert uow.directory().clusters[CLUSTER].version == version + 1
        uow.fleet.set_drained(CLUSTER, "n2", None)
        assert uow.directory().drained == {}

    @pytest.mark.promise(3)
    def test_what_is_taken_is_not_free_until_it_is_given_back(self, uow: UnitOfWork, speech: int) -> None:
        (attempt,) = uow.attempts.add([an_attempt(add_job(uow, speech), speech)])
        uow.fleet.take([attempt])
        node = uow.fleet.nodes([CLUSTER])[0]
        assert (node.free[H100], node.cpus_free, node.memory_free) == ((2, 3), 29, 254 * GIB)
        uow.fleet.give_back([attempt])
        node = uow.fleet.nodes([CLUSTER])[0]
        assert (node.free[H100], node.cpus_free, node.memory_free) == ((0, 1, 2, 3), 32, 256 * GIB)

    @pytest.mark.promise(3)
    @pytest.mark.parametrize(
        "changes",
        [
            {"placements": (Placement("n1", (1, 2)),)},
            {"placements": (Placement("n1", (4,)),)},
            {"placements": (Placement("n1", (2,)),), "cpus": 30},
            {"placements": (Placement("n1", (2,)),), "memory_bytes": 255 * GIB},
            {"placements": (Placement("n3", (0,)),)},
        ],
        ids=["device taken", "no such device", "too many cores", "too much memory", "another flavor"],
    )
    def test_more_than_there_is_is_refused(self, centre: Centre, speech: int, changes: dict) -> None:
        with centre.store.write() as uow:
            (first,) = uow.attempts.add([an_attempt(add_job(uow, speech), speech)])
            uow.fleet.take([first])
            second = add_job(uow, speech)
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.fleet.take(uow.attempts.add([an_attempt(second, speech, **changes)]))

    @pytest.mark.promise(3)
    def test_two_of_one_batch_do_not_get_the_same_device(self, centre: Centre, speech: int) -> None:
        with pytest.raises(Conflict), centre.store.write() as uow:
            twice = [an_attempt(add_job(uow, speech), speech) for _ in range(2)]
            uow.fleet.take(uow.attempts.add(twice))


class TestGrants:
    def test_funders_and_grants(self, uow: UnitOfWork) -> None:
        funder = uow.grants.add_funder("jica", "JICA")
        grant = uow.grants.add_grant(Grant(0, "jica-1", funder.id, 5 * MICRO, NOW, NOW + 1))
        assert uow.grants.funder("jica") == funder
        assert uow.grants.funder("none") is None
        assert uow.grants.funders(Page(funder.id - 1, 5)) == [funder]
        assert uow.grants.funder_names([funder.id]) == {funder.id: "jica"}
        assert uow.grants.grant(grant.id) == uow.grants.grant_named("jica-1") == grant
        assert uow.grants.grant(10**6) is None
        assert uow.grants.grant_named("none") is None
        assert uow.grants.grants(Page(grant.id - 1, 5)) == [grant]
        assert uow.grants.grant_names([grant.id]) == {grant.id: "jica-1"}

    def test_a_grant_in_money_with_conditions_is_kept_whole(self, uow: UnitOfWork) -> None:
        conditions = Conditions((H100,), ("education",), "internal")
        given = Grant(0, "adb", 1, 7, NOW, NOW + 1, unit="USD", conditions=conditions)
        grant = uow.grants.add_grant(given)
        assert uow.grants.grant(grant.id) == grant == replace(given, id=grant.id)
        assert uow.grants.currencies([1, grant.id]) == {grant.id: "USD"}
        assert uow.directory().picky == {grant.id: ("adb", conditions)}
        closed = uow.grants.set_state(grant, GrantState.CLOSED)
        assert uow.grants.grant(grant.id) == closed == replace(grant, state=GrantState.CLOSED, version=2)
        with pytest.raises(Conflict):
            uow.grants.set_state(grant, GrantState.ACTIVE)

    def test_where_a_grants_amount_is(self, uow: UnitOfWork) -> None:
        found = uow.grants.figures([1, 10**6])
        assert found[1] == GrantFigures(0, 1_600 * MICRO, 0, 8_400 * MICRO)
        assert found[10**6] == GrantFigures(0, 0, 0, 0)


class TestBudgets:
    def test_prices_are_the_directorys_and_begin_once_each(self, centre: Centre) -> None:
        dear, cheap = Price("USD", None, 5, 2, 1, "why", 4), Price("USD", "startup", 5, 1, 1, "why", 4)
        with centre.store.write() as uow:
            uow.budgets.add_price(dear)
            uow.budgets.add_price(cheap)
            assert uow.directory().prices == (dear, cheap)
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.budgets.add_price(dear)

    def test_bargains(self, uow: UnitOfWork) -> None:
        first, second = Bargain(1, 1, "USD", 5, 3, 3), Bargain(1, 2, "KHR", 9, 8, 7)
        uow.budgets.keep_bargains([first, second])
        changed = replace(first, out=1)
        uow.budgets.keep_bargains([changed])
        assert uow.budgets.bargains([(1, 1), (2, 1)], lock=True) == {(1, 1): changed}
        assert uow.budgets.bargains_of([1]) == {(1, 1): changed, (1, 2): second}
        assert uow.budgets.bargains([]) == {}

    def test_where_allocations_stand(self, uow: UnitOfWork, speech: int) -> None:
        (one,) = [one for one in uow.budgets.standings(NOW) if one.project_id == speech]
        assert (one.available, one.held, one.consumed, one.committed, one.returned) == (1_001 * MICRO, 0, 0, 0, 0)
        assert uow.budgets.standings(NOW, [one.allocation_id]) == [one]
        assert uow.budgets.standings(one.ends_ms) == []
        assert uow.budgets.standings(one.ends_ms, [one.allocation_id]) == [one]

    def test_marks_of_a_pace(self, uow: UnitOfWork) -> None:
        for day, consumed in ((3, 30), (5, 50), (5, 51), (9, 90)):
            uow.budgets.mark(day, {1: consumed})
        assert [uow.budgets.consumed_before([1, 2], day) for day in (2, 4, 5, 99)] == [{}, {1: 30}, {1: 50}, {1: 90}]
        assert uow.budgets.marked([1, 2], 5) == {1}
        uow.budgets.forget_marks(6)
        assert [uow.budgets.consumed_before([1], day) for day in (4, 6, 99)] == [{}, {1: 50}, {1: 90}]

    def test_a_notice_is_given_once_and_read_by_each(self, centre: Centre, speech: int) -> None:
        given = Notice(0, 1, speech, NoticeKind.USED_80, NOW, {"su": "1", "ends_ms": 5}, "7")
        with centre.store.write() as uow:
            uow.budgets.notice(given)
            uow.budgets.notice(replace(given, kind=NoticeKind.ENDS_7D))
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.budgets.notice(given)
        with centre.store.write() as uow:
            assert uow.budgets.noticed([1, 2]) == {
                (1, NoticeKind.USED_80, "7"): NOW, (1, NoticeKind.ENDS_7D, "7"): NOW,
            }  # fmt: skip
            newest, oldest = uow.budgets.notices(1, EVERY, None, unread=False)
            assert oldest == replace(given, id=oldest.id)
            assert uow.budgets.notices(1, Page(newest.id, 5), None, unread=False) == [oldest]
            assert uow.budgets.notices(1, EVERY, frozenset(), unread=False) == []
            assert uow.budgets.read(1, [oldest.id, 10**6], frozenset({speech}), NOW) == 1
            assert uow.budgets.read(1, [newest.id], frozenset(), NOW) == 0
            assert uow.budgets.notices(1, EVERY, None, unread=True) == [newest]
            assert uow.budgets.notices(2, EVERY, None, unread=True) == [newest, oldest]

    def test_rules_of_reclaim(self, uow: UnitOfWork) -> None:
        first = ReclaimRule(5, Reclaim(50, 25, DAY_MS, 10), 1, "why", 4)
        never = ReclaimRule(5, None, 1, "why not", 4)
        for rule in (replace(first, from_ms=9), first, never):
            uow.budgets.add_rule(rule)
        assert uow.budgets.rules() == [first, never, replace(first, from_ms=9)]


class TestAllocations:
    def test_allocations_keep_their_sources(self, uow: UnitOfWork, speech: int) -> None:
        added = uow.allocations.add(Allocation(0, speech, (Source(1, 3), Source(2, 4)), NOW, NOW + 9))
        assert uow.allocations.get(added.id) == added
        assert uow.allocations.get(10**6) is None
        mine = uow.allocations.page(EVERY, frozenset({speech}))
        assert [one.project_id for one in mine] == [speech, speech]
        assert uow.allocations.page(EVERY, frozenset()) == []
        every = uow.allocations.page(EVERY, None)
        assert uow.allocations.page(Page(every[1].id, 2), None) == every[2:4]

    def test_an_allocation_is_kept_whole_and_its_version_counts_on(self, uow: UnitOfWork, speech: int) -> None:
        given = Allocation(
            0, speech, (Source(1, 3), Source(2, 4, 1)), NOW, NOW + 9, AllocationState.SUSPENDED, 1, 8, "why", 1,
            (DatedShares(NOW, {1: 10, 2: 20}), DatedShares(NOW + 1, {2: 30})),
            (Instalment(1, 5, None, NOW), Instalment(2, 2, NOW + 5), Instalment(3, 1, None)),
        )  # fmt: skip
        added = uow.allocations.add(given)
        assert uow.allocations.get(added.id, lock=True) == replace(given, id=added.id)
        changed = replace(
            added, sources=(Source(1, 9, 2), *added.sources[1:]), state=AllocationState.CLOSED, ends_ms=NOW + 99,
            instalments=(*added.instalments[:2], Instalment(3, 1, None, NOW + 7)),
        )  # fmt: skip
        assert uow.allocations.save(changed) == replace(changed, version=2)
        assert uow.allocations.many([added.id, 10**6], lock=True) == {added.id: replace(changed, version=2)}
        assert uow.allocations.page(EVERY, None, [AllocationState.CLOSED]) == [replace(changed, version=2)]

    def test_what_is_due(self, uow: UnitOfWork, speech: int) -> None:
        plain = Allocation(0, speech, (Source(1, 3),), NOW, NOW + 9)
        begins = uow.allocations.add(replace(plain, state=AllocationState.APPROVED)).id
        plan = (Instalment(1, 1, None, NOW), Instalment(2, 1, NOW + 2), Instalment(3, 1, None))
        paid = uow.allocations.add(replace(plain, instalments=plan)).id
        closed = uow.allocations.add(replace(plain, instalments=plan, state=AllocationState.CLOSED)).id
        assert [uow.allocations.due(NOW + after) for after in (-1, 0, 2)] == [[], [begins], [begins, paid]]
        assert set(uow.allocations.due(NOW + 9)) == {begins, paid}
        late = Book(BookKind.ALLOCATION, "uSU", grant_id=1, allocation_id=closed)
        grant = Book(BookKind.GRANT, "uSU", grant_id=1)
        uow.ledger.post([Transaction("late", "test", NOW, (Entry(grant, -1), Entry(late, 1)))], {})
        assert uow.allocations.due(NOW - 1) == [closed]

    def test_decisions_are_added_in_order(self, uow: UnitOfWork) -> None:
        told = [
            Decision(0, 1, Step.APPROVE, 1, "fine", NOW, {"su": "5", "sources": {"g": "5"}}),
            Decision(0, 1, Step.EXPIRE, None, "its last day is over", NOW + 1),
        ]
        for one in told:
            uow.allocations.decide(one)
        found = uow.allocations.decisions(1, EVERY)[1:]
        assert [replace(one, id=0) for one in found] == told
        assert uow.allocations.decisions(1, Page(found[0].id, 1)) == [found[1]]

    def test_changes_are_asked_for_and_settled(self, uow: UnitOfWork, speech: int) -> None:
        asked = Change(0, 1, ChangeKind.TOP_UP, {"micro_su": 5}, "please", 1, NOW)
        first, second = (uow.allocations.add_change(asked) for _ in range(2))
        assert uow.allocations.change(first.id, lock=True) == replace(asked, id=first.id)
        assert uow.allocations.change(10**6) is None
        settled = replace(first, state=ChangeState.DECLINED, decided_by=1, decided_ms=NOW + 1, answer="no")
        uow.allocations.save_change(settled)
        assert uow.allocations.changes(EVERY, None) == [settled, second]
        assert uow.allocations.changes(EVERY, frozenset({speech}), ChangeState.REQUESTED) == [second]
        assert uow.allocations.changes(EVERY, frozenset()) == []
        assert uow.allocations.changes(Page(first.id, 5), None) == [second]
        assert uow.allocations.overtaken() == []


class TestLedger:
    unit = "uSU"

    def move(self, name: str, amount: int, kind: str = "test") -> Transaction:
        grant, allocation = (
            Book(BookKind.GRANT, self.unit, grant_id=1), Book(BookKind.ALLOCATION, self.unit, grant_id=1, allocation_id=1),
        )  # fmt: skip
        return Transaction(name, kind, NOW, (Entry(grant, -amount), Entry(allocation, amount)))

    @pytest.mark.promise(4)
    def test_a_posting_moves_its_books_and_balances(self, uow: UnitOfWork) -> None:
        before = uow.ledger.grant_balances([1])[1]
        uow.ledger.post([self.move("a", 5), self.move("b", 7)], {})
        assert uow.ledger.grant_balances([1]) == {1: before - 12}
        assert uow.ledger.grant_balances([1], lock=True) == {1: before - 12}
        assert uow.ledger.unbalanced() == []
        assert uow.ledger.post([], {}) is None

    def test_who_paid_how_much_for_an_attempt_after_all(self, uow: UnitOfWork, speech: int) -> None:
        (attempt,) = uow.attempts.add([an_attempt(add_job(uow, speech), speech)])
        name, rows = str(attempt.id), {str(attempt.id): attempt.row}
        charged = ledger.charge(name, 1, attempt.parts, H100, Settled(), Settled(50, 9), NOW)
        uow.ledger.post([ledger.hold(name, attempt.parts, NOW), charged], rows)
        assert uow.ledger.paid([attempt.row, 99]) == {attempt.row: (Part(1, 1, 30), Part(1, 2, 20))}
        uow.ledger.post([ledger.adjust(name, 1, (Part(1, 1, 30), Part(1, 2, -5)), NOW)], rows)
        assert uow.ledger.paid([attempt.row]) == {attempt.row: (Part(1, 2, 25),)}
        assert uow.ledger.paid([]) == {}

    @pytest.mark.promise(4)
    def test_the_same_transaction_is_posted_once(self, centre: Centre) -> None:
        with centre.store.write() as uow:
            uow.ledger.post([self.move("a", 5)], {})
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.ledger.post([self.move("a", 5)], {})
        with centre.store.read() as uow:
            assert uow.ledger.unbalanced() == []

    @pytest.mark.promise(3)
    def test_a_book_is_never_overdrawn(self, centre: Centre) -> None:
        with centre.store.read() as uow:
            left = uow.ledger.grant_balances([1])[1]
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.ledger.post([self.move("a", left + 1)], {})
        with centre.store.write() as uow:
            uow.ledger.post([self.move("a", left)], {})

    @pytest.mark.promise(4)
    @pytest.mark.parametrize(
        "tampering",
        [
            "UPDATE ledger_entry SET amount = amount + 1 WHERE transaction_id = 1",
            "DELETE FROM ledger_entry WHERE transaction_id = 1",
            "UPDATE book SET balance = balance + 1 WHERE kind = 'grant'",
        ],
    )
    def test_what_was_tampered_with_is_found(self, centre: Centre, tampering: str) -> None:
        with centre.database.connect(writes=True) as connection:
            unprotect(connection)
            connection.exec_driver_sql(tampering)
            protect(connection)
        with centre.store.read() as uow:
            assert uow.ledger.unbalanced()

    def test_what_a_project_may_spend(self, uow: UnitOfWork, centre: Centre, speech: int) -> None:
        """The allocation that ends first is first; one that is not in force counts for nothing."""
        flood = centre.population.projects["flood"]
        assert [(purse.grant_id, purse.available) for purse in uow.ledger.purses([speech], NOW)[speech]] == [
            (1, 600 * MICRO),
            (2, 401 * MICRO),
        ]
        assert uow.ledger.available(NOW)[speech] == uow.ledger.remaining([speech], NOW)[speech] == 1_001 * MICRO
        assert uow.ledger.purses([speech], NOW - 10**12) == {}
        assert uow.ledger.remaining([speech], NOW - 10**12) == {}
        assert speech not in uow.ledger.available(NOW - 10**12)
        assert uow.ledger.balances([centre.population.allocations["flood"]]) == {
            (centre.population.allocations["flood"], "allocation"): 1_000 * MICRO
        }
        assert uow.ledger.available(NOW)[flood] == 1_000 * MICRO

    @pytest.mark.promise(5)
    @pytest.mark.parametrize("by", ["project", "funder", "user"])
    def test_usage_of_nothing_is_nothing(self, uow: UnitOfWork, by: str) -> None:
        assert uow.ledger.usage(by, None, None, None) == []
        assert uow.ledger.usage(by, 0, 1, frozenset()) == []


class TestClusters:
    CONFIG = ClusterConfig(
        prefix="ai-", flavors=(FlavorRule("nvidia.com/gpu", H100, "pool", "big"),), registries=("registry.example/",),
        digest_only=True, volumes={"data": "shared-data"}, egress=("10.0.0.0/8:443",), tolerations=("gpu:NoSchedule",),
        kueue=False, lost_after_ms=30_000, pull_secret="hidden",
    )  # fmt: skip

    def test_one_is_kept_whole_but_for_its_secrets(self, uow: UnitOfWork) -> None:
        uow.clusters.add("pp", "kubernetes", "u-1", self.CONFIG, b"sealed")
        found = uow.directory().clusters["pp"]
        assert found.config == replace(self.CONFIG, pull_secret="")
        assert (found.driver, found.state, found.uid, found.pull_secret) == ("kubernetes", "active", "u-1", True)
        assert uow.clusters.access("pp") == b"sealed"
        uow.clusters.set_access("pp", b"other")
        changed = uow.directory().clusters["pp"]
        assert (changed.access != found.access, changed.version) == (True, found.version + 1)
        uow.clusters.set_config("pp", ClusterConfig())
        assert uow.directory().clusters["pp"].config == ClusterConfig()
        assert not uow.directory().clusters["pp"].pull_secret
        assert uow.directory().clusters["pp"].access == changed.access
        assert uow.directory().clusters[CLUSTER].config is None

    def test_what_it_said_of_itself_stands_in_its_notes(self, uow: UnitOfWork) -> None:
        uow.clusters.add("pp", "kubernetes", "u-1", self.CONFIG, b"sealed")
        assert uow.directory().clusters["pp"].open
        contact = Contact("v1.36.3", "v1beta2", None, 1_000, "its key is lost", ("a policy was altered",))
        uow.clusters.set_contact("pp", contact)
        found = uow.directory().clusters["pp"]
        assert found.contact == contact
        assert not found.open
        assert [note.partition(" ")[0] for note in found.notes] == ["it", "it", "a"]

    def test_one_that_is_removed_is_known_to_history_only(self, uow: UnitOfWork, speech: int) -> None:
        uow.clusters.add("pp", "kubernetes", "u-1", self.CONFIG, b"sealed")
        uow.fleet.put_cluster("pp", "kubernetes", Inventory(nodes()))
        job = add_job(uow, speech)
        (attempt,) = uow.attempts.add([an_attempt(job, speech, cluster="pp")])
        assert (uow.clusters.live("pp"), uow.clusters.projects("pp")) == (1, frozenset({speech}))
        uow.attempts.save([replace(attempt, state=AttemptState.VANISHED, ended_ms=NOW)])
        assert (uow.clusters.live("pp"), uow.clusters.projects("pp")) == (0, frozenset())
        uow.clusters.remove("pp")
        assert "pp" not in uow.directory().clusters
        assert uow.fleet.nodes(["pp"]) == ()
        assert uow.clusters.access("pp") is None
        assert uow.clusters.holder("u-1") == ("pp", "removed")
        assert uow.clusters.removed("pp") == ("u-1",)
        uow.clusters.add("pp", "kubernetes", "u-1", ClusterConfig(), b"again")
        uow.fleet.put_cluster("pp", "kubernetes", Inventory(nodes()[:1]))
        assert uow.clusters.removed("pp") is None
        assert [node.free for node in uow.fleet.nodes(["pp"])] == [{H100: (0, 1, 2, 3)}]

    def test_a_cluster_is_in_one_place_only(self, uow: UnitOfWork) -> None:
        uow.clusters.add("pp", "kubernetes", "u-1", self.CONFIG, b"sealed")
        assert uow.clusters.holder("u-1") == ("pp", "active")
        assert uow.clusters.holder("u-2") is None
        uow.clusters.remove("pp")
        uow.clusters.add("kpt", "kubernetes", "u-1", self.CONFIG, b"sealed")
        assert uow.clusters.holder("u-1") == ("kpt", "active")
        assert uow.clusters.removed("pp") == (None,)

    def test_two_are_never_the_same(self, centre: Centre) -> None:
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.clusters.add("pp", "kubernetes", "u-1", self.CONFIG, b"sealed")
            uow.clusters.add("kpt", "kubernetes", "u-1", self.CONFIG, b"sealed")


class TestJobs:
    def test_a_job_is_kept_whole(self, uow: UnitOfWork, speech: int) -> None:
        full = replace(
            spec(array=Array(3, 9, 2, 1), restartable=True, outputs=("*.txt",), qos="urgent", name="ភាសាខ្មែរ"),
            after=(Dependency(DependencyKind.OK, 3, 4), Dependency(DependencyKind.SINGLETON)), priority=-3,
            constraint=Constraint((("a", "1"),), (("b", "2"), ("c", "3")), "rack", "confidential", "kh"),
            env={"A": "é\n"}, secrets=("S",), source="0" * 64, stop_signal="SIGUSR1", grace_ms=0, image="img",
        )  # fmt: skip
        job = uow.jobs.add(full, speech, 1, NOW)
        assert uow.jobs.get(job.id) == uow.jobs.get(job.id, lock=True) == job
        assert job.spec == full
        assert uow.jobs.get(10**6) is None
        script = uow.jobs.add(replace(full, run="echo 1", command=(), array=None, held=True), speech, 1, NOW)
        assert uow.jobs.many([job.id, script.id, 10**6], lock=True) == {job.id: job, script.id: script}
        assert uow.jobs.names([script.id]) == {script.id: "ភាសាខ្មែរ"}

    def test_many_are_added_in_order(self, uow: UnitOfWork, speech: int) -> None:
        ids = uow.jobs.add_many([(spec(name=f"j{n}"), speech) for n in range(50)], 1, NOW)
        assert ids == sorted(ids)
        names = uow.jobs.names(ids)
        assert [names[job_id] for job_id in ids] == [f"j{n}" for n in range(50)]
        assert uow.jobs.add_many([], 1, NOW) == []

    def test_pages_are_newest_first_and_filtered(self, uow: UnitOfWork, centre: Centre, speech: int) -> None:
        flood = centre.population.projects["flood"]
        jobs = [
            uow.jobs.add(spec(name=f"n{n % 2}", held=n == 3), (speech, flood)[n % 2], 1 + n % 3, NOW) for n in range(6)
        ]
        ids = [job.id for job in reversed(jobs)]
        assert [job.id for job in uow.jobs.page(JobFilter(), Page(None, 4))] == ids[:4]
        assert [job.id for job in uow.jobs.page(JobFilter(), Page(ids[3], 4))] == ids[4:]
        assert len(uow.jobs.page(JobFilter(projects=frozenset({flood})), EVERY)) == 3
        assert uow.jobs.page(JobFilter(projects=frozenset()), EVERY) == []
        assert [job.id for job in uow.jobs.page(JobFilter(states=frozenset({JobState.HELD})), EVERY)] == [jobs[3].id]
        assert len(uow.jobs.page(JobFilter(name="n0"), EVERY)) == 3
        assert len(uow.jobs.page(JobFilter(user="admin"), EVERY)) == 2
        assert uow.jobs.page(JobFilter(user="nobody"), EVERY) == []

    def test_tasks_are_put_listed_and_counted(self, uow: UnitOfWork, speech: int) -> None:
        job = add_job(uow, speech, array=Array(0, 9))
        tasks = [
            Task(job.id, index, state)
            for index, state in enumerate((JobState.RUNNING, JobState.FAILED, JobState.PENDING))
        ]
        uow.jobs.put_tasks(tasks)
        changed = replace(tasks[0], state=JobState.SUCCEEDED, attempts=2, started_ms=1, ended_ms=2, reason="r")
        uow.jobs.put_tasks([changed])
        assert uow.jobs.task(job.id, 0) == changed
        assert uow.jobs.task(job.id, 7) is None
        assert uow.jobs.tasks(job.id, Page(0, 1)) == [tasks[1]]
        assert uow.jobs.live_tasks([job.id]) == [tasks[2]]
        assert uow.jobs.tallies([job.id]) == {job.id: {JobState.SUCCEEDED: 1, JobState.FAILED: 1, JobState.PENDING: 1}}

    def test_counts_are_of_what_is_not_over(self, uow: UnitOfWork, centre: Centre, speech: int) -> None:
        running, over, _ = (add_job(uow, speech) for _ in range(3))
        uow.jobs.save(
            [
                (replace(running, state=JobState.RUNNING, next_index=1), 0, 1),
                (replace(over, state=JobState.FAILED, ended_ms=NOW, next_index=1), 0, 0),
            ]
        )
        assert uow.jobs.states() == {JobState.RUNNING: 1, JobState.PENDING: 1}
        assert uow.jobs.unfinished([speech]) == 2
        assert uow.jobs.unfinished([centre.population.projects["flood"]]) == 0


class TestDependencies:
    def test_bonds_are_kept_found_moved_and_dropped_and_gates_with_them(self, uow: UnitOfWork, speech: int) -> None:
        uow.dependencies.take_turn()
        first, second, third = (add_job(uow, speech, name="n") for _ in range(3))
        bonds = [
            Bond(third.id, Dependency(DependencyKind.OK, first.id), first.id),
            Bond(third.id, Dependency(DependencyKind.ANY, first.id, 4), first.id),
            Bond(third.id, Dependency(DependencyKind.SINGLETON), second.id),
        ]
        uow.dependencies.add(bonds)
        assert uow.jobs.many([third.id])[third.id].gate == (f"ok:{first.id}", f"any:{first.id}_4", "singleton")
        kept = uow.dependencies.on([first.id, second.id])
        assert [replace(bond, row=0) for bond in kept] == bonds
        assert uow.dependencies.on([third.id]) == uow.dependencies.on([]) == []
        uow.dependencies.move([replace(kept[2], on=first.id)])
        uow.dependencies.drop(kept[:2])
        assert [bond.dependency for bond in uow.dependencies.on([first.id])] == [bonds[2].dependency]

    def test_the_newest_unfinished_job_of_that_name_is_found(self, uow: UnitOfWork, speech: int) -> None:
        first, second = (add_job(uow, speech, name="n") for _ in range(2))
        add_job(uow, speech, name="m")
        last = add_job(uow, speech, name="n")
        assert uow.dependencies.before(speech, 1, "n", last.id) == second.id
        uow.jobs.save([(replace(second, state=JobState.CANCELLED, ended_ms=NOW), 0, 0)])
        assert uow.dependencies.before(speech, 1, "n", last.id) == first.id
        assert uow.dependencies.before(speech, 1, "n", first.id) is None
        assert uow.dependencies.before(speech, 2, "n", last.id) is None
        assert uow.dependencies.before(speech + 1, 1, "n", last.id) is None

    def test_specs_are_respelled_and_tasks_looked_up(self, uow: UnitOfWork, speech: int) -> None:
        job = uow.jobs.add(replace(spec(), after=(Dependency(DependencyKind.OK, earlier=0),)), speech, 1, NOW)
        spelled = replace(job.spec, after=(Dependency(DependencyKind.OK, 7),))
        uow.dependencies.respell([(job.id, spelled)])
        assert uow.jobs.many([job.id])[job.id].spec == spelled
        uow.jobs.put_tasks([Task(job.id, 0, JobState.FAILED)])
        assert uow.dependencies.task_states([(job.id, 0), (job.id, 1)]) == {(job.id, 0): JobState.FAILED}
        assert uow.dependencies.task_states([]) == {}


class TestAttempts:
    def test_an_attempt_is_kept_whole(self, uow: UnitOfWork, speech: int) -> None:
        job, array = add_job(uow, speech), add_job(uow, speech, array=Array(0, 3))
        one, two = uow.attempts.add([an_attempt(job, speech), an_attempt(array, speech, index=2)])
        changed = replace(
            one, state=AttemptState.FAILED, intent="cancel", charged=3, gpu_ms=4, facts=5, metered_ms=6, started_ms=7,
            ended_ms=8, exit_code=9, signal=15, detail="ជំងឺ", out_of_memory=True, told_ms=10, cause="guarantee",
            made_way_for=11,
        )  # fmt: skip
        uow.attempts.save([changed])
        assert uow.attempts.get(one.id) == changed
        assert uow.attempts.get(two.id) == two
        assert uow.attempts.get(AttemptId(array.id, None, 1)) is None, "an array has no attempt of its own"
        assert uow.attempts.get(AttemptId(job.id, None, 2)) is None

    def test_attempts_are_found_by_job_task_and_state(self, uow: UnitOfWork, speech: int) -> None:
        array = add_job(uow, speech, array=Array(0, 3))
        over = an_attempt(array, speech, 1, 0, state=AttemptState.PREEMPTED)
        uow.attempts.add([over, an_attempt(array, speech, 2, 0), an_attempt(array, speech, 1, 1)])
        every = uow.attempts.of_job(array.id, EVERY)
        assert [str(attempt.id) for attempt in every] == [f"{array.id}_0.1", f"{array.id}_0.2", f"{array.id}_1.1"]
        assert uow.attempts.of_job(array.id, Page(every[0].row, 1)) == [every[1]]
        assert uow.attempts.of_job(array.id, EVERY, 0) == every[:2]
        assert uow.attempts.newest(array.id, None) == every[2]
        assert uow.attempts.newest(array.id, 0) == every[1]
        assert uow.attempts.newest(array.id, 3) is None
        assert uow.attempts.live(LIVE_ATTEMPTS) == uow.attempts.live_of_job(array.id, None) == every[1:]
        assert uow.attempts.live(frozenset({AttemptState.RUNNING})) == []
        assert uow.attempts.live_of_job(array.id, 0) == [every[1]]

    @pytest.mark.promise(4)
    def test_a_fact_is_written_once(self, centre: Centre, speech: int) -> None:
        with centre.store.write() as uow:
            (attempt,) = uow.attempts.add([an_attempt(add_job(uow, speech), speech)])
            first = UsageFact(str(attempt.id), 1, H100, NOW, NOW + 10, 20, 30, 40)
            uow.attempts.add_facts([(attempt, first), (attempt, replace(first, seq=2, until_ms=NOW + 20))])
            uow.attempts.add_facts([])
            assert uow.attempts.metered(None, None, None) == {H100: 40}
            # Each counts where its last moment is: NOW + 9 and NOW + 19.
            assert uow.attempts.metered(NOW + 9, NOW + 20, None) == {H100: 40}
            assert uow.attempts.metered(NOW + 10, None, None) == {H100: 20}
            assert uow.attempts.metered(None, NOW + 19, None) == {H100: 20}
            assert uow.attempts.metered(None, None, frozenset({speech})) == {H100: 40}
            assert uow.attempts.metered(None, None, frozenset()) == {}
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.attempts.add_facts([(attempt, first)])

    def test_an_extension_and_corrections_are_kept(self, uow: UnitOfWork, speech: int) -> None:
        rated = ((NOW + 5, 7), (NOW + 9, 8))
        job = add_job(uow, speech)
        (one,) = uow.attempts.add([an_attempt(job, speech, factor=1_500, later_rates=rated)])
        assert uow.attempts.get(one.id) == one
        assert uow.attempts.to_extend() == []
        longer = replace(
            one, walltime_ms=99, extensions=2, hold=150, parts=(Part(1, 1, 70), Part(3, 1, 20)), carried=(60, 61),
            later_rates=rated[:1],
        )  # fmt: skip
        uow.attempts.extend(longer)
        assert uow.attempts.to_extend() == [uow.attempts.get(one.id)] == [longer]
        uow.attempts.enforced({one.row: 98})
        assert [found.enforced_ms for found in uow.attempts.to_extend()] == [98], "it was extended again meanwhile"
        uow.attempts.enforced({one.row: 99})
        assert uow.attempts.to_extend() == []
        uow.attempts.correct([replace(longer, refunded=5, adjusted=-3)])
        uow.attempts.save([replace(longer, charged=80, refunded=5)])
        assert uow.attempts.get(one.id) == replace(longer, charged=80, refunded=5, adjusted=-3, enforced_ms=99)
        assert uow.attempts.costs([job.id]) == {job.id: (70, 72)}

    def test_who_is_behind_and_who_used_a_flavor_within_a_span(self, uow: UnitOfWork, speech: int) -> None:
        array = add_job(uow, speech, array=Array(0, 9))
        given = [
            an_attempt(array, speech, index=0),
            an_attempt(array, speech, index=1, metered_ms=NOW + 9),
            an_attempt(array, speech, index=2, metered_ms=NOW + 10),
            an_attempt(array, speech, index=3, created_ms=NOW + 10),
            an_attempt(array, speech, index=4, state=AttemptState.FAILED, ended_ms=NOW + 9),
            an_attempt(array, speech, index=5, state=AttemptState.FAILED, ended_ms=NOW + 30),
        ]
        made = uow.attempts.add(given)
        assert uow.attempts.unmetered(NOW + 10) == made[:2]
        for nth, (from_ms, until_ms) in ((1, (0, 9)), (4, (0, 9)), (5, (9, 30))):
            fact = UsageFact(str(made[nth].id), 1, H100, NOW + from_ms, NOW + until_ms, 1, 1, 1)
            uow.attempts.add_facts([(made[nth], fact)])
        assert uow.attempts.ended_within(H100, NOW, NOW + 10, 0, 9) == made[4:6]
        assert uow.attempts.ended_within(H100, NOW, NOW + 10, made[4].row, 9) == made[5:6]
        assert uow.attempts.ended_within(H100, NOW, NOW + 9, 0, 9) == made[4:5]
        assert uow.attempts.ended_within(H100, NOW + 9, NOW + 10, 0, 9) == made[5:6]
        assert uow.attempts.ended_within(A100, NOW, NOW + 99, 0, 9) == []
        assert uow.attempts.ended_within(H100, NOW, NOW + 99, 0, 1) == made[4:5]

    def test_outputs_and_costs(self, uow: UnitOfWork, speech: int) -> None:
        job = add_job(uow, speech)
        (attempt,) = uow.attempts.add([an_attempt(job, speech)])
        outputs = [Output("b", 1, "x"), Output("a/ក", 2, "y")]
        uow.attempts.add_outputs([(attempt, output) for output in outputs])
        uow.attempts.add_outputs([])
        assert uow.attempts.outputs(attempt.row) == [outputs[1], outputs[0]]
        uow.attempts.save([replace(attempt, charged=30)])
        assert uow.attempts.costs([job.id]) == {job.id: (70, 30)}
        uow.attempts.save([replace(attempt, charged=30, state=AttemptState.FAILED)])
        assert uow.attempts.costs([job.id]) == {job.id: (0, 30)}


class TestGates:
    def test_a_rule_is_kept_and_ends(self, uow: UnitOfWork, speech: int) -> None:
        given = GateRecord(GateRule(0, Gate.TERMS_ACCEPTED, speech, 5, None, "dara"), "why", 1, NOW)
        added = uow.gates.add_rule(given)
        assert uow.gates.rules() == [added]
        assert uow.directory().gate_rules == (added.rule,)
        uow.gates.end_rule(added.rule.id, 9)
        assert [one.rule.until_ms for one in uow.gates.rules()] == [9]
        assert uow.directory().gate_rules[0].until_ms == 9

    def test_terms_stand_in_the_order_in_which_they_take_over(self, uow: UnitOfWork) -> None:
        for version, from_ms in (("b", 7), ("a", 5), ("c", 7)):
            uow.gates.add_terms(TermsRecord(Terms(0, version, "Terms", from_ms), "text", "https://x", 1, NOW))
        assert [one.terms.version for one in uow.gates.terms()] == ["a", "b", "c"]
        assert [one.version for one in uow.directory().terms] == ["a", "b", "c"]
        assert (uow.gates.terms()[0].text, uow.gates.terms()[0].url) == ("text", "https://x")

    def test_the_first_acceptance_counts(self, uow: UnitOfWork) -> None:
        terms = uow.gates.add_terms(TermsRecord(Terms(0, "a", "Terms", 5), "text", None, 1, NOW)).terms.id
        uow.gates.accept(2, terms, NOW)
        uow.gates.accept(2, terms, NOW + 5)
        assert uow.gates.acceptances(2) == {terms: NOW}
        assert uow.gates.accepted([1, 2]) == {2: frozenset({terms})}
        assert uow.gates.accepted([]) == {}

    def test_jobs_are_found_by_the_gates_that_hold_them(self, uow: UnitOfWork, speech: int) -> None:
        free = uow.jobs.add(spec(), speech, 2, NOW).id
        uow.jobs.add(spec(held=True), speech, 3, NOW)
        one = uow.jobs.add(spec(), speech, 2, NOW, ("a",)).id
        both = uow.jobs.add_many([(spec(), speech), (spec(held=True), speech)], 2, NOW, {speech: ("a", "b")})
        assert sorted(uow.gates.held(), key=lambda rows: rows.closed) == [
            GateRows(speech, 2, ("a",)), GateRows(speech, 2, ("a", "b")),
        ]  # fmt: skip
        assert uow.gates.waiting() == [GateRows(speech, 2)]
        assert uow.gates.jobs(GateRows(speech, 2), 9) == [free]
        assert uow.gates.jobs(GateRows(speech, 2, ("a",)), 9) == [one]
        assert uow.gates.jobs(GateRows(speech, 2, ("a", "b")), 1) == both[:1]
        held = uow.jobs.many(both)[both[0]]
        assert (held.state, held.held, held.closed_gates) == (JobState.HELD, False, ("a", "b"))


class TestLive:
    def test_what_waits_is_told_oldest_first_with_what_was_tried_before_it(self, uow: UnitOfWork, speech: int) -> None:
        single = add_job(uow, speech)
        add_job(uow, speech, held=True)
        array = add_job(uow, speech, array=Array(0, 5, 1, 3), name="many")
        uow.jobs.put_tasks([Task(array.id, 0, JobState.PENDING, 1), Task(array.id, 1, JobState.RUNNING, 1)])
        uow.jobs.save([(replace(array, next_index=2, state=JobState.RUNNING), 5, 1)])
        first, second = uow.live.waiting()
        assert (first.name, second.name) == ("train", "many")
        one, two = first.job, second.job
        assert (one.job_id, list(one.fresh), one.retries, one.parallel_left) == (single.id, [0], (), None)
        assert (two.job_id, list(two.fresh), two.retries, two.parallel_left) == (array.id, [2, 3, 4, 5], (0,), 2)
        assert one.resources is two.resources, "there are many jobs and few shapes"
        assert uow.live.waiting([array.id, 10**9]) == [second]
        assert uow.live.waiting([]) == []

    def test_a_live_attempt_ends_with_its_walltime_or_its_grace(self, uow: UnitOfWork, speech: int) -> None:
        starting, running, told, late, over = (
            add_job(uow, speech, grace="20s", restartable=True, qos="preemptible") for _ in range(5)
        )
        at, states = NOW + 5, AttemptState
        uow.attempts.add(
            [
                an_attempt(starting, speech, window="class"),
                an_attempt(running, speech, state=states.RUNNING, started_ms=at),
                an_attempt(told, speech, state=states.STOPPING, started_ms=at, told_ms=at + 7, intent="preempt"),
                an_attempt(late, speech, state=states.STOPPING, started_ms=at),
                an_attempt(over, speech, state=states.FAILED, started_ms=at, ended_ms=at + 1),
            ]
        )
        found = uow.live.running()
        assert [(run.job_id, run.ends_ms, run.stopping) for run in found] == [
            (starting.id, NOW + HOUR_MS, False),
            (running.id, at + HOUR_MS, False),
            (told.id, at + 7 + 20_000, True),
            (late.id, at + HOUR_MS + 20_000, True),
        ]
        one = found[0]
        assert (one.index, one.project_id, one.user_id, one.qos, one.window) == (0, speech, 1, "preemptible", "class")
        assert (one.grace_ms, one.restartable, one.started_ms, one.milli) == (20_000, True, NOW, 2_000)
        assert one.placements == (Placement("n1", (0, 1)),)
        assert one.resources == spec().resources
        assert uow.live.running([told.id, over.id]) == [found[2]]

    def test_notes_of_change_are_deleted_one_by_one_and_no_number_comes_back(
        self, uow: UnitOfWork, speech: int
    ) -> None:
        uow.live.forget(uow.live.changes())
        job, other = add_job(uow, speech), add_job(uow, speech)
        uow.jobs.save([(job, 1, 0)])
        notes = uow.live.changes()
        assert sorted(notes.values()) == [job.id, job.id, other.id]
        (kept,) = (note for note, job_id in notes.items() if job_id == other.id)
        uow.live.forget(notes.keys() - {kept})
        assert uow.live.changes() == {kept: other.id}
        uow.live.forget([kept])
        uow.jobs.add_many([(spec(), speech)], 1, NOW)
        assert uow.live.changes().keys().isdisjoint(notes)

    def test_a_users_last_two_run_times_are_remembered(self, uow: UnitOfWork, speech: int) -> None:
        job = add_job(uow, speech)
        uow.live.ran([(1, 10), (2, 7)])
        assert uow.live.recent() == {1: (10,), 2: (7,)}
        uow.live.ran([(1, 20), (1, 30)])
        uow.live.ran([(2, 8)])
        assert uow.live.recent() == {1: (20, 30), 2: (7, 8)}
        assert uow.live.recent([job.id]) == {1: (20, 30)}

    def test_held_jobs_are_told_beside_the_queue(self, uow: UnitOfWork, speech: int) -> None:
        add_job(uow, speech)
        held = [add_job(uow, speech, held=True, array=Array(0, 9), name=f"held-{n}") for n in range(3)]
        assert [(one.job.job_id, one.name, len(one.job)) for one in uow.live.held(2)] == [
            (held[1].id, "held-1", 10),
            (held[2].id, "held-2", 10),
        ]

    def test_guesses_are_kept_until_they_are_old(self, uow: UnitOfWork, speech: int) -> None:
        one, two, three = (add_job(uow, speech).id for _ in range(3))
        said = {job: Guess(job, NOW, 1_000) for job in (one, two, three)}
        uow.live.keep_guesses(said)
        uow.live.keep_guesses({two: Guess(two, NOW, 1_000, 700), one: Guess(one, NOW, 1_000, 900), three: None})
        assert uow.live.guesses() == [Guess(two, NOW, 1_000, 700), Guess(one, NOW, 1_000, 900)]
        uow.live.keep_guesses({three: said[three]})
        uow.live.sweep_guesses(1)
        assert sorted(guess.job_id for guess in uow.live.guesses()) == [one, three]
        uow.live.sweep_guesses(1)
        assert len(uow.live.guesses()) == 2

    def test_stops_for_fair_shares_are_told(self, uow: UnitOfWork, speech: int) -> None:
        for at, cause in ((5, "fair-share"), (3, "fair-share"), (4, "guarantee"), (1, "fair-share")):
            given = {"state": AttemptState.STOPPING, "told_ms": NOW + at, "cause": cause}
            uow.attempts.add([an_attempt(add_job(uow, speech), speech, **given)])
        assert uow.live.stopped_ms(NOW + 3) == (NOW + 3, NOW + 5)


class TestHistory:
    def test_what_ended_of_itself_is_told_by_attempt(self, uow: UnitOfWork, speech: int) -> None:
        job, array = add_job(uow, speech), add_job(uow, speech, array=Array(0, 3))
        times = {"started_ms": NOW + 5, "ended_ms": NOW + 65}
        whole = [
            an_attempt(job, speech, 1, state=AttemptState.PREEMPTED, **times),  # it ran again
            an_attempt(job, speech, 2, state=AttemptState.SUCCEEDED, **times),
            an_attempt(array, speech, 1, 2, state=AttemptState.TIMED_OUT, **times),
            an_attempt(array, speech, 1, 3, **times),  # it still runs
            an_attempt(array, speech, 1, 1, state=AttemptState.CANCELLED),  # it never began
        ]
        rows = [attempt.row for attempt in uow.attempts.add(whole)]
        first, second = uow.history.page(None, 10, None, None)
        assert (first.row, first.job_id, first.index, first.state) == (rows[1], job.id, None, "succeeded")
        assert (second.row, second.job_id, second.index, second.state) == (rows[2], array.id, 2, "timed_out")
        assert (first.gpus, first.nodes, first.cpus, first.memory_bytes) == (2, 1, 3, 2 * GIB)
        assert (first.submitted_ms, first.started_ms, first.ended_ms) == (NOW, NOW + 5, NOW + 65)
        assert first.walltime_ms == job.spec.resources.walltime_ms
        assert uow.history.page(first.row, 10, None, None) == [second]
        assert uow.history.page(None, 1, NOW, NOW + 1) == [first]
        assert uow.history.page(None, 10, NOW + 1, None) == uow.history.page(None, 10, None, NOW) == []


def a_run(job: str, **given: object) -> RunRecord:
    plain = RunRecord(
        job=job, started_ms=NOW, gres="a100", project_id=given.pop("project_id"), user_id=1, allocation_id=1, flavor=A100,
        qos="normal", state="succeeded", milli=2_000, nodes=1, cpus=8, memory_bytes=GIB, submitted_ms=NOW - 5,
        ended_ms=NOW + 60, elapsed_ms=60, walltime_ms=None, gpu_ms=120, cpu_ms=480, memory_mib_ms=61_440, micro_su=0,
        posting=f"import/{job}",
    )  # fmt: skip
    return replace(plain, **given)


class TestImports:
    def test_a_batch_is_kept_with_all_that_is_said_of_it(self, uow: UnitOfWork) -> None:
        batch = Batch(0, "csv", "old-centre", "d1", 1, "we move", NOW, {"tenant": 2})
        number = uow.imports.add_batch(batch)
        assert uow.imports.batches(EVERY) == [replace(batch, id=number)]

    def test_a_thing_is_known_by_its_origin_and_brought_once(self, uow: UnitOfWork) -> None:
        number = uow.imports.add_batch(Batch(0, "csv", "a", "d", 1, "x", NOW, {}))
        things = [Thing("7", 1, "{}"), Thing("8", 2, "{}")]
        uow.imports.add_things(number, "a", "allocation", things)
        assert uow.imports.things("a", "allocation") == {one.key: one for one in things}
        assert uow.imports.things("b", "allocation") == uow.imports.things("a", "grant") == {}

    def test_a_run_is_known_by_its_origin_start_and_kind_of_gpu(self, uow: UnitOfWork, speech: int) -> None:
        number = uow.imports.add_batch(Batch(0, "sacct", "slurm", "d", 1, "x", NOW, {}))
        runs = [
            a_run("1", project_id=speech),
            a_run("1", project_id=speech, started_ms=NOW + 9, posting="2"),
            a_run("1", project_id=speech, gres="h100", flavor=H100, posting="3"),
        ]
        uow.imports.add_runs(number, "slurm", runs)
        assert uow.imports.runs("slurm", NOW, NOW + 9).keys() == {run.key for run in runs}
        assert uow.imports.runs("slurm", NOW + 9, NOW + 9) == {
            ("1", NOW + 9, "a100"): Kept(speech, 1, A100, 120, NOW + 60)
        }
        assert uow.imports.runs("other", NOW, NOW + 9) == {}

    def test_past_use_is_summed_by_flavor_by_when_it_ended(self, uow: UnitOfWork, speech: int) -> None:
        number = uow.imports.add_batch(Batch(0, "sacct", "slurm", "d", 1, "x", NOW, {}))
        ends = {"1": NOW + 60, "2": NOW + 61}
        uow.imports.add_runs(number, "slurm", [a_run(job, project_id=speech, ended_ms=at) for job, at in ends.items()])
        assert uow.imports.metered(None, None, None) == {A100: 240}
        assert uow.imports.metered(NOW + 59, NOW + 60, frozenset({speech})) == {A100: 120}, "by its last moment"
        assert uow.imports.metered(NOW + 61, None, None) == uow.imports.metered(None, None, frozenset()) == {}

    def test_the_same_run_twice_is_refused(self, centre: Centre, speech: int) -> None:
        for posting in ("x", "y"):
            with pytest.raises(Conflict) if posting == "y" else nullcontext(), centre.store.write() as unit:
                number = unit.imports.add_batch(Batch(0, "sacct", "slurm", "d", 1, "x", NOW, {}))
                unit.imports.add_runs(number, "slurm", [a_run("1", project_id=speech, posting=posting)])


class TestCalendar:
    def test_reservations_are_kept_whole_by_name_and_no_number_is_used_twice(
        self, uow: UnitOfWork, speech: int
    ) -> None:
        given = [
            Reservation(0, "class", speech, NOW, 5, Repeat.WEEKLY, (1, 3), NOW + 9, -30, None, (), H100, 4),
            Reservation(0, "a-fan", None, NOW, 5, cluster=CLUSTER, nodes=("n1", "n2")),
        ]
        first, second = (uow.calendar.add(one, 1, NOW) for one in given)
        assert (first, second) == (replace(given[0], id=first.id), replace(given[1], id=second.id))
        assert uow.directory().reservations == (second, first)
        uow.calendar.remove(second.id)
        assert uow.directory().reservations == (first,)
        assert uow.calendar.add(given[1], 1, NOW).id > second.id

    def test_a_name_is_given_once(self, centre: Centre) -> None:
        with pytest.raises(Conflict), centre.store.write() as uow:
            for _ in range(2):
                uow.calendar.add(Reservation(0, "class", None, NOW, 5, cluster=CLUSTER), 1, NOW)


class TestCharging:
    def test_of_rules_the_last_that_has_begun_is_in_force(self, uow: UnitOfWork) -> None:
        assert uow.directory().charging_at(NOW) == ChargingRules()
        given = [
            DatedRules(0, NOW + begins, ChargingRules({"urgent": factor}), 1, "why", NOW)
            for begins, factor in ((10, 1), (5, 2), (10, 3))
        ]
        kept = [uow.charging.add_rules(one) for one in given]
        assert kept == [replace(one, id=number) for number, one in enumerate(given, 1)]
        assert uow.charging.rules_page(None, 2) == [kept[2], kept[1]]
        assert uow.charging.rules_page(2, 2) == [kept[0]]
        directory = uow.directory()
        assert [directory.charging_at(NOW + at).factor("urgent") for at in (4, 5, 9, 10)] == [1_000, 2, 2, 3]

    def test_a_month_is_closed_once_and_nothing_is_posted_into_it(self, centre: Centre) -> None:
        period = Period("2026-01", NOW, NOW + DAY_MS, 1, "why", NOW + DAY_MS)
        with centre.store.write() as uow:
            uow.charging.close(period)
            directory = uow.directory()
            assert directory.closed == (period,)
            uow.ledger.post([Transaction("in time", "test", NOW + DAY_MS, ())], {})
        found = [directory.closed_at(NOW + at) for at in (-1, 0, DAY_MS - 1, DAY_MS)]
        assert found == [None, period, period, None]
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.charging.close(period)
        for at_ms in (NOW, NOW + DAY_MS - 1):
            with pytest.raises(Conflict, match="2026-01 is closed"), centre.store.write() as uow:
                uow.ledger.post([Transaction("late", "test", at_ms, ())], {})
        with centre.store.write() as uow:
            uow.ledger.post([Transaction("early", "test", NOW - 1, ())], {})

    def test_corrections_are_kept_whole_and_listed_by_project(self, uow: UnitOfWork, speech: int) -> None:
        (attempt,) = uow.attempts.add([an_attempt(add_job(uow, speech), speech)])
        given = [
            Correction(0, "adjust/1.1/1", "adjust", attempt.row, attempt.id, -7, "2026-01", 1, "why", NOW, 1, 2, 3),
            Correction(0, "refund/1.1", "refund", attempt.row, attempt.id, 9, "2026-02", 1, "so", NOW),
        ]
        uow.charging.add_corrections(given)
        kept = [replace(one, id=number) for number, one in enumerate(given, 1)]
        assert uow.charging.corrections(EVERY, None) == uow.charging.corrections_of([attempt.row]) == kept
        assert uow.charging.corrections(EVERY, frozenset({speech})) == kept
        assert uow.charging.corrections(EVERY, frozenset()) == []
        assert uow.charging.corrections(Page(1, 5), None) == kept[1:]


class TestPolicies:
    def test_the_one_in_force_is_the_last_that_has_begun_and_of_one_time_the_last_that_was_added(
        self, uow: UnitOfWork
    ) -> None:
        assert uow.policies.at(NOW) is None
        given = [
            DatedPolicy(0, NOW + begins, Policy(half_life_ms=days * DAY_MS), f"d{days}", 1, "why", NOW)
            for begins, days in ((10, 1), (5, 2), (10, 3))
        ]
        kept = [uow.policies.add(one) for one in given]
        assert kept == [replace(one, id=number) for number, one in enumerate(given, 1)]
        assert [uow.policies.at(NOW + at) for at in (4, 5, 9, 10, 99)] == [None, kept[1], kept[1], kept[2], kept[2]]
        assert uow.policies.page(None, 2) == [kept[2], kept[1]]
        assert uow.policies.page(2, 2) == [kept[0]]
        directory = uow.directory()
        assert [directory.policy_at(NOW + at).half_life_ms // DAY_MS for at in (4, 5, 10)] == [
            Policy().half_life_ms // DAY_MS,
            2,
            3,
        ]


class TestAudit:
    def test_an_entry_is_kept_whole_waits_for_its_leaf_and_is_listed(self, uow: UnitOfWork) -> None:
        before = len(uow.seals.waiting(100))
        given = [
            witness(uow.audit, NOW + number, action, subject, {"n": number}, {"by": "dara", "reason": "\u1796"})
            for number, (action, subject) in enumerate(
                [("add", "/projects/a"), ("change", "/projects/ab"), ("change", "/projects/a_b%"), ("add", "/x")]
            )
        ]
        assert [uow.audit.get(entry.id) for entry in given] == given
        assert uow.audit.get(10**6) is None
        assert [(one.kind, one.row) for one in uow.seals.waiting(100)][before:] == [("audit", one.id) for one in given]

        def listed(**where: object) -> list[int]:
            found = uow.audit.page(EVERY, EntryFilter(**where))
            return [given.index(entry) for entry in found if entry in given]

        assert listed() == [3, 2, 1, 0]
        assert listed(action="change") == [2, 1]
        assert listed(subject="/projects/a") == [2, 1, 0]
        assert listed(subject="/projects/a_") == [2]
        assert listed(from_ms=NOW + 1, until_ms=NOW + 3) == [2, 1]
        assert uow.audit.page(Page(given[2].id, 1), EntryFilter()) == [given[1]]

    def test_who_and_why_are_erased_and_the_rest_stays(self, uow: UnitOfWork) -> None:
        entry = witness(uow.audit, NOW, "act", "/x", {}, {"by": "dara"})
        plain = witness(uow.audit, NOW, "act", "/x", {})
        assert (plain.commitment, plain.personal, plain.salt) == (None, None, None)
        uow.audit.erase([entry.id])
        assert uow.audit.get(entry.id) == replace(entry, personal=None, salt=None)


class TestSeals:
    def test_rows_leave_the_outbox_for_the_tree(self, uow: UnitOfWork) -> None:
        entry = witness(uow.audit, NOW, "act", "/x", {}, {"by": "dara"})
        waiting = uow.seals.waiting(100)
        assert [one.id for one in waiting] == sorted(one.id for one in waiting)
        assert uow.seals.waiting(1) == waiting[:1]
        records = uow.seals.records([(one.kind, one.row) for one in waiting] + [("audit", 10**6), ("nothing", 1)])
        assert len(records) == len(waiting)
        assert records["audit", entry.id] == entry
        leaves = [Leaf(index, one.kind, one.row, bytes([index]) * 32) for index, one in enumerate(waiting)]
        uow.seals.seal(leaves, [(1, 0, b"t" * 32), (2, 0, b"u" * 32)], waiting)
        assert uow.seals.waiting(100) == []
        assert uow.seals.size() == len(leaves)
        assert uow.seals.leaves(0, 100) == leaves
        assert uow.seals.leaves(1, 1) == leaves[1:2]
        assert uow.seals.leaf_of("audit", entry.id) == leaves[-1]
        assert uow.seals.leaf_of("audit", 10**6) is None
        assert uow.seals.hashes(0, 1, 2) == [leaf.hash for leaf in leaves[1:3]]
        assert (uow.seals.hashes(1, 0, 1), uow.seals.hashes(2, 0, 9), uow.seals.tile_count()) == (
            [b"t" * 32],
            [b"u" * 32],
            2,
        )
        assert uow.seals.strays() == []

    def test_a_transaction_is_what_it_moved(self, uow: UnitOfWork) -> None:
        record = uow.seals.records([("ledger", 1)])["ledger", 1]
        assert isinstance(record, LedgerLeaf)
        assert record.fault() is None
        assert uow.seals.transaction_row(str(record.columns["name"])) == 1
        assert uow.seals.transaction_row("nothing") is None
        assert uow.seals.misnamed_books() == []

    def test_heads_and_keys_are_listed_and_wait_for_their_own_leaves(self, uow: UnitOfWork) -> None:
        keys = [uow.seals.add_key(PublicKey(0, "tree", bytes([number]) * 32, NOW + number)) for number in (1, 2)]
        assert uow.seals.public_keys() == keys
        assert uow.seals.last_head() is None
        heads = [TreeHead(number, 10 * number, b"r" * 32, NOW, keys[0].id, b"s" * 64) for number in (1, 2, 3)]
        for head in heads:
            uow.seals.add_head(head)
        assert uow.seals.last_head() == heads[2]
        assert (uow.seals.head_of(20), uow.seals.head_of(21)) == (heads[1], None)
        assert uow.seals.heads(1, 9) == heads[1:]
        assert uow.seals.heads_back(Page(3, 1)) == [heads[1]]
        waiting = [(one.kind, one.row) for one in uow.seals.waiting(100)]
        assert waiting[-5:] == [("key", keys[0].id), ("key", keys[1].id), ("head", 1), ("head", 2), ("head", 3)]

    def test_what_is_beside_the_tree_is_found(self, uow: UnitOfWork) -> None:
        entry = witness(uow.audit, NOW, "act", "/x", {})
        (last,) = [one for one in uow.seals.waiting(100) if (one.kind, one.row) == ("audit", entry.id)]
        uow.seals.seal([], [], [last])
        assert [(one.kind, one.row) for one in uow.seals.strays()] == [("audit", entry.id)]


class TestOnce:
    def test_a_first_answer_is_kept_once_for_each_user_and_key_until_it_is_swept(self, centre: Centre) -> None:
        with centre.store.write() as uow:
            uow.once.keep(1, "k", b"\0d", 201, b'{"id": 1}', NOW)
            uow.once.keep(2, "k", b"e", 204, b"", NOW + 5)
            assert uow.once.find(1, "k") == (b"\0d", 201, b'{"id": 1}')
            assert uow.once.find(2, "k") == (b"e", 204, b"")
            assert uow.once.find(1, "other") is None
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.once.keep(1, "k", b"f", 201, b"", NOW)
        with centre.store.write() as uow:
            uow.once.sweep(NOW + 5)
            assert uow.once.find(1, "k") is None
            assert uow.once.find(2, "k") is not None


class TestLeader:
    def test_epochs_only_grow(self, uow: UnitOfWork, centre: Centre) -> None:
        """See ``tests.lifecycle.test_one_attempt`` for what they are for."""
        assert uow.leader.take("next", NOW + 1, 10, alone=True) == centre.epoch + 1
        uow.leader.check(centre.epoch + 1)


class TestSources:
    def test_a_source_is_known_once_it_was_kept(self, uow: UnitOfWork) -> None:
        assert not uow.has_source("0" * 64)
        uow.keep_source("0" * 64, 5, NOW)
        uow.keep_source("0" * 64, 5, NOW + 1)
        assert uow.has_source("0" * 64)
